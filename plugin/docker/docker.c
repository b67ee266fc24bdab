/* SPDX-License-Identifier: MIT */
/*
 * docker.c: the backend that runs the gate as a container, with the engine of $DOCKER_HOST.
 *
 * A gate is its container: claude-bottle-ssh-gate-SLUG, which is also the host name that the agent
 * dials.  Nothing else is kept, so nothing can go stale.  Of the two programs that can be in it
 *
 *   the relay     answers for itself: status and drain run its program once more inside
 *                 (relay/control_command.h), so no port is opened for them; when it ends, the engine
 *                 removes the container
 *   the script    in an image of the launcher's choice, as the first ssh_gate did it; the engine knows
 *                 whether it runs, and that is its status; it cannot drain
 *
 * docker.h lists the other files; start.c is where to read on.
 */
#include "docker.h"

#include "common/cleanup.h"
#include "common/utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static enum bottle_result remove_gate(struct engine *engine, const struct target *target,
                                      struct failure *failure)
{
    CLEANUP_JSON json_object *container = NULL;
    enum bottle_result result = gate_find(engine, target, &container, failure);

    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
    /* So that its peers see their connections end; /bin/sh as the first process hears no signal. */
    if (gate_is_running(container) && !gate_runs_script(container)) {
        result = engine_call(engine, "POST", NULL, NULL, failure, "/containers/%s/stop?t=2",
                             object_text(container, "Id"));
        if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND && result != BOTTLE_CONFLICT)
            return result;
    }
    return gate_remove_container(engine, object_text(container, "Id"), failure);
}

static enum bottle_result docker_stop(const struct target *target, struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    return result == BOTTLE_OK ? remove_gate(engine, target, failure) : result;
}

static enum bottle_result find_running(struct engine *engine, const struct target *target,
                                       json_object **container, struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    enum bottle_result result = gate_find(engine, target, &found, failure);

    if (result != BOTTLE_OK)
        return result;
    if (!gate_is_running(found))
        return failure_set(failure, BOTTLE_NOT_FOUND,
                           "the gate docker:%s does not run: its container is %s, with exit "
                           "status %s; stop removes it",
                           target->slug, object_text(object_member(found, "State"), "Status"),
                           object_text(object_member(found, "State"), "ExitCode"));
    *container = steal_pointer(&found);
    return BOTTLE_OK;
}

/*
 * Runs the relay's program as a client of the relay.
 * @said: out: what it said; empty if the container ended meanwhile
 */
static enum bottle_result ask_relay(struct engine *engine, json_object *container,
                                    const char *const *request, char **said,
                                    struct failure *failure)
{
    enum bottle_result result =
        gate_exec(engine, object_text(container, "Id"), request, said, failure);

    if (result == BOTTLE_NOT_FOUND)
        return failure_set(failure, BOTTLE_NOT_FOUND, "the gate docker:%s has just ended",
                           gate_label(container, LABEL_SLUG));
    return result;
}

static enum bottle_result relay_status(struct engine *engine, json_object *container,
                                       json_object **status, struct failure *failure)
{
    const char *slug = gate_label(container, LABEL_SLUG);
    const char *const request[] = {RELAY_PATH, "control", slug, "status", NULL};
    CLEANUP_FREE char *said = NULL;
    enum bottle_result result = ask_relay(engine, container, request, &said, failure);

    if (result != BOTTLE_OK)
        return result;
    CLEANUP_JSON json_object *parsed = json_tokener_parse(said);
    if (!json_object_is_type(parsed, json_type_object))
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "the relay of docker:%s does not answer: %s", slug, EXCERPT(said));
    json_object_object_del(parsed, "instance");
    json_object_object_del(parsed, "pid"); /* a number of the container's own */
    *status = steal_pointer(&parsed);
    return BOTTLE_OK;
}

/* Since when it runs, by this machine's clock; the engine's may be another. */
static int64_t uptime_ms(json_object *container)
{
    struct tm started = {0};
    struct timespec now;

    if (!strptime(object_text(object_member(container, "State"), "StartedAt"), "%Y-%m-%dT%H:%M:%S",
                  &started) ||
        clock_gettime(CLOCK_REALTIME, &now))
        return 0;
    int64_t uptime_s = (int64_t)now.tv_sec - (int64_t)timegm(&started);
    return uptime_s > 0 ? uptime_s * 1000 : 0;
}

static enum bottle_result script_status(json_object *container, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_JSON json_object *made = json_object_new_object();
    json_object *upstreams = json_tokener_parse(gate_label(container, LABEL_UPSTREAMS));

    if (!object_add(made, "upstreams", upstreams) ||
        !object_add_text(made, "slug", gate_label(container, LABEL_SLUG)) ||
        !object_add_text(made, "state", "serving") ||
        !object_add(made, "uptime_ms", json_object_new_int64(uptime_ms(container))))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&made);
    return BOTTLE_OK;
}

static enum bottle_result docker_status(const struct target *target, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *container = NULL;
    CLEANUP_JSON json_object *made = NULL;
    CLEANUP_FREE char *full = NULL;
    char name[CONTAINER_NAME_SIZE];
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    if (result == BOTTLE_OK)
        result = find_running(engine, target, &container, failure);
    if (result == BOTTLE_OK)
        result = gate_runs_script(container) ? script_status(container, &made, failure)
                                             : relay_status(engine, container, &made, failure);
    if (result != BOTTLE_OK)
        return result;
    gate_container_name(target->slug, name);
    if (asprintf(&full, "docker:%s:%s", target->slug, gate_label(container, LABEL_INSTANCE)) < 0)
        full = NULL;
    if (!full || !object_add_text(made, "target", full) ||
        !object_add_text(made, "address", name) ||
        !object_add_text(made, "container", object_text(container, "Id")) ||
        !object_add_text(made, "image", object_text(object_member(container, "Config"), "Image")))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&made);
    return BOTTLE_OK;
}

/* The engine would start a relay again that ended because it had drained. */
static enum bottle_result end_restarts(struct engine *engine, json_object *container,
                                       struct failure *failure)
{
    json_object *policy = object_member(object_member(container, "HostConfig"), "RestartPolicy");
    const char *name = object_text(policy, "Name");

    if (!name[0] || strcmp(name, "no") == 0)
        return BOTTLE_OK;
    CLEANUP_JSON json_object *body = json_tokener_parse("{\"RestartPolicy\": {\"Name\": \"no\"}}");
    if (!body)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = engine_call(engine, "POST", body, NULL, failure,
                                            "/containers/%s/update", object_text(container, "Id"));
    if (result != BOTTLE_NOT_FOUND)
        return result;
    return failure_set(failure, BOTTLE_UNSUPPORTED,
                       "engine %s cannot change the restart policy \"%s\", with which a gate that "
                       "has drained would come back: stop docker:%s",
                       engine_address(engine), name, gate_label(container, LABEL_SLUG));
}

static enum bottle_result docker_drain(const struct target *target, int64_t grace_ms,
                                       struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *container = NULL;
    CLEANUP_FREE char *said = NULL;
    char grace[24];
    const char *const request[] = {RELAY_PATH, "control", target->slug, "drain", grace, NULL};
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);

    (void)snprintf(grace, sizeof grace, "%lld", (long long)grace_ms);
    if (result == BOTTLE_OK)
        result = find_running(engine, target, &container, failure);
    if (result == BOTTLE_OK && gate_runs_script(container))
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "the gate docker:%s runs the script of an image, which cannot drain; "
                           "stop it, or start it without an image",
                           target->slug);
    if (result == BOTTLE_OK)
        result = end_restarts(engine, container, failure);
    if (result == BOTTLE_OK)
        result = ask_relay(engine, container, request, &said, failure);
    /* It says something only to complain: a relay with no connections is gone at once. */
    if (result == BOTTLE_OK && said[0])
        result =
            failure_set(failure, BOTTLE_UNAVAILABLE, "the relay of docker:%s does not drain: %s",
                        target->slug, EXCERPT(said));
    return result;
}

const struct backend backend_docker = {
    .name = "docker",
    .start = docker_start,
    .stop = docker_stop,
    .drain = docker_drain,
    .status = docker_status,
};
