/* SPDX-License-Identifier: MIT */
/*
 * manifest.c: a bottle of the manifest.
 *
 * What prepare makes of it, start takes; and the files that are written have only what their grammars
 * allow.
 */
#include "fuzz.h"

#include "bottle/plan.h"
#include "common/cleanup.h"

/* Every line is one that prepare writes, whatever the values in it are. */
static void check_entrypoint(const struct plan *plan)
{
    CLEANUP_FREE char *script = render_entrypoint(plan);
    size_t forwards = 0;
    char *rest = script;

    REQUIRE(script);
    for (const char *line; (line = strsep(&rest, "\n"));) {
        bool is_forward = strncmp(line, "socat TCP", 9) == 0;
        forwards += is_forward;
        REQUIRE(!is_forward || strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789 -_.,:[]&") == strlen(line));
    }
    REQUIRE(forwards == plan->upstream_count);
}

static void check_lines(char *text)
{
    REQUIRE(text);
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
        REQUIRE(text_is_printable(line, strlen(line)));
}

static void check_agent_files(const struct plan *plan)
{
    CLEANUP_FREE char *ssh_config = render_ssh_config(plan, "127.0.0.1");
    CLEANUP_FREE char *known_hosts = render_known_hosts(plan);

    check_lines(ssh_config);
    check_lines(known_hosts);
}

static void check_plan(const struct plan *plan)
{
    CLEANUP_FREE char *text = plan_to_json(plan);
    CLEANUP_PLAN struct plan read = {0};
    struct failure failure;

    REQUIRE(text);
    REQUIRE(plan_from_json(text, &read, &failure) == BOTTLE_OK);
    CLEANUP_FREE char *again = plan_to_json(&read);
    REQUIRE(again && strcmp(text, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *bottle = fuzz_text(data, size);
    CLEANUP_PLAN struct plan plan = {0};
    struct failure failure;

    enum bottle_result result = plan_from_bottle(bottle, &plan, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID && plan.upstream_count == 0 && !plan.upstreams);
        require_message(&failure);
        return 0;
    }
    memcpy(plan.slug, "web", sizeof "web");
    plan.stage_dir = strdup("/stage");
    plan.internal_network = strdup("");
    plan.egress_network = strdup("");
    REQUIRE(plan.stage_dir && plan.internal_network && plan.egress_network);
    check_plan(&plan);
    check_entrypoint(&plan);
    check_agent_files(&plan);
    return 0;
}
