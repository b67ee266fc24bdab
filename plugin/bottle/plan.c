/* SPDX-License-Identifier: MIT */
/*
 * plan.c: writes the plan as JSON text and reads it back.
 *
 * Between prepare and start the launcher has the text, so start does not trust it: a missing or unknown
 * key, a value that prepare could not have written, and two upstreams with the same port are refused,
 * with a message that says where.  The paths of the files are there for the launcher to read; start
 * requires that they are those that stage_dir implies.
 */
#include "bottle/plan.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/json_reader.h"
#include "common/text/json_text.h"

#include <stdio.h>
#include <string.h>

static const char *const plan_keys[] = {
    "version",     "sidecar",   "slug",      "stage_dir",        "entrypoint_script", "ssh_config",
    "known_hosts", "event_log", "upstreams", "internal_network", "egress_network",    NULL,
};

static const char *const upstream_keys[] = {
    "bottle_host_alias", "listen_port", "upstream_host", "upstream_port", "user", "identity_file",
    "known_host_key",    NULL,
};

/* The keys whose values are paths of files in the stage dir. */
static const struct {
    const char *key;
    const char *file;
} stage_files[] = {
    {"entrypoint_script", ENTRYPOINT_FILE},
    {"ssh_config", SSH_CONFIG_FILE},
    {"known_hosts", KNOWN_HOSTS_FILE},
    {"event_log", EVENT_LOG_FILE},
};
#define STAGE_FILE_COUNT (sizeof stage_files / sizeof stage_files[0])

void plan_clear(struct plan *plan)
{
    for (size_t i = 0; i < plan->upstream_count; i++) {
        free(plan->upstreams[i].identity_file);
        free(plan->upstreams[i].known_host_key);
    }
    free(plan->upstreams);
    free(plan->stage_dir);
    free(plan->internal_network);
    free(plan->egress_network);
    memset(plan, 0, sizeof *plan);
}

static json_object *upstream_object(const struct upstream *upstream)
{
    json_object *object = json_object_new_object();

    if (object && object_add_text(object, "bottle_host_alias", upstream->alias) &&
        object_add(object, "listen_port", json_object_new_int(upstream->listen_port)) &&
        object_add_text(object, "upstream_host", upstream->host) &&
        object_add(object, "upstream_port", json_object_new_int(upstream->port)) &&
        (upstream->user[0] == '\0' || object_add_text(object, "user", upstream->user)) &&
        (!upstream->identity_file ||
         object_add_text(object, "identity_file", upstream->identity_file)) &&
        (!upstream->known_host_key ||
         object_add_text(object, "known_host_key", upstream->known_host_key)))
        return object;
    (void)json_object_put(object);
    return NULL;
}

static json_object *upstreams_array(const struct plan *plan)
{
    json_object *array = json_object_new_array_ext((int)plan->upstream_count);

    for (size_t i = 0; array && i < plan->upstream_count; i++) {
        if (!array_add(array, upstream_object(&plan->upstreams[i]))) {
            (void)json_object_put(array);
            return NULL;
        }
    }
    return array;
}

char *plan_to_json(const struct plan *plan)
{
    CLEANUP_JSON json_object *object = json_object_new_object();
    const char *text;

    if (!object || !object_add(object, "version", json_object_new_int(PLAN_VERSION)) ||
        !object_add_text(object, "sidecar", SIDECAR_NAME) ||
        !object_add_text(object, "slug", plan->slug) ||
        !object_add_text(object, "stage_dir", plan->stage_dir))
        return NULL;
    for (size_t i = 0; i < STAGE_FILE_COUNT; i++) {
        if (!plan_add_path(object, stage_files[i].key, plan->stage_dir, stage_files[i].file))
            return NULL;
    }
    if (!object_add(object, "upstreams", upstreams_array(plan)) ||
        !object_add_text(object, "internal_network", plan->internal_network) ||
        !object_add_text(object, "egress_network", plan->egress_network))
        return NULL;
    text = json_object_to_json_string_ext(object,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    return text ? strdup(text) : NULL;
}

static bool has_key(const struct json_reader *reader, const char *key)
{
    return json_object_object_get_ex(reader->object, key, NULL);
}

static enum bottle_result read_port(const struct json_reader *reader, const char *key,
                                    uint16_t *port)
{
    int64_t number = 0;
    enum bottle_result result = json_read_integer(reader, key, 1, UINT16_MAX, &number);

    if (result == BOTTLE_OK)
        *port = (uint16_t)number;
    return result;
}

static bool is_upstream_host(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z')
            return false;
    }
    return grammar_hostname(text);
}

static enum bottle_result read_upstream(const struct json_reader *reader, struct upstream *upstream)
{
    enum bottle_result result =
        json_check_keys(reader->object, reader->where, upstream_keys, reader->failure);

    if (result == BOTTLE_OK)
        result = json_copy_text(reader, "bottle_host_alias", grammar_alias, upstream->alias,
                                sizeof upstream->alias);
    if (result == BOTTLE_OK)
        result = json_copy_text(reader, "upstream_host", is_upstream_host, upstream->host,
                                sizeof upstream->host);
    if (result == BOTTLE_OK)
        result = read_port(reader, "listen_port", &upstream->listen_port);
    if (result == BOTTLE_OK)
        result = read_port(reader, "upstream_port", &upstream->port);
    if (result == BOTTLE_OK && upstream->port != upstream->listen_port)
        return json_refuse(reader, "upstream_port", "must be equal to listen_port");
    if (result == BOTTLE_OK && has_key(reader, "user"))
        result =
            json_copy_text(reader, "user", grammar_user, upstream->user, sizeof upstream->user);
    if (result == BOTTLE_OK && has_key(reader, "identity_file"))
        result =
            json_duplicate_text(reader, "identity_file", grammar_path, &upstream->identity_file);
    if (result == BOTTLE_OK && has_key(reader, "known_host_key"))
        result = json_duplicate_text(reader, "known_host_key", grammar_host_key,
                                     &upstream->known_host_key);
    return result;
}

static enum bottle_result check_port_is_free(const struct plan *plan, size_t index,
                                             struct failure *failure)
{
    for (size_t i = 0; i < index; i++) {
        if (plan->upstreams[i].listen_port == plan->upstreams[index].listen_port)
            return failure_set(failure, BOTTLE_INVALID,
                               "plan.upstreams[%zu] and plan.upstreams[%zu]: both have "
                               "listen_port %u",
                               i, index, plan->upstreams[index].listen_port);
    }
    return BOTTLE_OK;
}

static enum bottle_result read_upstreams(const struct json_reader *reader, struct plan *plan)
{
    json_object *array;
    size_t count;
    enum bottle_result result = json_read(reader, "upstreams", json_type_array, &array);

    if (result != BOTTLE_OK)
        return result;
    count = json_object_array_length(array);
    if (count > PLAN_MAX_UPSTREAMS)
        return failure_set(reader->failure, BOTTLE_INVALID,
                           "%s: upstreams has %zu items: at most %d are possible", reader->where,
                           count, PLAN_MAX_UPSTREAMS);
    plan->upstreams = calloc(count + 1, sizeof *plan->upstreams);
    if (!plan->upstreams)
        return json_out_of_memory(reader);
    plan->upstream_count = count;
    for (size_t i = 0; i < count && result == BOTTLE_OK; i++) {
        char where[sizeof "plan.upstreams[999]"];
        (void)snprintf(where, sizeof where, "plan.upstreams[%u]", (unsigned)i);
        const struct json_reader item = {json_object_array_get_idx(array, i), where,
                                         reader->failure};
        if (!json_object_is_type(item.object, json_type_object))
            return failure_set(reader->failure, BOTTLE_INVALID, "%s must be an object", where);
        result = read_upstream(&item, &plan->upstreams[i]);
        if (result == BOTTLE_OK)
            result = check_port_is_free(plan, i, reader->failure);
    }
    return result;
}

static enum bottle_result read_plan(const struct json_reader *reader, struct plan *plan)
{
    enum bottle_result result =
        json_check_keys(reader->object, reader->where, plan_keys, reader->failure);

    if (result == BOTTLE_OK)
        result = plan_read_origin(reader, SIDECAR_NAME, PLAN_VERSION);
    if (result == BOTTLE_OK)
        result = json_copy_text(reader, "slug", grammar_slug, plan->slug, sizeof plan->slug);
    if (result == BOTTLE_OK)
        result = plan_read_stage_dir(reader, &plan->stage_dir);
    for (size_t i = 0; i < STAGE_FILE_COUNT && result == BOTTLE_OK; i++)
        result = plan_check_path(reader, stage_files[i].key, plan->stage_dir, stage_files[i].file);
    if (result == BOTTLE_OK)
        result = read_upstreams(reader, plan);
    if (result == BOTTLE_OK)
        result = plan_read_network(reader, "internal_network", &plan->internal_network);
    if (result == BOTTLE_OK)
        result = plan_read_network(reader, "egress_network", &plan->egress_network);
    return result;
}

enum bottle_result plan_from_json(const char *text, struct plan *plan, struct failure *failure)
{
    CLEANUP_JSON json_object *object = NULL;
    enum bottle_result result = json_text_parse("plan", text, &object, failure);

    if (result != BOTTLE_OK)
        return result;
    const struct json_reader reader = {object, "plan", failure};
    result = read_plan(&reader, plan);
    if (result != BOTTLE_OK)
        plan_clear(plan);
    return result;
}
