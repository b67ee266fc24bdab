/* SPDX-License-Identifier: MIT */
/*
 * backend_change.c: a gate that takes over from one of another backend.
 *
 * Gates of different backends cannot hand over sockets, and the agent reaches the new one at another address.
 * So the new gate is started while the old one still runs; start makes the agent's ssh_config point to the
 * new one.  Then the old one accepts no more connections, and ends when those that it has have ended.  In
 * between both accept connections.  If the old one cannot be made to drain, the new one is stopped again.
 */
#include "backend.h"

#include "bottle/prepare.h"
#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_object.h"

#include <string.h>

/* Refuses a gate that ends with its launcher, which only a process can do, and one that drains already. */
static enum bottle_result check_predecessor(const struct backend *backend,
                                            const struct target *gate, struct failure *failure)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result = backend->of_target.status(gate, &status, failure);

    if (result != BOTTLE_OK)
        return result;
    int launcher_pid = json_object_get_int(json_object_object_get(status, "launcher_pid"));
    if (launcher_pid > 0)
        return failure_set(
            failure, BOTTLE_UNSUPPORTED,
            "takeover: the gate %s:%s ends with process %d (exit_with_launcher), which "
            "a container cannot: let a gate of backend \"native\" with "
            "exit_with_launcher false take over first, or stop it",
            backend->name, gate->slug, launcher_pid);
    if (strcmp(object_text(status, "state"), "serving") == 0)
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_CONFLICT,
                       "takeover: the gate %s:%s drains already: stop it, and start without a "
                       "takeover",
                       backend->name, gate->slug);
}

/* It is no failure if the old gate has ended meanwhile. */
static enum bottle_result yield(const struct backend *backend, const struct target *gate,
                                struct failure *failure)
{
    enum bottle_result result = backend->yield(gate, failure);

    return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
}

static enum bottle_result stop_started(const struct backend *backend, const char *target,
                                       enum bottle_result result, struct failure *failure)
{
    const char *const backends[] = {backend->name, NULL};
    struct target gate;
    struct failure stopping, first = *failure;
    size_t index;
    enum bottle_result stopped = target_parse(target, backends, &index, &gate, &stopping);

    if (stopped == BOTTLE_OK)
        stopped = backend->of_target.stop(&gate, &stopping);
    if (stopped == BOTTLE_OK || stopped == BOTTLE_NOT_FOUND)
        return result;
    return failure_set(failure, result, "%.500s; %s may be left over, stop it later: %.300s",
                       first.message, target, stopping.message);
}

enum bottle_result backend_change(const struct backend *backend, const struct bottle_host *host,
                                  const struct plan *plan, json_object *options,
                                  const struct backend *from_backend, const struct target *from,
                                  char **target, struct failure *failure)
{
    CLEANUP_AGENT_FILES struct agent_files before = {0};
    CLEANUP_FD int stage_fd = -1;
    enum bottle_result result = check_predecessor(from_backend, from, failure);

    if (result == BOTTLE_OK)
        result = stage_dir_open(plan->stage_dir, &stage_fd, NULL, failure);
    if (result == BOTTLE_OK)
        result = agent_files_read(plan, stage_fd, &before, failure);
    if (result != BOTTLE_OK)
        return result;
    result = backend->start(host, plan, options, NULL, target, failure);
    if (result == BOTTLE_OK) {
        result = yield(from_backend, from, failure);
        if (result != BOTTLE_OK)
            result = stop_started(backend, *target, result, failure);
    }
    if (result != BOTTLE_OK)
        agent_files_restore(host, plan, stage_fd, &before);
    return result;
}
