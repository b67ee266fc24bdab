/* SPDX-License-Identifier: MIT */
/*
 * start.c: the operation start: from a plan to a gate that accepts connections.
 *
 * start checks the networks, makes sure that the engine has the image, and makes the container, which reserves
 * the name claude-bottle-ssh-gate-SLUG.  Then the container is attached to the egress network, gets the
 * script if it runs one, and is started.  If anything fails, it is removed again.  A takeover differs in the
 * container's name, its network and its last step; see takeover.c.
 */
#include "docker/start.h"

#include "bottle/prepare.h"
#include "common/cleanup.h"
#include "common/sidecar/host_log.h"
#include "common/sidecar/stage_claim.h"
#include "common/sidecar/stage_dir.h"
#include "container/networks.h"
#include "docker/gate.h"
#include "docker/options.h"
#include "docker/program.h"
#include "docker/ready.h"
#include "docker/start_context.h"
#include "docker/takeover.h"
#include "engine/engine.h"
#include "engine/file.h"

#include <stdio.h>
#include <string.h>

/* Makes the container and waits until it is ready.  On failure the caller undoes it. */
static enum bottle_result run_container(struct docker_start *start, struct failure *failure)
{
    struct container *container = &start->container;
    bool has_script = start->options.image != NULL;
    CLEANUP_FREE char *text = has_script ? render_entrypoint(start->plan) : NULL;

    if (has_script && !text)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    const struct engine_file script = {
        .path = ENTRYPOINT_FILE, .mode = 0555, .bytes = text, .length = text ? strlen(text) : 0};
    container->body = docker_describe_container(start);
    /* In a takeover the container shares the holder's network. */
    enum bottle_result result =
        container_run(container, start->holder ? NULL : start->internal,
                      start->holder ? NULL : start->egress, has_script ? &script : NULL, failure);
    return result == BOTTLE_OK ? docker_wait_until_ready(start, failure) : result;
}

static enum bottle_result start_with_engine(struct docker_start *start, const struct target *from,
                                            const char *address, struct failure *failure)
{
    const struct plan *plan = start->plan;
    struct container *container = &start->container;
    CLEANUP_FD int stage_fd = -1;
    enum bottle_result result = stage_dir_open(plan->stage_dir, &stage_fd, NULL, failure);

    if (result == BOTTLE_OK)
        result = stage_claim_check(stage_fd, plan->stage_dir, plan->slug, failure);
    if (result == BOTTLE_OK)
        result = engine_open(start->options.engine_timeout_ms, &container->engine, failure);
    if (result == BOTTLE_OK)
        result = networks_find(container->engine, plan->internal_network, plan->egress_network,
                               &start->internal, &start->egress, failure);
    if (result == BOTTLE_OK)
        result = docker_provide_image(start, failure);
    if (result == BOTTLE_NOT_FOUND)
        result = BOTTLE_UNAVAILABLE;
    if (result == BOTTLE_OK && from)
        result = docker_find_predecessor(start, from, failure);
    if (result != BOTTLE_OK)
        return result;
    result = run_container(start, failure);
    if (result == BOTTLE_OK)
        result = from ? docker_take_over(start, stage_fd, address, failure)
                      : agent_files_write(plan, stage_fd, address, failure);
    return result == BOTTLE_OK ? result : container_undo(container, result, failure);
}

enum bottle_result docker_start(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct target *from, char **target,
                                struct failure *failure)
{
    CLEANUP_FREE struct relay_config *config = calloc(1, sizeof *config);
    struct docker_start start = {.host = host, .plan = plan, .config = config};
    struct target own;
    char name[CONTAINER_NAME_SIZE], address[CONTAINER_NAME_SIZE];

    if (!config)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = docker_read_options(options, &start.options, config, failure);
    if (result == BOTTLE_OK)
        result = relay_config_take_plan(config, plan, failure);
    if (result != BOTTLE_OK)
        return result;
    memcpy(own.slug, config->slug, sizeof own.slug);
    memcpy(own.instance, config->instance, sizeof own.instance);
    start.container = gate_container(NULL, &own, address);
    if (from) {
        gate_name_successor(&own, name);
        start.container.name = name;
    }
    result = target_text("docker", own.slug, own.instance, target, failure);
    if (result != BOTTLE_OK)
        return result;
    result = start_with_engine(&start, from, address, failure);
    if (result == BOTTLE_OK)
        host_log(host, BOTTLE_LOG_INFO, "gate %s listens for %zu upstreams as %s on network %s",
                 *target, plan->upstream_count, address, plan->internal_network);
    engine_close(&start.container.engine);
    container_clear(&start.container);
    (void)json_object_put(start.internal);
    (void)json_object_put(start.egress);
    (void)json_object_put(start.holder);
    return result;
}
