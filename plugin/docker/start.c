/* SPDX-License-Identifier: MIT */
/*
 * start.c: from a plan to a gate that accepts.
 *
 * start looks at the networks, sees to the image, and takes the name claude-bottle-ssh-gate-SLUG by
 * creating the container: the engine gives a name once, so of two launchers that start one slug
 * one gets a conflict.  A container of ours that holds the name without running is the rest of a start
 * that was cut off, or of a gate that ended: it is removed.  Not by force: should another launcher
 * have started it meanwhile, the engine refuses, and that launcher has won.
 *
 * Then the container joins the egress network, gets the script if it runs one, and is started.  If
 * anything fails, it is removed again.
 */
#include "docker.h"

#include "common/cleanup.h"
#include "common/host_log.h"
#include "common/stage_dir.h"
#include "common/wait.h"
#include "prepare.h"

#include <stdio.h>
#include <string.h>

#define CLAIM_TRIES 20

/* Makes the name free, if what holds it is a gate of ours that does not run. */
static enum bottle_result remove_leftover(const struct docker_start *start, struct failure *failure)
{
    CLEANUP_JSON json_object *holder = NULL;
    enum bottle_result result = engine_call(start->engine, "GET", NULL, &holder, failure,
                                            "/containers/%s/json", start->name);

    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
    if (strcmp(gate_label(holder, LABEL_SIDECAR), SIDECAR_NAME) != 0)
        return failure_set(
            failure, BOTTLE_CONFLICT,
            "container %s exists, and is no gate of ssh_gate's; rename it, or choose "
            "another slug",
            start->name);
    if (gate_is_running(holder))
        return failure_set(failure, BOTTLE_CONFLICT,
                           "slug \"%s\" has a running gate already: stop docker:%s:%s first, or "
                           "choose another slug",
                           start->plan->slug, start->plan->slug,
                           gate_label(holder, LABEL_INSTANCE));
    result = engine_call(start->engine, "DELETE", NULL, NULL, failure, "/containers/%s?v=1",
                         object_text(holder, "Id"));
    /* It was started, or is being removed, by another: the next try shows. */
    return result == BOTTLE_NOT_FOUND || result == BOTTLE_CONFLICT ? BOTTLE_OK : result;
}

static enum bottle_result create_container(struct docker_start *start, struct failure *failure)
{
    CLEANUP_JSON json_object *body = docker_describe_container(start);
    CLEANUP_JSON json_object *created = NULL;

    if (!body)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = engine_call(start->engine, "POST", body, &created, failure,
                                            "/containers/create?name=%s", start->name);
    start->may_come = result == BOTTLE_TIMEOUT || result == BOTTLE_UNAVAILABLE;
    if (result != BOTTLE_OK)
        return result;
    free(start->id);
    start->id = engine_escape(object_text(created, "Id"));
    return start->id ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* What another look may change; a name that is taken is 409 for Docker, and 500 for Podman. */
static bool may_pass(enum bottle_result result)
{
    return result == BOTTLE_CONFLICT || result == BOTTLE_UNAVAILABLE;
}

/* Takes the name; the tries are for a holder that is just being created, started or removed. */
static enum bottle_result claim(struct docker_start *start, struct failure *failure)
{
    enum bottle_result result = BOTTLE_OK;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_leftover(start, failure);
        if (result == BOTTLE_CONFLICT)
            return result;
        if (result == BOTTLE_OK)
            result = create_container(start, failure);
        if (!may_pass(result))
            return result;
        wait_pause(PAUSE_MS);
    }
    return result;
}

static enum bottle_result connect_egress(const struct docker_start *start, struct failure *failure)
{
    CLEANUP_JSON json_object *body = json_object_new_object();

    if (!object_add_text(body, "Container", start->id))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    return engine_call(start->engine, "POST", body, NULL, failure, "/networks/%s/connect",
                       object_text(start->egress, "Id"));
}

static enum bottle_result put_script(const struct docker_start *start, struct failure *failure)
{
    CLEANUP_FREE char *text = render_entrypoint(start->plan);

    if (!text)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    const struct engine_file script = {
        .path = ENTRYPOINT_FILE, .mode = 0555, .bytes = text, .length = strlen(text)};
    return engine_put_files(start->engine, start->id, &script, 1, failure);
}

/* From the container's creation on: what fails here is undone by the caller. */
static enum bottle_result run_container(struct docker_start *start, struct failure *failure)
{
    enum bottle_result result = claim(start, failure);

    if (result == BOTTLE_OK)
        result = connect_egress(start, failure);
    if (result == BOTTLE_OK && start->options.image)
        result = put_script(start, failure);
    if (result == BOTTLE_OK)
        result = engine_call(start->engine, "POST", NULL, NULL, failure, "/containers/%s/start",
                             start->id);
    if (result == BOTTLE_OK)
        result = docker_wait_until_ready(start, failure);
    /* NOT_FOUND is no result of start's. */
    if (result == BOTTLE_NOT_FOUND)
        return failure_set(failure, BOTTLE_CONFLICT,
                           "container %s was removed while it was being started, by another "
                           "launcher or by hand; start again",
                           start->name);
    return result;
}

/* BOTTLE_NOT_FOUND: there is none of this start's. */
static enum bottle_result remove_own(const struct docker_start *start, struct failure *failure)
{
    CLEANUP_JSON json_object *container = NULL;
    enum bottle_result result = gate_find(start->engine, &start->target, &container, failure);

    if (result != BOTTLE_OK)
        return result;
    return gate_remove_container(start->engine, object_text(container, "Id"), failure);
}

/*
 * The container that the engine was asked for without an answer is there, or comes yet, or never does.
 * Taking the name tells: while the engine is at it, the name is taken, and afterwards it cannot begin.
 */
static enum bottle_result remove_what_may_come(struct docker_start *start, struct failure *failure)
{
    enum bottle_result result = BOTTLE_NOT_FOUND;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_own(start, failure);
        if (result != BOTTLE_NOT_FOUND)
            return result;
        result = create_container(start, failure);
        if (result == BOTTLE_OK)
            return remove_own(start, failure);
        if (!may_pass(result))
            return result;
        wait_pause(PAUSE_MS);
    }
    return result == BOTTLE_CONFLICT ? BOTTLE_NOT_FOUND : result; /* it is another's name now */
}

static enum bottle_result undo(struct docker_start *start, enum bottle_result result,
                               struct failure *failure)
{
    struct failure undoing, first = *failure;
    enum bottle_result undone =
        start->may_come ? remove_what_may_come(start, &undoing) : remove_own(start, &undoing);

    if (undone == BOTTLE_OK || undone == BOTTLE_NOT_FOUND)
        return result;
    return failure_set(
        failure, result, "%.500s; container %s may be left, stop docker:%s:%s later: %.300s",
        first.message, start->name, start->target.slug, start->target.instance, undoing.message);
}

static enum bottle_result start_with_engine(struct docker_start *start, struct failure *failure)
{
    CLEANUP_FD int stage_fd = -1;
    enum bottle_result result = stage_dir_open(start->plan->stage_dir, &stage_fd, NULL, failure);

    if (result == BOTTLE_OK)
        result = engine_open(start->options.engine_timeout_ms, &start->engine, failure);
    if (result == BOTTLE_OK)
        result = docker_find_networks(start, failure);
    if (result == BOTTLE_OK)
        result = docker_provide_image(start, failure);
    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_UNAVAILABLE : result;
    result = run_container(start, failure);
    if (result == BOTTLE_OK)
        result = agent_files_write(start->plan, stage_fd, start->name, failure);
    return result == BOTTLE_OK ? result : undo(start, result, failure);
}

enum bottle_result docker_start(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct takeover_from *from,
                                char **target, struct failure *failure)
{
    CLEANUP_FREE struct relay_config *config = calloc(1, sizeof *config);
    struct docker_start start = {.host = host, .plan = plan, .config = config};

    if (from)
        return takeover_unsupported(&backend_docker, from, failure);
    if (!config)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = docker_read_options(options, &start.options, config, failure);
    if (result == BOTTLE_OK)
        result = relay_config_take_plan(config, plan, failure);
    if (result != BOTTLE_OK)
        return result;
    gate_container_name(plan->slug, start.name);
    memcpy(start.target.slug, config->slug, sizeof start.target.slug);
    memcpy(start.target.instance, config->instance, sizeof start.target.instance);
    if (asprintf(target, "docker:%s:%s", config->slug, config->instance) < 0) {
        *target = NULL;
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    }
    result = start_with_engine(&start, failure);
    if (result == BOTTLE_OK)
        host_log(host, BOTTLE_LOG_INFO, "gate %s listens for %zu upstreams as %s on network %s",
                 *target, plan->upstream_count, start.name, plan->internal_network);
    engine_close(&start.engine);
    (void)json_object_put(start.internal);
    (void)json_object_put(start.egress);
    free(start.id);
    return result;
}
