/* SPDX-License-Identifier: MIT */
/*
 * plan.c: bottle.egress.allowlist → plan → pipelock's configuration.
 *
 * An item of the allowlist is a host name, or "*." and a host name, which to pipelock means that name and all
 * below it.  Nothing else is accepted, so the hosts of a plan are written to the configuration as they are.
 * pipelock refuses an empty list: a bottle without an allowlist has a plan without upstreams, which start
 * refuses.
 *
 * The configuration that prepare writes is for people to read.  A running pipelock reloads its file when that
 * changes, so each run has a file of its own, which start writes from the plan.
 */
#include "plan.h"

#include "common/cleanup.h"
#include "common/sidecar/bottle_object.h"
#include "common/sidecar/plan_members.h"
#include "common/sidecar/stage_claim.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <string.h>

#define PLAN_VERSION 1
#define MAX_HOSTS    256

static const char *const EGRESS_KEYS[] = {"allowlist", NULL};
static const char *const PLAN_KEYS[] = {"version",          "sidecar",        "slug",
                                        "stage_dir",        "config",         "upstreams",
                                        "internal_network", "egress_network", NULL};
static const char *const UPSTREAM_KEYS[] = {"upstream_host", NULL};

void plan_clear(struct pipelock_plan *plan)
{
    free(plan->stage_dir);
    free(plan->internal_network);
    free(plan->egress_network);
    (void)json_object_put(plan->upstreams);
}

/* ---- the bottle ---- */

static bool is_allowed_host(const char *text)
{
    return grammar_dns_name(strncmp(text, "*.", 2) == 0 ? text + 2 : text);
}

static enum bottle_result add_host(json_object *item, size_t index, json_object *upstreams,
                                   struct failure *failure)
{
    char host[HOST_SIZE + 2];
    const char *text =
        json_object_is_type(item, json_type_string) ? json_object_get_string(item) : "";
    json_object *upstream = json_object_new_object();

    if (!is_allowed_host(text)) {
        (void)json_object_put(upstream);
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle.egress.allowlist[%zu] is %s: it must be a host name such as "
                           "\"example.com\", or \"*.example.com\" for that and all below it",
                           index, EXCERPT(json_shown(item)));
    }
    (void)snprintf(host, sizeof host, "%s", text);
    make_lower_case(host);
    bool made = object_add_text(upstream, "upstream_host", host);
    return array_add(upstreams, upstream) && made
               ? BOTTLE_OK
               : failure_set(failure, BOTTLE_INTERNAL, "bottle.egress: out of memory");
}

/* At each level, absent and null both mean that the bottle asks for nothing. */
static enum bottle_result read_bottle(json_object *bottle, json_object *upstreams,
                                      struct failure *failure)
{
    json_object *egress = object_member(bottle, "egress");
    enum bottle_result result = BOTTLE_OK;

    if (!egress)
        return BOTTLE_OK;
    if (!json_object_is_type(egress, json_type_object))
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle.egress is %s: it must be an object such as {\"allowlist\": "
                           "[\"example.com\"]}",
                           EXCERPT(json_shown(egress)));
    result = json_check_keys(egress, "bottle.egress", EGRESS_KEYS, failure);
    json_object *allowlist = object_member(egress, "allowlist");
    if (result != BOTTLE_OK || !allowlist)
        return result;
    if (!json_object_is_type(allowlist, json_type_array) ||
        json_object_array_length(allowlist) > MAX_HOSTS)
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle.egress.allowlist is %s: it must be an array of at most %d host "
                           "names",
                           EXCERPT(json_shown(allowlist)), MAX_HOSTS);
    for (size_t i = 0; i < json_object_array_length(allowlist) && result == BOTTLE_OK; i++)
        result = add_host(json_object_array_get_idx(allowlist, i), i, upstreams, failure);
    return result;
}

/* ---- the plan, there and back ---- */

static json_object *plan_object(const struct pipelock_plan *plan)
{
    CLEANUP_JSON json_object *object = json_object_new_object();

    return object_add(object, "version", json_object_new_int(PLAN_VERSION)) &&
                   object_add_text(object, "sidecar", SIDECAR_NAME) &&
                   object_add_text(object, "slug", plan->slug) &&
                   object_add_text(object, "stage_dir", plan->stage_dir) &&
                   plan_add_path(object, "config", plan->stage_dir, CONFIG_FILE) &&
                   object_add(object, "upstreams", json_object_get(plan->upstreams)) &&
                   object_add_text(object, "internal_network", "") &&
                   object_add_text(object, "egress_network", "")
               ? steal_pointer(&object)
               : NULL;
}

static enum bottle_result read_upstreams(const struct json_reader *plan, json_object **upstreams)
{
    json_object *array;
    const char *host;
    enum bottle_result result = json_read(plan, "upstreams", json_type_array, &array);

    if (result == BOTTLE_OK && json_object_array_length(array) > MAX_HOSTS)
        return json_refuse(plan, "upstreams", "has too many items");
    for (size_t i = 0; result == BOTTLE_OK && i < json_object_array_length(array); i++) {
        const struct json_reader upstream = {json_object_array_get_idx(array, i), "plan.upstreams",
                                             plan->failure};
        if (!json_object_is_type(upstream.object, json_type_object))
            return json_refuse(plan, "upstreams", "must be an array of objects");
        result = json_check_keys(upstream.object, upstream.where, UPSTREAM_KEYS, plan->failure);
        if (result == BOTTLE_OK)
            result = json_read_text(&upstream, "upstream_host", is_allowed_host, &host);
    }
    if (result == BOTTLE_OK)
        *upstreams = json_object_get(array);
    return result;
}

static enum bottle_result read_plan(const struct json_reader *reader, struct pipelock_plan *plan)
{
    enum bottle_result result =
        json_check_keys(reader->object, reader->where, PLAN_KEYS, reader->failure);

    if (result == BOTTLE_OK)
        result = plan_read_origin(reader, SIDECAR_NAME, PLAN_VERSION);
    if (result == BOTTLE_OK)
        result = json_copy_text(reader, "slug", grammar_slug, plan->slug, sizeof plan->slug);
    if (result == BOTTLE_OK)
        result = plan_read_stage_dir(reader, &plan->stage_dir);
    if (result == BOTTLE_OK)
        result = plan_check_path(reader, "config", plan->stage_dir, CONFIG_FILE);
    if (result == BOTTLE_OK)
        result = read_upstreams(reader, &plan->upstreams);
    if (result == BOTTLE_OK)
        result = plan_read_network(reader, "internal_network", &plan->internal_network);
    if (result == BOTTLE_OK)
        result = plan_read_network(reader, "egress_network", &plan->egress_network);
    return result;
}

enum bottle_result plan_from_json(const char *text, struct pipelock_plan *plan,
                                  struct failure *failure)
{
    CLEANUP_JSON json_object *object = NULL;
    enum bottle_result result = json_text_parse("plan", text, &object, failure);

    if (result != BOTTLE_OK)
        return result;
    const struct json_reader reader = {object, "plan", failure};
    return read_plan(&reader, plan);
}

/* ---- the configuration ---- */

char *plan_render_config(const struct pipelock_plan *plan)
{
    struct text text;

    if (!text_open(&text))
        return NULL;
    (void)fputs("version: 1\n"
                "mode: strict\n"
                "forward_proxy:\n"
                "  enabled: true\n"
                "api_allowlist:\n",
                text.stream);
    for (size_t i = 0; i < json_object_array_length(plan->upstreams); i++)
        (void)fprintf(text.stream, "  - \"%s\"\n",
                      object_text(json_object_array_get_idx(plan->upstreams, i), "upstream_host"));
    return text_close(&text);
}

enum bottle_result plan_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **text, struct failure *failure)
{
    CLEANUP_PLAN struct pipelock_plan plan = {.upstreams = json_object_new_array()};
    CLEANUP_JSON json_object *object = NULL;
    CLEANUP_JSON json_object *made = NULL;
    CLEANUP_FREE char *config = NULL;
    CLEANUP_FREE char *made_text = NULL;
    CLEANUP_FD int stage_fd = -1;
    bool claimed = false;
    enum bottle_result result = bottle_object_parse(bottle, &object, failure);

    if (result == BOTTLE_OK)
        result = read_bottle(object, plan.upstreams, failure);
    if (result == BOTTLE_OK)
        result = slug_take(slug, plan.slug, failure);
    if (result == BOTTLE_OK)
        result = plan_open_stage_dir(stage_dir, &stage_fd, &plan.stage_dir, failure);
    if (result != BOTTLE_OK)
        return result;
    made = plan_object(&plan);
    config = plan_render_config(&plan);
    made_text =
        made ? strdup(json_object_to_json_string_ext(made, JSON_C_TO_STRING_NOSLASHESCAPE)) : NULL;
    if (!made_text || !config)
        return failure_set(failure, BOTTLE_INTERNAL, "prepare: out of memory");
    const struct stage_file file = {CONFIG_FILE, 0600, config};
    result = stage_claim_take(stage_fd, plan.stage_dir, plan.slug, &claimed, failure);
    if (result == BOTTLE_OK)
        result = stage_dir_write(stage_fd, plan.stage_dir, &file, 1, failure);
    if (result != BOTTLE_OK && claimed)
        stage_claim_undo(stage_fd);
    if (result == BOTTLE_OK)
        *text = steal_pointer(&made_text);
    return result;
}
