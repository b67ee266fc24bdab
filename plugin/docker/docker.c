/* SPDX-License-Identifier: MIT */
/*
 * docker.c: the backend that runs the gate as a container, with the engine of $DOCKER_HOST; its
 * operations except start.
 *
 * In docker/ belongs what is specific to a gate in a container.  What other sidecars' containers need, too,
 * is in container/; what the gate needs wherever it runs is in bottle/ and wire/.
 *
 * A gate's state is its container, claude-bottle-ssh-gate-SLUG, which is also the host name that the agent
 * dials; there is no other record of it that could be out of date.  The container runs one of two programs:
 *
 *   the relay     answers status and drain itself: its program is run once more in the container as a
 *                 client (relay/control_command.h), so no port is opened for that.  When the relay ends,
 *                 the engine removes the container
 *   the script    runs in an image of the launcher's choice.  Its status is whether its container runs;
 *                 it cannot drain
 *
 *   start.c       start, from the options to the target       options.c   the start options
 *   program.c     the program and the relay's image           ready.c     waiting until every port accepts
 *   takeover.c    taking over from another gate               gate.c      finding and asking a gate
 */
#include "backend.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/existing.h"
#include "container/labels.h"
#include "docker/gate.h"
#include "docker/start.h"

#include <stdio.h>
#include <string.h>

#define CUT_TRIES  50
#define STOP_TRIES 20

/* ---- stop ---- */

static enum bottle_result stop_container(struct engine *engine, json_object *found,
                                         struct failure *failure)
{
    /* A relay is stopped with a signal, so that it ends its connections; /bin/sh as process 1 ignores signals. */
    return gate_runs_script(found) ? container_remove(engine, object_text(found, "Id"), failure)
                                   : container_stop(engine, found, failure);
}

static enum bottle_result inspect(struct engine *engine, json_object *listed, json_object **found,
                                  struct failure *failure)
{
    return container_inspect(engine, object_text(listed, "Id"), found, failure);
}

/*
 * Stops containers from the list: with holders, those that own their network namespace, without, those that share
 * another's.
 */
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

/* Repeats, because a takeover may add a container meanwhile. */
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
    return failure_set(
        failure, BOTTLE_TIMEOUT,
        "engine %s reports that the containers of docker:%s are removed, but goes on to list "
        "them; remove them by hand, or restart the engine",
        engine_address(engine), slug);
}

/* Ends a relay's connections but keeps its container, whose network others share. */
static enum bottle_result cut_connections(struct engine *engine, json_object *found,
                                          const struct target *target, struct failure *failure)
{
    CLEANUP_FREE char *output = NULL;
    enum bottle_result result = gate_ask(engine, found, target, "drain", "0", &output, failure);

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

/* used: out: whether another container of the slug shares the network of the one with that ID */
static enum bottle_result find_sharers(struct engine *engine, const char *slug, const char *id,
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

/*
 * Stops a gate's first container if it only served to keep the network for the others.  It would end by itself,
 * but a little later.
 */
static enum bottle_result remove_idle(struct engine *engine, const char *slug, const char *id,
                                      struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    CLEANUP_JSON json_object *status = NULL;
    struct target first = {0};
    bool used;
    enum bottle_result result = find_sharers(engine, slug, id, &used, failure);

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
        return BOTTLE_OK; /* it still drains */
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
        result = find_sharers(engine, target->slug, id, &used, failure);
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

/*
 * @container: in: the one asked; out: the one whose relay answered, which may be another one if the target has
 *             no instance
 */
static enum bottle_result relay_status(struct engine *engine, const struct target *target,
                                       json_object **container, json_object **status,
                                       struct failure *failure)
{
    CLEANUP_JSON json_object *answer = NULL;
    struct target answering = *target;
    enum bottle_result result = gate_status(engine, *container, target, &answer, failure);

    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(answering.instance, sizeof answering.instance, "%s",
                   object_text(answer, "instance"));
    if (strcmp(container_label(*container, LABEL_INSTANCE), answering.instance) != 0) {
        (void)json_object_put(*container);
        *container = NULL;
        result = gate_find(engine, &answering, container, failure);
    }
    json_object_object_del(answer, "instance");
    json_object_object_del(answer, "pid"); /* means nothing outside the container */
    json_object_object_del(
        answer, "launcher_pid"); /* in a container a relay does not end with a launcher */
    *status = steal_pointer(&answer);
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

/* container: out: as the engine described it before the operation */
static enum bottle_result end_accepting(struct engine *engine, const struct target *target,
                                        const char *operation, const char *argument,
                                        json_object **container, struct failure *failure)
{
    CLEANUP_FREE char *output = NULL;
    enum bottle_result result = gate_find_running(engine, target, container, failure);

    if (result == BOTTLE_OK && gate_runs_script(*container))
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "the gate docker:%s runs the script of an image, which cannot drain; "
                           "stop it, or start it without an image",
                           target->slug);
    /* Otherwise the engine would restart the relay when it has drained and ended. */
    if (result == BOTTLE_OK && strcmp(gate_restart_policy(*container), "no") != 0)
        result = gate_set_restart_policy(engine, *container, "no", failure);
    if (result == BOTTLE_OK)
        result = gate_ask(engine, *container, target, operation, argument, &output, failure);
    /* The program writes only errors.  (A relay without connections ends at once, before it could answer.) */
    if (result == BOTTLE_OK && output[0])
        result =
            failure_set(failure, BOTTLE_UNAVAILABLE, "the relay of docker:%s does not drain: %s",
                        target->slug, EXCERPT(output));
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
 * Renames the gate's first container, so that another gate of the slug can have the name, and the agent finds
 * that one by it.  Not with Podman, whose DNS would still return the old address.  There, and if
 * renaming fails, the name stays taken until this gate has ended.
 */
static void release_name(struct engine *engine, const char *slug)
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
        release_name(engine, target->slug);
    return result;
}

const struct backend backend_docker = {
    .name = "docker",
    .of_target = {.stop = docker_stop, .status = docker_status},
    .start = docker_start,
    .drain = docker_drain,
    .yield = docker_yield,
};
