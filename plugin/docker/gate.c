/* SPDX-License-Identifier: MIT */
/*
 * gate.c: see gate.h.
 *
 * A gate's first container is claude-bottle-ssh-gate-SLUG.  A gate that takes over gets a container
 * of its own, claude-bottle-ssh-gate-SLUG-INSTANCE, which shares the network of the first (takeover.c).
 * So the first exists as long as any other, and a client in it reaches the relay that serves the slug.
 * When a gate of another backend takes over, the first container gets a name of that form, too.
 */
#include "docker/gate.h"

#include "backend.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/existing.h"
#include "container/labels.h"
#include "container/network.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

struct container gate_container(struct engine *engine, const struct target *target, char *name)
{
    (void)snprintf(name, CONTAINER_NAME_SIZE, CONTAINER_PREFIX "%s", target->slug);
    return (struct container){.engine = engine,
                              .sidecar = SIDECAR_NAME,
                              .slug = target->slug,
                              .instance = target->instance,
                              .name = name};
}

void gate_name_successor(const struct target *target, char *name)
{
    (void)snprintf(name, CONTAINER_NAME_SIZE, CONTAINER_PREFIX "%s-%s", target->slug,
                   target->instance);
}

bool gate_runs_script(json_object *found)
{
    return strcmp(container_label(found, LABEL_PROGRAM), PROGRAM_SCRIPT) == 0;
}

const char *gate_network_holder(json_object *found)
{
    json_object *host_config = object_member(found, "HostConfig");
    const char *mode = object_text(host_config, "NetworkMode");

    return strncmp(mode, NETWORK_OF, strlen(NETWORK_OF)) == 0 ? mode + strlen(NETWORK_OF)
                                                              : object_text(found, "Id");
}

enum bottle_result gate_list(struct engine *engine, const char *slug, json_object **list,
                             struct failure *failure)
{
    return engine_list(engine, ENGINE_CONTAINERS, list, failure,
                       "[\"" LABEL_SIDECAR "=" SIDECAR_NAME "\", \"" LABEL_SLUG "=%s\"]", slug);
}

/* A gate that drains may have been renamed (docker_yield). */
static enum bottle_result find_any(struct engine *engine, const struct target *target,
                                   json_object **found, struct failure *failure)
{
    CLEANUP_JSON json_object *list = NULL;
    enum bottle_result result = gate_list(engine, target->slug, &list, failure);

    if (result == BOTTLE_OK && json_object_array_length(list) == 0)
        return failure_set(failure, BOTTLE_NOT_FOUND, "engine %s has no gate docker:%s",
                           engine_address(engine), target->slug);
    if (result != BOTTLE_OK)
        return result;
    return container_inspect(engine, object_text(json_object_array_get_idx(list, 0), "Id"), found,
                             failure);
}

enum bottle_result gate_find(struct engine *engine, const struct target *target,
                             json_object **found, struct failure *failure)
{
    char name[CONTAINER_NAME_SIZE];
    const struct container wanted = gate_container(engine, target, name);
    enum bottle_result result = container_find(&wanted, found, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    if (!target->instance[0])
        return find_any(engine, target, found, failure);
    gate_name_successor(target, name);
    return container_find(&wanted, found, failure);
}

enum bottle_result gate_find_running(struct engine *engine, const struct target *target,
                                     json_object **found, struct failure *failure)
{
    CLEANUP_JSON json_object *named = NULL;
    enum bottle_result result = gate_find(engine, target, &named, failure);

    if (result != BOTTLE_OK)
        return result;
    if (!container_is_running(named))
        return failure_set(failure, BOTTLE_NOT_FOUND,
                           "the gate docker:%s does not run: its container is %s, with exit "
                           "status %s; stop removes it",
                           target->slug,
                           EXCERPT(object_text(object_member(named, "State"), "Status")),
                           EXCERPT(object_text(object_member(named, "State"), "ExitCode")));
    *found = steal_pointer(&named);
    return BOTTLE_OK;
}

/* ---- asking the relay ---- */

enum bottle_result gate_ask(struct engine *engine, json_object *found, const struct target *target,
                            const char *operation, const char *argument, char **output,
                            struct failure *failure)
{
    char of[SLUG_SIZE + TARGET_INSTANCE_SIZE + 1];
    const char *const request[] = {RELAY_PATH, "control", of, operation, argument, NULL};

    (void)snprintf(of, sizeof of, "%s%s%s", target->slug, target->instance[0] ? ":" : "",
                   target->instance);
    enum bottle_result result =
        container_exec(engine, object_text(found, "Id"), request, output, failure);
    if (result == BOTTLE_NOT_FOUND)
        return failure_set(failure, BOTTLE_NOT_FOUND, "the gate docker:%s has just ended", of);
    return result;
}

static enum bottle_result ask_status(struct engine *engine, json_object *found,
                                     const struct target *target, json_object **status,
                                     struct failure *failure)
{
    CLEANUP_FREE char *output = NULL;
    enum bottle_result result = gate_ask(engine, found, target, "status", NULL, &output, failure);

    if (result != BOTTLE_OK)
        return result;
    CLEANUP_JSON json_object *parsed = json_tokener_parse(output);
    if (!json_object_is_type(parsed, json_type_object))
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "the relay of docker:%s does not answer: %s", target->slug,
                           EXCERPT(output));
    *status = steal_pointer(&parsed);
    return BOTTLE_OK;
}

enum bottle_result gate_status(struct engine *engine, json_object *found,
                               const struct target *target, json_object **status,
                               struct failure *failure)
{
    struct target own = *target;
    enum bottle_result result = ask_status(engine, found, target, status, failure);

    if (result != BOTTLE_UNAVAILABLE || target->instance[0])
        return result;
    /* No relay serves the slug; the one in this container may still drain. */
    (void)snprintf(own.instance, sizeof own.instance, "%s", container_label(found, LABEL_INSTANCE));
    return ask_status(engine, found, &own, status, failure);
}

/* ---- restarting ---- */

const char *gate_restart_policy(json_object *found)
{
    json_object *host_config = object_member(found, "HostConfig");
    const char *name = object_text(object_member(host_config, "RestartPolicy"), "Name");

    return name[0] ? name : "no";
}

enum bottle_result gate_set_restart_policy(struct engine *engine, json_object *found,
                                           const char *policy, struct failure *failure)
{
    json_object *wanted = json_object_new_object();
    CLEANUP_JSON json_object *body = json_object_new_object();
    const char *now = gate_restart_policy(found);
    bool built = object_add_text(wanted, "Name", policy);

    if (!object_add(body, "RestartPolicy", wanted) || !built)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = engine_call(engine, "POST", body, NULL, failure,
                                            "/containers/%s/update", object_text(found, "Id"));
    if (result != BOTTLE_NOT_FOUND)
        return result;
    return failure_set(
        failure, BOTTLE_UNSUPPORTED,
        "engine %s cannot change the restart policy \"%s\", which would restart a gate "
        "that has drained: stop docker:%s instead",
        engine_address(engine), EXCERPT(now), EXCERPT(container_label(found, LABEL_SLUG)));
}
