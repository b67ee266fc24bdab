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

/* Hands the failure's text to the host. */
static enum bottle_result finish(enum bottle_result result, const struct failure *failure,
                                 char **message)
{
    *message = result == BOTTLE_OK ? NULL : strdup(failure->message);
    return result;
}

static enum bottle_result require(const char *name, const char *value, struct failure *failure)
{
    return value ? BOTTLE_OK : failure_set(failure, BOTTLE_INVALID, "%s is NULL", name);
}

static enum bottle_result find_backend(const char *name, size_t length,
                                       const struct backend **backend, struct failure *failure)
{
    for (size_t i = 0; i < sizeof BACKENDS / sizeof BACKENDS[0]; i++) {
        *backend = BACKENDS[i];
        if (strlen((*backend)->name) == length && memcmp((*backend)->name, name, length) == 0)
            return BOTTLE_OK;
    }
    return failure_set(failure, BOTTLE_INVALID,
                       "backend \"%.*s\" is unknown; ssh_gate has: native, docker",
                       length > EXCERPT_BYTES ? EXCERPT_BYTES : (int)length, name);
}

static bool is_instance(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length < TARGET_INSTANCE_SIZE &&
           strspn(text, "0123456789abcdef") == length;
}

/* BACKEND:SLUG[:INSTANCE] */
static enum bottle_result parse_target(const char *text, const struct backend **backend,
                                       struct target *target, struct failure *failure)
{
    const char *slug = strchr(text, ':');

    *target = (struct target){0};
    if (slug) {
        enum bottle_result result = find_backend(text, (size_t)(slug - text), backend, failure);
        if (result != BOTTLE_OK)
            return result;
        slug++;
        size_t length = strcspn(slug, ":");
        const char *instance = slug[length] ? slug + length + 1 : NULL;
        if (length < sizeof target->slug)
            memcpy(target->slug, slug, length);
        if (grammar_slug(target->slug) && (!instance || is_instance(instance))) {
            if (instance)
                memcpy(target->instance, instance, strlen(instance));
            return BOTTLE_OK;
        }
    }
    return failure_set(
        failure, BOTTLE_INVALID,
        "target \"%s\" is not what start returns: BACKEND:SLUG or BACKEND:SLUG:INSTANCE",
        EXCERPT(text));
}

static enum bottle_result prepare(struct bottle_prepare *arguments)
{
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->plan = NULL;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = require("bottle", arguments->bottle, &failure);
    if (result == BOTTLE_OK)
        result = require("slug", arguments->slug, &failure);
    if (result == BOTTLE_OK)
        result = require("stage_dir", arguments->stage_dir, &failure);
    if (result == BOTTLE_OK)
        result = gate_prepare(arguments->bottle, arguments->slug, arguments->stage_dir,
                              &arguments->plan, &failure);
    return finish(result, &failure, &arguments->message);
}

static enum bottle_result check_plan(const struct plan *plan, struct failure *failure)
{
    if (plan->upstream_count == 0)
        return failure_set(failure, BOTTLE_INVALID,
                           "plan of \"%s\": it has no upstreams, so there is no gate to start",
                           plan->slug);
    if (plan->internal_network[0] == '\0')
        return failure_set(
            failure, BOTTLE_INVALID,
            "plan of \"%s\": internal_network is empty; the launcher fills it in before start",
            plan->slug);
    if (plan->egress_network[0] == '\0')
        return failure_set(
            failure, BOTTLE_INVALID,
            "plan of \"%s\": egress_network is empty; the launcher fills it in before start",
            plan->slug);
    return BOTTLE_OK;
}

static enum bottle_result find_takeover(const char *text, const struct plan *plan,
                                        const struct backend **backend, struct target *from,
                                        struct failure *failure)
{
    enum bottle_result result = parse_target(text, backend, from, failure);

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
        result = require("plan", arguments->plan, failure);
    if (result == BOTTLE_OK && arguments->backend)
        result = find_backend(arguments->backend, strlen(arguments->backend), &backend, failure);
    if (result == BOTTLE_OK)
        result = plan_from_json(arguments->plan, &plan, failure);
    if (result == BOTTLE_OK)
        result = check_plan(&plan, failure);
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
    return finish(start_plan(arguments, &arguments->target, &failure), &failure,
                  &arguments->message);
}

static enum bottle_result find_target(const char *text, const struct backend **backend,
                                      struct target *target, struct failure *failure)
{
    enum bottle_result result = require("target", text, failure);

    return result == BOTTLE_OK ? parse_target(text, backend, target, failure) : result;
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
    return finish(result, &failure, &arguments->message);
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
    return finish(result, &failure, &arguments->message);
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
    return finish(target_status(arguments, &arguments->status, &failure), &failure,
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
