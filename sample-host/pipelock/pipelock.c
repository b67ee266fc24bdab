/* SPDX-License-Identifier: MIT */
/*
 * pipelock.c: the sidecar for the HTTP side of a bottle, and an example to copy for another sidecar.
 *
 * pipelock is an HTTP proxy that lets requests through to a list of hosts.  This plugin runs one for a
 * bottle, with the hosts of bottle.egress.allowlist; the program itself is not part of the plugin.
 *
 * What belongs in pipelock/: what this one sidecar does differently from others.  What two sidecars need is in
 * plugin/.
 *
 * This file answers the host.  Read on in plan.c, which turns the bottle into a plan and pipelock's
 * configuration; native.c and docker.c, the backends, which start, stop and find a run (backend.h); and
 * record.c, what goes along with a run for status.  Shared with other sidecars are plugin/common/ (the common
 * parts of operations, JSON, grammars, files in the stage dir, targets, detached programs),
 * plugin/container/ (sidecars in containers) and plugin/engine/ (the engine's API).
 */
#include "backend.h"
#include "plan.h"

#include "common/cleanup.h"
#include "common/sidecar/plan_members.h"

#include <bottle/sidecar.h>

#include <json-c/json.h>

#define BACKEND_ADDRESS(name, networks)  &pipelock_##name,
#define BACKEND_NAME(name, networks)     #name,
#define BACKEND_NETWORKS(name, networks) BOTTLE_NETWORKS_##networks,

static const struct pipelock_backend *const BACKENDS[] = {FOR_EACH_BACKEND(BACKEND_ADDRESS)};
/* In the same order, as the table has them. */
static const char *const BACKEND_NAMES[] = {FOR_EACH_BACKEND(BACKEND_NAME) NULL};
static const uint32_t NETWORKS[] = {FOR_EACH_BACKEND(BACKEND_NETWORKS)};

static const struct target_operations *of_target(size_t index)
{
    return &BACKENDS[index]->of_target;
}

static const struct sidecar_backends SIDECAR_BACKENDS = {SIDECAR_NAME, BACKEND_NAMES, of_target};

static enum bottle_result prepare(struct bottle_prepare *arguments)
{
    return operation_prepare(arguments, plan_prepare);
}

static enum bottle_result start_plan(const struct bottle_start *arguments, json_object *options,
                                     char **target, struct failure *failure)
{
    size_t backend = 0;
    char instance[TARGET_INSTANCE_SIZE];
    CLEANUP_PLAN struct pipelock_plan plan = {0};
    enum bottle_result result = BOTTLE_OK;

    if (arguments->takeover)
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "takeover: pipelock cannot take over from another: stop that first, and "
                           "start without a takeover");
    if (arguments->backend)
        result = backend_find(BACKEND_NAMES, arguments->backend, &backend, failure);
    if (result == BOTTLE_OK)
        result = plan_from_json(arguments->plan, &plan, failure);
    if (result == BOTTLE_OK)
        result = plan_check_start(plan.slug, json_object_array_length(plan.upstreams),
                                  plan.internal_network, plan.egress_network, failure);
    if (result == BOTTLE_OK)
        result = target_new_instance(instance, failure);
    if (result == BOTTLE_OK)
        result = target_text(BACKEND_NAMES[backend], plan.slug, instance, target, failure);
    return result == BOTTLE_OK
               ? BACKENDS[backend]->start(arguments->host, &plan, options, instance, failure)
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
        .version = PIPELOCK_PLUGIN_VERSION,
        .description = "Lets HTTP out to the hosts that a bottle allows, through pipelock",
        .backends = BACKEND_NAMES,
        .prepare = prepare,
        .start = start,
        .stop = stop,
        .status = status,
        .release = operation_release,
        .backend_networks = NETWORKS,
    };

    return &SIDECAR;
}
