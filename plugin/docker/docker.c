/* SPDX-License-Identifier: MIT */
/*
 * docker.c: the backend that runs the gate as a container, with the engine of $DOCKER_HOST.
 *
 * A gate is its container: claude-bottle-ssh-gate-SLUG, which is also the host name that the agent
 * dials (gate.c).  Nothing else is kept, so nothing can go stale.  Of the two programs that can be in it
 *
 *   the relay     answers for itself: status and drain run its program once more inside
 *                 (relay/control_command.h), so no port is opened for them; when it ends, the engine
 *                 removes the container
 *   the script    in an image of the launcher's choice, as the first ssh_gate did it; the engine knows
 *                 whether it runs, and that is its status; it cannot drain
 *
 * docker.h lists the other files; start.c is where to read on.
 */
#include "docker/docker.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>

#define CUT_TRIES  50
#define STOP_TRIES 20

/* ---- stop ---- */

static enum bottle_result stop_container(struct engine *engine, json_object *found,
                                         struct failure *failure)
{
    /* So that its peers see their connections end; /bin/sh as the first process hears no signal. */
    return gate_runs_script(found) ? container_remove(engine, object_text(found, "Id"), failure)
                                   : container_stop(engine, found, failure);
}

static enum bottle_result inspect(struct engine *engine, json_object *listed, json_object **found,
                                  struct failure *failure)
{
    return container_inspect(engine, object_text(listed, "Id"), found, failure);
}

/* Of the slug: those that took over, or the one that their network is. */
static enum bottle_result stop_listed(struct engine *engine, json_object *list, bool holders,
                                      struct failure *failure)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        CLEANUP_JSON json_object *found = NULL;
        enum bottle_result result =
            inspect(engine, json_object_array_get_idx(list, i), &found, failure);
        if (result == BOTTLE_NOT_FOUND)
            continue;
        bool is_holder = strcmp(gate_network_holder(found), object_text(found, "Id")) == 0;
        if (result == BOTTLE_OK && is_holder == holders)
            result = stop_container(engine, found, failure);
        if (result != BOTTLE_OK)
            return result;
    }
    return BOTTLE_OK;
}

/* More than once, because a takeover may be under way; but not for ever, whatever the engine lists. */
static enum bottle_result stop_all(struct engine *engine, const char *slug, struct failure *failure)
{
    for (int i = 0; i < STOP_TRIES; i++) {
        CLEANUP_JSON json_object *list = NULL;
        if (i > 0)
            wait_pause(CONTAINER_PAUSE_MS);
        enum bottle_result result = gate_list(engine, slug, &list, failure);
        if (result != BOTTLE_OK || json_object_array_length(list) == 0)
            return result;
        result = stop_listed(engine, list, false, failure);
        if (result == BOTTLE_OK)
            result = stop_listed(engine, list, true, failure);
        if (result != BOTTLE_OK)
            return result;
    }
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "engine %s says that it removes the containers of docker:%s, but goes on to "
                       "list them; remove them by hand, or restart the engine",
                       engine_address(engine), slug);
}

/* Ends the connections of a relay that others need for its network. */
static enum bottle_result cut_connections(struct engine *engine, json_object *found,
                                          const struct target *target, struct failure *failure)
{
    CLEANUP_FREE char *said = NULL;
    enum bottle_result result = gate_ask(engine, found, target, "drain", "0", &said, failure);

    for (int i = 0; i < CUT_TRIES && result == BOTTLE_OK; i++) {
        CLEANUP_JSON json_object *status = NULL;
        result = gate_status(engine, found, target, &status, failure);
        if (result == BOTTLE_OK &&
            json_object_get_int64(object_member(status, "connections_now")) == 0)
            return BOTTLE_OK;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    if (result != BOTTLE_OK)
        return result;
    return failure_set(failure, BOTTLE_TIMEOUT, "docker:%s:%s does not end its connections",
                       target->slug, target->instance);
}

/* used: out: another container of the slug is in the network of the one with that ID */
static enum bottle_result look_for_users(struct engine *engine, const char *slug, const char *id,
                                         bool *used, struct failure *failure)
{
    CLEANUP_JSON json_object *list = NULL;
    enum bottle_result result = gate_list(engine, slug, &list, failure);

    *used = false;
    for (size_t i = 0; result == BOTTLE_OK && !*used && i < json_object_array_length(list); i++) {
        CLEANUP_JSON json_object *found = NULL;
        result = inspect(engine, json_object_array_get_idx(list, i), &found, failure);
        *used = result == BOTTLE_OK && strcmp(object_text(found, "Id"), id) != 0 &&
                strcmp(gate_network_holder(found), id) == 0;
        if (result == BOTTLE_NOT_FOUND)
            result = BOTTLE_OK;
    }
    return result;
}

/* The first of several, if it is there for its network alone: it would end by itself, but a little later. */
static enum bottle_result remove_idle(struct engine *engine, const char *slug, const char *id,
                                      struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    CLEANUP_JSON json_object *status = NULL;
    struct target first = {0};
    bool used;
    enum bottle_result result = look_for_users(engine, slug, id, &used, failure);

    if (result != BOTTLE_OK || used)
        return result;
    result = container_inspect(engine, id, &found, failure);
    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
    (void)snprintf(first.slug, sizeof first.slug, "%s", slug);
    (void)snprintf(first.instance, sizeof first.instance, "%s",
                   container_label(found, LABEL_INSTANCE));
    result = gate_status(engine, found, &first, &status, failure);
    if (result == BOTTLE_OK && json_object_get_int64(object_member(status, "connections_now")) > 0)
        return BOTTLE_OK; /* it drains */
    return stop_container(engine, found, failure);
}

static enum bottle_result stop_instance(struct engine *engine, const struct target *target,
                                        struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    bool used = false;
    enum bottle_result result = gate_find(engine, target, &found, failure);

    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
    const char *id = object_text(found, "Id"), *holder = gate_network_holder(found);
    if (container_is_running(found))
        result = look_for_users(engine, target->slug, id, &used, failure);
    if (result != BOTTLE_OK)
        return result;
    if (used)
        return cut_connections(engine, found, target, failure);
    result = stop_container(engine, found, failure);
    return result == BOTTLE_OK && strcmp(holder, id) != 0
               ? remove_idle(engine, target->slug, holder, failure)
               : result;
}

static enum bottle_result docker_stop(const struct target *target, struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    if (result != BOTTLE_OK)
        return result;
    return target->instance[0] ? stop_instance(engine, target, failure)
                               : stop_all(engine, target->slug, failure);
}

/* ---- status ---- */

static enum bottle_result script_status(json_object *container, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_JSON json_object *made = json_object_new_object();
    json_object *upstreams = json_tokener_parse(container_label(container, LABEL_UPSTREAMS));

    if (!object_add(made, "upstreams", upstreams) ||
        !object_add_text(made, "slug", container_label(container, LABEL_SLUG)) ||
        !object_add_text(made, "state", "serving") ||
        !object_add(made, "uptime_ms", json_object_new_int64(container_uptime_ms(container))))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&made);
    return BOTTLE_OK;
}

/* By what the relay says: the one that answers for a slug may be in another container. */
static enum bottle_result relay_status(struct engine *engine, const struct target *target,
                                       json_object **container, json_object **status,
                                       struct failure *failure)
{
    CLEANUP_JSON json_object *said = NULL;
    struct target answering = *target;
    enum bottle_result result = gate_status(engine, *container, target, &said, failure);

    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(answering.instance, sizeof answering.instance, "%s",
                   object_text(said, "instance"));
    if (strcmp(container_label(*container, LABEL_INSTANCE), answering.instance) != 0) {
        (void)json_object_put(*container);
        *container = NULL;
        result = gate_find(engine, &answering, container, failure);
    }
    json_object_object_del(said, "instance");
    json_object_object_del(said, "pid");          /* a number of the container's own */
    json_object_object_del(said, "launcher_pid"); /* it ends with none */
    *status = steal_pointer(&said);
    return result;
}

static enum bottle_result docker_status(const struct target *target, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *container = NULL;
    CLEANUP_JSON json_object *made = NULL;
    CLEANUP_FREE char *full = NULL;
    char address[CONTAINER_NAME_SIZE];
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    if (result == BOTTLE_OK)
        result = gate_find_running(engine, target, &container, failure);
    if (result == BOTTLE_OK)
        result = gate_runs_script(container)
                     ? script_status(container, &made, failure)
                     : relay_status(engine, target, &container, &made, failure);
    if (result != BOTTLE_OK)
        return result;
    (void)gate_container(engine, target, address);
    result = target_text("docker", target->slug, container_label(container, LABEL_INSTANCE), &full,
                         failure);
    if (result != BOTTLE_OK)
        return result;
    if (!object_add_text(made, "target", full) || !object_add_text(made, "address", address) ||
        !object_add_text(made, "container", object_text(container, "Id")) ||
        !object_add_text(made, "image", object_text(object_member(container, "Config"), "Image")))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&made);
    return BOTTLE_OK;
}

/* ---- drain ---- */

/* container: out: as it was before */
static enum bottle_result end_accepting(struct engine *engine, const struct target *target,
                                        const char *operation, const char *argument,
                                        json_object **container, struct failure *failure)
{
    CLEANUP_FREE char *said = NULL;
    enum bottle_result result = gate_find_running(engine, target, container, failure);

    if (result == BOTTLE_OK && gate_runs_script(*container))
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "the gate docker:%s runs the script of an image, which cannot drain; "
                           "stop it, or start it without an image",
                           target->slug);
    /* The engine would start a relay again that ended because it had drained. */
    if (result == BOTTLE_OK && strcmp(gate_restart_policy(*container), "no") != 0)
        result = gate_set_restart_policy(engine, *container, "no", failure);
    if (result == BOTTLE_OK)
        result = gate_ask(engine, *container, target, operation, argument, &said, failure);
    /* It says something only to complain: a relay with no connections is gone at once. */
    if (result == BOTTLE_OK && said[0])
        result =
            failure_set(failure, BOTTLE_UNAVAILABLE, "the relay of docker:%s does not drain: %s",
                        target->slug, EXCERPT(said));
    return result;
}

static enum bottle_result docker_drain(const struct target *target, int64_t grace_ms,
                                       struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *container = NULL;
    char grace[24];
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(grace, sizeof grace, "%lld", (long long)grace_ms);
    return end_accepting(engine, target, "drain", grace, &container, failure);
}

/*
 * The name is free then for another gate of the slug, and leads the agent there.  Not with Podman, which
 * goes on to answer with the old address: there, or should it fail, the name is taken until this gate
 * has ended.
 */
static void let_name_go(struct engine *engine, const char *slug)
{
    CLEANUP_JSON json_object *found = NULL;
    char name[CONTAINER_NAME_SIZE], other_name[CONTAINER_NAME_SIZE];
    struct target gate = {0};
    struct failure ignored;

    (void)snprintf(gate.slug, sizeof gate.slug, "%s", slug);
    const struct container named = gate_container(engine, &gate, name);
    if (engine_is_podman(engine) || container_find(&named, &found, &ignored) != BOTTLE_OK)
        return;
    (void)snprintf(gate.instance, sizeof gate.instance, "%s",
                   container_label(found, LABEL_INSTANCE));
    gate_name_successor(&gate, other_name);
    (void)engine_call(engine, "POST", NULL, NULL, &ignored, "/containers/%s/rename?name=%s",
                      object_text(found, "Id"), other_name);
}

static enum bottle_result docker_yield(const struct target *target, struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *container = NULL;
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    if (result == BOTTLE_OK)
        result = end_accepting(engine, target, "yield", NULL, &container, failure);
    if (result == BOTTLE_OK)
        let_name_go(engine, target->slug);
    return result;
}

const struct backend backend_docker = {
    .name = "docker",
    .of_target = {.stop = docker_stop, .status = docker_status},
    .start = docker_start,
    .drain = docker_drain,
    .yield = docker_yield,
};
