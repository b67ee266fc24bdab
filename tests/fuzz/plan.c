/* SPDX-License-Identifier: MIT */
/* plan.c: a plan that a launcher hands to start: what is taken is within the grammars, and written anew
 * it is the same plan. */
#include "bottle/plan.h"

#include "fuzz.h"

#include "common/cleanup.h"

static void check_upstream(const struct upstream *upstream)
{
    REQUIRE(grammar_alias(upstream->alias));
    REQUIRE(grammar_hostname(upstream->host));
    REQUIRE(upstream->port > 0 && upstream->listen_port == upstream->port);
    REQUIRE(upstream->user[0] == '\0' || grammar_user(upstream->user));
    REQUIRE(!upstream->identity_file || grammar_path(upstream->identity_file));
    REQUIRE(!upstream->known_host_key || grammar_host_key(upstream->known_host_key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = fuzz_text(data, size);
    CLEANUP_PLAN struct plan plan = {0};
    CLEANUP_PLAN struct plan read = {0};
    struct failure failure;

    enum bottle_result result = plan_from_json(text, &plan, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID && plan.upstream_count == 0 && !plan.upstreams);
        require_message(&failure);
        return 0;
    }
    REQUIRE(grammar_slug(plan.slug) && plan.stage_dir[0] == '/');
    REQUIRE(plan.upstream_count <= PLAN_MAX_UPSTREAMS);
    for (size_t i = 0; i < plan.upstream_count; i++)
        check_upstream(&plan.upstreams[i]);
    CLEANUP_FREE char *written = plan_to_json(&plan);
    REQUIRE(written && plan_from_json(written, &read, &failure) == BOTTLE_OK);
    CLEANUP_FREE char *again = plan_to_json(&read);
    REQUIRE(again && strcmp(written, again) == 0);
    return 0;
}
