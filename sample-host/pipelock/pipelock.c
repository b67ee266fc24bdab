/* SPDX-License-Identifier: MIT */
/*
 * pipelock.c: the HTTP side of a bottle: a sidecar to copy for another.
 *
 * pipelock is an HTTP proxy that lets through what a list of hosts allows.  This plugin gives a bottle
 * one, with the hosts of bottle.egress.allowlist; the program itself is not part of it.
 *
 * A sidecar is this file, which answers the host; a plan (plan.c); and backends (native.c, docker.c).
 * Whatever else it takes is shared with other sidecars: plugin/common/ has the operations' common parts, JSON,
 * grammars, files in the stage dir, targets, programs that run detached and how they are found again;
 * plugin/engine/ has containers.
 */
#include "pipelock.h"

#include "common/cleanup.h"
#include "common/sidecar/plan_members.h"
#include "common/text/json_object.h"

#include <bottle/sidecar.h>

#include <stdio.h>
#include <string.h>

static const struct pipelock_backend *const BACKENDS[] = {&pipelock_native, &pipelock_docker};
static const char *const BACKEND_NAMES[] = {"native", "docker", NULL};
static const struct target_operations *const OF_TARGET[] = {&pipelock_native.of_target,
                                                            &pipelock_docker.of_target};
static const struct sidecar_backends SIDECAR_BACKENDS = {SIDECAR_NAME, BACKEND_NAMES, OF_TARGET};

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

/* ---- what the backends share ---- */

json_object *make_record(const struct pipelock_plan *plan, const char *instance,
                         const char *address)
{
    CLEANUP_JSON json_object *record = json_object_new_object();

    return object_add_text(record, "instance", instance) &&
                   object_add_text(record, "address", address) &&
                   object_add(record, "upstreams", json_object_get(plan->upstreams))
               ? steal_pointer(&record)
               : NULL;
}

enum bottle_result make_status(const char *backend, const char *slug, json_object *record,
                               int64_t uptime_ms, json_object **status, struct failure *failure)
{
    const char *address = object_text(record, "address");
    char proxy[320];
    CLEANUP_FREE char *target = NULL;
    CLEANUP_JSON json_object *object = json_object_new_object();
    enum bottle_result result =
        target_text(backend, slug, object_text(record, "instance"), &target, failure);

    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(proxy, sizeof proxy,
                   strchr(address, ':') ? "http://[%.255s]:%d" : "http://%.255s:%d", address,
                   PROXY_PORT);
    if (!object_add_text(object, "slug", slug) || !object_add_text(object, "target", target) ||
        !object_add_text(object, "state", "serving") ||
        !object_add_text(object, "address", address) || !object_add_text(object, "proxy", proxy) ||
        !object_add(object, "uptime_ms", json_object_new_int64(uptime_ms)) ||
        !object_add(object, "upstreams", json_object_get(object_member(record, "upstreams"))))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&object);
    return BOTTLE_OK;
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
    };

    return &SIDECAR;
}
