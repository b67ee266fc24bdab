/* SPDX-License-Identifier: MIT */
/*
 * entry.c: the plugin's one exported symbol, and what its operations have in common.
 *
 * Start reading here.  A call of the host passes through three layers:
 *
 *   here         arguments, plan and target are checked; the failure's text becomes the message
 *   prepare.c    manifest.c: bottle → upstreams; agent_files.c: upstreams → files; plan.c: → JSON and
 *                back
 *   native.c     a backend (backend.h): relay_process.c runs the relay, control_client.c talks to it
 *
 * relay/ is the program that the native backend runs; it is embedded in this file's library
 * (relay_image.S), and relay/main.c is where to read on.
 */
#include "backend.h"
#include "common/arguments.h"
#include "common/cleanup.h"
#include "common/json_text.h"
#include "common/utf8.h"
#include "plan.h"
#include "prepare.h"

#include <bottle/sidecar.h>

#include <string.h>

static const struct backend *const BACKENDS[] = {&backend_native, &backend_docker};
static const char *const BACKEND_NAMES[] = {"native", "docker", NULL};

static enum bottle_result find_backend(const char *name, const struct backend **backend,
                                       struct failure *failure)
{
    size_t index = 0;
    enum bottle_result result = backend_find(BACKEND_NAMES, name, &index, failure);

    *backend = BACKENDS[index];
    return result;
}

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
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->plan = NULL;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("bottle", arguments->bottle, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("slug", arguments->slug, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("stage_dir", arguments->stage_dir, &failure);
    if (result == BOTTLE_OK)
        result = gate_prepare(arguments->bottle, arguments->slug, arguments->stage_dir,
                              &arguments->plan, &failure);
    return arguments_finish(result, &failure, &arguments->message);
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

static enum bottle_result start_plan(const struct bottle_start *arguments, char **target,
                                     struct failure *failure)
{
    const struct backend *backend = BACKENDS[0];
    CLEANUP_PLAN struct plan plan = {0};
    CLEANUP_JSON json_object *options = NULL;
    CLEANUP_FREE char *started = NULL;
    enum bottle_result result = arguments_check(arguments, failure);

    if (result == BOTTLE_OK)
        result = arguments_require("plan", arguments->plan, failure);
    if (result == BOTTLE_OK && arguments->backend)
        result = find_backend(arguments->backend, &backend, failure);
    if (result == BOTTLE_OK)
        result = plan_from_json(arguments->plan, &plan, failure);
    if (result == BOTTLE_OK)
        result = plan_check_start(plan.slug, plan.upstream_count, plan.internal_network,
                                  plan.egress_network, failure);
    if (result == BOTTLE_OK)
        result = json_text_parse("start options", arguments->options ? arguments->options : "{}",
                                 &options, failure);
    if (result == BOTTLE_OK)
        result = start_on(backend, arguments, &plan, options, &started, failure);
    if (result == BOTTLE_OK)
        *target = steal_pointer(&started);
    return result;
}

static enum bottle_result start(struct bottle_start *arguments)
{
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->target = NULL;
    return arguments_finish(start_plan(arguments, &arguments->target, &failure), &failure,
                            &arguments->message);
}

static enum bottle_result stop(struct bottle_stop *arguments)
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
        result = backend->stop(&target, &failure);
    if (result == BOTTLE_NOT_FOUND)
        result = BOTTLE_OK;
    return arguments_finish(result, &failure, &arguments->message);
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

static enum bottle_result target_status(const struct bottle_status *arguments, char **status,
                                        struct failure *failure)
{
    const struct backend *backend;
    struct target target;
    CLEANUP_JSON json_object *object = NULL;
    enum bottle_result result = arguments_check(arguments, failure);

    if (result == BOTTLE_OK)
        result = find_target(arguments->target, &backend, &target, failure);
    if (result == BOTTLE_OK)
        result = backend->status(&target, &object, failure);
    if (result != BOTTLE_OK)
        return result;
    if (!json_object_object_add(object, "sidecar", json_object_new_string(SIDECAR_NAME)) &&
        !json_object_object_add(object, "backend", json_object_new_string(backend->name)))
        *status = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE));
    return *status ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

static enum bottle_result status(struct bottle_status *arguments)
{
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->status = NULL;
    return arguments_finish(target_status(arguments, &arguments->status, &failure), &failure,
                            &arguments->message);
}

static void release(char *text)
{
    free(text);
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
        .release = release,
    };

    return &SIDECAR;
}
