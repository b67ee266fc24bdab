/* SPDX-License-Identifier: MIT */
/*
 * entry.c: the plugin's one exported symbol, and its operations.
 *
 * Start reading here.  A call of the host passes through three layers:
 *
 *   here         arguments, plan and target are checked; the failure's text becomes the message
 *                (common/sidecar/operations.c has what that is in every plugin)
 *   bottle/      prepare.c; manifest.c: bottle → upstreams; agent_files.c: upstreams → files; plan.c: → JSON
 *                and back
 *   native/, docker/
 *                the backends (backend.h): each runs the relay, as a process or in a container, and talks to it
 *
 * relay/ is the program that both backends run; it is embedded in this file's library (wire/relay_image.S), and
 * relay/main.c is where to read on.
 *
 * What belongs in plugin/: what every backend has in common, here and in backend.h, and a change from one to
 * another.  Each backend, and what more than one of them needs, has a folder.
 */
#include "backend.h"
#include "bottle/plan.h"
#include "bottle/prepare.h"
#include "common/sidecar/arguments.h"
#include "common/sidecar/operations.h"
#include "common/text/utf8.h"

#include <bottle/sidecar.h>

#include <string.h>

#define BACKEND_ADDRESS(name, networks)  &backend_##name,
#define BACKEND_NAME(name, networks)     #name,
#define BACKEND_NETWORKS(name, networks) BOTTLE_NETWORKS_##networks,

static const struct backend *const BACKENDS[] = {FOR_EACH_BACKEND(BACKEND_ADDRESS)};
/* In the same order, as the table has them. */
static const char *const BACKEND_NAMES[] = {FOR_EACH_BACKEND(BACKEND_NAME) NULL};
static const uint32_t NETWORKS[] = {FOR_EACH_BACKEND(BACKEND_NETWORKS)};

static const struct target_operations *of_target(size_t index)
{
    return &BACKENDS[index]->of_target;
}

static const struct sidecar_backends SIDECAR_BACKENDS = {SIDECAR_NAME, BACKEND_NAMES, of_target};

static enum bottle_result find_target(const char *text, const struct backend **backend,
                                      struct target *target, struct failure *failure)
{
    size_t index = 0;
    enum bottle_result result = target_parse(text, BACKEND_NAMES, &index, target, failure);

    *backend = BACKENDS[index];
    return result;
}

static enum bottle_result prepare(struct bottle_prepare *arguments)
{
    return operation_prepare(arguments, gate_prepare);
}

static enum bottle_result find_takeover(const char *text, const struct plan *plan,
                                        const struct backend **backend, struct target *from,
                                        struct failure *failure)
{
    enum bottle_result result = find_target(text, backend, from, failure);

    if (result != BOTTLE_OK || strcmp(from->slug, plan->slug) == 0)
        return result;
    return failure_set(failure, BOTTLE_INVALID,
                       "takeover: the plan is of slug \"%s\", the gate \"%s\" of another; a gate "
                       "takes over from one of its own slug",
                       plan->slug, EXCERPT(text));
}

static enum bottle_result start_on(const struct backend *backend,
                                   const struct bottle_start *arguments, const struct plan *plan,
                                   json_object *options, char **target, struct failure *failure)
{
    const struct backend *from_backend;
    struct target from;

    if (!arguments->takeover)
        return backend->start(arguments->host, plan, options, NULL, target, failure);
    enum bottle_result result =
        find_takeover(arguments->takeover, plan, &from_backend, &from, failure);
    if (result != BOTTLE_OK)
        return result;
    if (from_backend == backend)
        return backend->start(arguments->host, plan, options, &from, target, failure);
    return backend_change(backend, arguments->host, plan, options, from_backend, &from, target,
                          failure);
}

static enum bottle_result start_plan(const struct bottle_start *arguments, json_object *options,
                                     char **target, struct failure *failure)
{
    CLEANUP_PLAN struct plan plan = {0};
    size_t backend = 0;
    enum bottle_result result = BOTTLE_OK;

    if (arguments->backend)
        result = backend_find(BACKEND_NAMES, arguments->backend, &backend, failure);
    if (result == BOTTLE_OK)
        result = plan_from_json(arguments->plan, &plan, failure);
    if (result == BOTTLE_OK)
        result = plan_check_start(plan.slug, plan.upstream_count, plan.internal_network,
                                  plan.egress_network, failure);
    return result == BOTTLE_OK
               ? start_on(BACKENDS[backend], arguments, &plan, options, target, failure)
               : result;
}

static enum bottle_result start(struct bottle_start *arguments)
{
    return operation_start(arguments, start_plan);
}

static enum bottle_result stop(struct bottle_stop *arguments)
{
    return operation_stop(arguments, &SIDECAR_BACKENDS);
}

static enum bottle_result drain(struct bottle_drain *arguments)
{
    struct failure failure;
    const struct backend *backend;
    struct target target;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = find_target(arguments->target, &backend, &target, &failure);
    if (result == BOTTLE_OK)
        result = backend->drain(&target, arguments->grace_ms, &failure);
    return arguments_finish(result, &failure, &arguments->message);
}

static enum bottle_result status(struct bottle_status *arguments)
{
    return operation_status(arguments, &SIDECAR_BACKENDS);
}

/* Declared here because no other file calls it: the host finds it by name (BOTTLE_SIDECAR_ENTRY). */
__attribute__((visibility("default"))) const struct bottle_sidecar *bottle_sidecar_entry(void);

const struct bottle_sidecar *bottle_sidecar_entry(void)
{
    static const struct bottle_sidecar SIDECAR = {
        .struct_size = sizeof SIDECAR,
        .abi_major = BOTTLE_SIDECAR_ABI_MAJOR,
        .abi_minor = BOTTLE_SIDECAR_ABI_MINOR,
        .name = SIDECAR_NAME,
        .version = SSH_GATE_VERSION,
        .description = "Opens exactly the SSH destinations that a bottle declares",
        .backends = BACKEND_NAMES,
        .prepare = prepare,
        .start = start,
        .stop = stop,
        .drain = drain,
        .status = status,
        .release = operation_release,
        .backend_networks = NETWORKS,
    };

    return &SIDECAR;
}
