/* SPDX-License-Identifier: MIT */
/*
 * backend_change.c: a gate that takes over from one of another backend.
 *
 * The two have nothing to hand each other, and the new one has another address for the agent.  So it is
 * started beside the old one, which leaves the agent's ssh_config leading to it; then the old one accepts no
 * more, and lives on for the connections that it has.  Until then each of the two serves whoever
 * comes to it.  If the old one cannot be made to drain, the new one is stopped again.
 */
#include "backend.h"

#include "bottle/prepare.h"
#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_object.h"

#include <string.h>

/* Only a process can end with another. */
static enum bottle_result check_moves(const struct backend *backend, const struct target *gate,
                                      struct failure *failure)
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

/* The old one may have ended meanwhile. */
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
    return failure_set(failure, result, "%.500s; %s may be left, stop it later: %.300s",
                       first.message, target, stopping.message);
}

enum bottle_result backend_change(const struct backend *backend, const struct bottle_host *host,
                                  const struct plan *plan, json_object *options,
                                  const struct backend *from_backend, const struct target *from,
                                  char **target, struct failure *failure)
{
    CLEANUP_AGENT_FILES struct agent_files before = {0};
    CLEANUP_FD int stage_fd = -1;
    enum bottle_result result = check_moves(from_backend, from, failure);

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
