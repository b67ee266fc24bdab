/* SPDX-License-Identifier: MIT */
/*
 * gate.c: the container of a gate, whoever started it.
 *
 * Its labels say whose it is.  The name alone proves nothing: a container that somebody else gave it
 * is never touched.
 */
#include "docker.h"

#include "common/cleanup.h"
#include "common/wait.h"

#include <stdio.h>
#include <string.h>

#define FIND_TRIES 3

void gate_container_name(const char *slug, char name[CONTAINER_NAME_SIZE])
{
    (void)snprintf(name, CONTAINER_NAME_SIZE, CONTAINER_PREFIX "%s", slug);
}

const char *gate_label(json_object *container, const char *key)
{
    return object_text(object_member(object_member(container, "Config"), "Labels"), key);
}

bool gate_runs_script(json_object *container)
{
    return strcmp(gate_label(container, LABEL_PROGRAM), PROGRAM_SCRIPT) == 0;
}

bool gate_is_running(json_object *container)
{
    return json_object_get_boolean(object_member(object_member(container, "State"), "Running"));
}

enum bottle_result gate_find(struct engine *engine, const struct target *target,
                             json_object **container, struct failure *failure)
{
    char name[CONTAINER_NAME_SIZE];
    CLEANUP_JSON json_object *found = NULL;

    gate_container_name(target->slug, name);
    enum bottle_result result = BOTTLE_UNAVAILABLE;
    /* Podman answers 500 for a container that is just being removed. */
    for (int i = 0; i < FIND_TRIES && result == BOTTLE_UNAVAILABLE; i++) {
        if (i > 0)
            wait_pause(PAUSE_MS);
        result = engine_call(engine, "GET", NULL, &found, failure, "/containers/%s/json", name);
    }
    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return result;
    bool is_ours = strcmp(gate_label(found, LABEL_SIDECAR), SIDECAR_NAME) == 0 &&
                   strcmp(gate_label(found, LABEL_SLUG), target->slug) == 0;
    bool is_meant =
        !target->instance[0] || strcmp(gate_label(found, LABEL_INSTANCE), target->instance) == 0;
    if (!is_ours || !is_meant)
        return failure_set(failure, BOTTLE_NOT_FOUND,
                           "engine %s has no gate docker:%s%s%s (container %s)",
                           engine_address(engine), target->slug, target->instance[0] ? ":" : "",
                           target->instance, name);
    *container = steal_pointer(&found);
    return BOTTLE_OK;
}

/* Of a container that has just ended, Docker says 409 or 404 and Podman 500: so it is looked at. */
enum bottle_result gate_exec(struct engine *engine, const char *id, const char *const *command,
                             char **output, struct failure *failure)
{
    CLEANUP_JSON json_object *container = NULL;
    struct failure looking;
    enum bottle_result result = engine_exec(engine, id, command, output, failure);

    if (result == BOTTLE_OK || result == BOTTLE_TIMEOUT)
        return result;
    enum bottle_result looked =
        engine_call(engine, "GET", NULL, &container, &looking, "/containers/%s/json", id);
    if (looked == BOTTLE_NOT_FOUND || (looked == BOTTLE_OK && !gate_is_running(container)))
        return failure_set(failure, BOTTLE_NOT_FOUND, "container %s has just ended", id);
    return result;
}

/* The engine may be removing it already: then it is gone a little later. */
enum bottle_result gate_remove_container(struct engine *engine, const char *id,
                                         struct failure *failure)
{
    int64_t end_ms = wait_now_ms() + ENGINE_TIMEOUT_MS;
    enum bottle_result result;

    for (;;) {
        result =
            engine_call(engine, "DELETE", NULL, NULL, failure, "/containers/%s?force=1&v=1", id);
        if (result != BOTTLE_CONFLICT || wait_now_ms() > end_ms)
            break;
        wait_pause(PAUSE_MS);
    }
    return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
}
