/* SPDX-License-Identifier: MIT */
/*
 * takeover.c: see takeover.h.
 *
 * The new container shares the network of the old one.  So the gate keeps the name and the address by which
 * the agent knows it, and the two relays do the takeover between them, over the old one's control socket, as
 * they would on one machine (relay/serve/takeover_offer.c).  At no moment is a port without a listener.
 *
 * An engine removes a container's network together with the container.  So the first container stays, with a
 * relay that accepts no connections, until the last container that took over has ended; then it ends by
 * itself.  With a restart policy the engine would then restart it, with a network of its own.  So the
 * container that is taken over from loses its policy, and one that takes over has none.
 */
#include "docker/takeover.h"

#include "bottle/prepare.h"
#include "common/cleanup.h"
#include "common/sidecar/host_log.h"
#include "common/text/json_object.h"
#include "container/existing.h"
#include "docker/gate.h"
#include "docker/ready.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

/* Whether the container is attached to the network; both as the engine describes them. */
static bool is_on(json_object *found, json_object *network)
{
    json_object *networks = object_member(object_member(found, "NetworkSettings"), "Networks");
    struct json_object_iter iter;

    if (!json_object_is_type(networks, json_type_object))
        return false;
    json_object_object_foreachC(networks, iter)
    {
        /* Podman gives the name in place of the ID. */
        const char *id = object_text(iter.val, "NetworkID");
        if (strcmp(id, object_text(network, "Id")) == 0 ||
            strcmp(id, object_text(network, "Name")) == 0)
            return true;
    }
    return false;
}

static enum bottle_result check_networks(const struct docker_start *start, json_object *holder,
                                         struct failure *failure)
{
    if (is_on(holder, start->internal) && is_on(holder, start->egress))
        return BOTTLE_OK;
    return failure_set(
        failure, BOTTLE_UNSUPPORTED,
        "takeover: the gate docker:%s is on other networks than \"%s\" and \"%s\", and "
        "a gate that takes over must use the same; name those, or stop it first",
        start->plan->slug, start->plan->internal_network, start->plan->egress_network);
}

/* Sets takeover_instance: that of the relay that serves, for a target with or without an instance. */
static enum bottle_result set_instance(const struct docker_start *start, json_object *found,
                                       const struct target *target, struct failure *failure)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result =
        gate_status(start->container.engine, found, target, &status, failure);

    if (result != BOTTLE_OK)
        return result;
    if (strcmp(object_text(status, "state"), "serving") != 0)
        return failure_set(
            failure, BOTTLE_CONFLICT,
            "takeover: the gate docker:%s drains already: stop it, and start without "
            "a takeover",
            target->slug);
    (void)snprintf(start->config->takeover_instance, sizeof start->config->takeover_instance, "%s",
                   object_text(status, "instance"));
    return BOTTLE_OK;
}

static enum bottle_result find_holder(struct docker_start *start, json_object *found,
                                      struct failure *failure)
{
    CLEANUP_FREE char *id = engine_escape(gate_network_holder(found));

    if (!id)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    return container_inspect(start->container.engine, id, &start->holder, failure);
}

enum bottle_result docker_find_predecessor(struct docker_start *start, const struct target *from,
                                           struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    enum bottle_result result = gate_find_running(start->container.engine, from, &found, failure);

    if (result != BOTTLE_OK)
        return result;
    if (start->options.image || gate_runs_script(found))
        return failure_set(
            failure, BOTTLE_UNSUPPORTED,
            "takeover of docker:%s: the script of an image can neither hand over nor "
            "take over; stop it first, and start without a takeover",
            from->slug);
    if (strcmp(start->options.restart, "no") != 0)
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "start options: restart is \"%s\", and a gate that takes over cannot be "
                           "restarted; leave it out, or stop docker:%s first, and start without a "
                           "takeover",
                           start->options.restart, from->slug);
    result = set_instance(start, found, from, failure);
    if (result == BOTTLE_OK)
        result = find_holder(start, found, failure);
    return result == BOTTLE_OK ? check_networks(start, start->holder, failure) : result;
}

static enum bottle_result let_relay_serve(const struct docker_start *start, struct failure *failure)
{
    enum bottle_result result =
        engine_call(start->container.engine, "POST", NULL, NULL, failure,
                    "/containers/%s/kill?signal=SIGUSR1", start->container.id);

    return result == BOTTLE_OK ? docker_wait_for_relay(start, "started", failure) : result;
}

/* Only the holder can have a restart policy. */
static enum bottle_result hand_over(const struct docker_start *start, struct failure *failure)
{
    struct engine *engine = start->container.engine;
    const char *policy = gate_restart_policy(start->holder);
    bool restarts = strcmp(policy, "no") != 0;
    struct failure ignored;

    enum bottle_result result =
        restarts ? gate_set_restart_policy(engine, start->holder, "no", failure) : BOTTLE_OK;
    if (result != BOTTLE_OK)
        return result;
    result = let_relay_serve(start, failure);
    if (result != BOTTLE_OK && restarts &&
        gate_set_restart_policy(engine, start->holder, policy, &ignored) != BOTTLE_OK)
        host_log(start->host, BOTTLE_LOG_WARNING,
                 "docker:%s: its restart policy \"%s\" is lost: %s", start->plan->slug, policy,
                 ignored.message);
    return result;
}

enum bottle_result docker_take_over(const struct docker_start *start, int stage_fd,
                                    const char *address, struct failure *failure)
{
    CLEANUP_AGENT_FILES struct agent_files before = {0};
    enum bottle_result result = agent_files_read(start->plan, stage_fd, &before, failure);

    if (result == BOTTLE_OK)
        result = agent_files_write(start->plan, stage_fd, address, failure);
    if (result != BOTTLE_OK)
        return result;
    result = hand_over(start, failure);
    if (result != BOTTLE_OK)
        agent_files_restore(start->host, start->plan, stage_fd, &before);
    return result;
}
