/* SPDX-License-Identifier: MIT */
/*
 * docker.c: pipelock as a container, of an image that the launcher names by its digest.
 *
 * The container's name, claude-bottle-pipelock-SLUG, is also the host name that the agent dials; the record
 * of the run is one of its labels.  pipelock's image has no shell and no other program, so pipelock itself is
 * run to tell whether it is healthy.  It listens on both networks, as its addresses are not known before it
 * runs.  Its root file system is writable, by root alone: an engine copies no file into a read-only one.
 */
#include "backend.h"
#include "record.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/sidecar/host_log.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"
#include "container/container.h"
#include "container/existing.h"
#include "container/image.h"
#include "container/labels.h"
#include "container/networks.h"
#include "container/options.h"
#include "container/settings.h"
#include "engine/engine.h"
#include "engine/file.h"

#include <stdio.h>
#include <string.h>

#define IMAGE_VARIABLE   "CLAUDE_BOTTLE_PIPELOCK_IMAGE"
#define LABEL_RECORD     "com.claude-bottle.record"
#define CONTAINER_PREFIX "claude-bottle-pipelock-"
#define PROGRAM          "/pipelock" /* in the image */
#define DIGEST           "@sha256:"

static const char *const OPTION_KEYS[] = {CONTAINER_OPTION_KEYS, NULL};

/* @name: out: the container's name, which the result points to */
static struct container container_of(struct engine *engine, const char *slug, const char *instance,
                                     char name[sizeof CONTAINER_PREFIX + SLUG_SIZE])
{
    (void)snprintf(name, sizeof CONTAINER_PREFIX + SLUG_SIZE, CONTAINER_PREFIX "%s", slug);
    return (struct container){.engine = engine,
                              .sidecar = SIDECAR_NAME,
                              .slug = slug,
                              .instance = instance,
                              .name = name};
}

/* ---- start ---- */

static enum bottle_result check_image(const char *image, struct failure *failure)
{
    const char *digest = image ? strstr(image, DIGEST) : NULL;

    if (digest && strspn(digest + strlen(DIGEST), "0123456789abcdef") == 64 &&
        digest[strlen(DIGEST) + 64] == '\0')
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "image \"%s\": name an image of pipelock by its digest, "
                       "NAME@sha256:DIGEST, with the start option \"image\" or " IMAGE_VARIABLE,
                       image ? EXCERPT(image) : "");
}

static json_object *describe(const struct container *container,
                             const struct container_options *options,
                             const struct pipelock_plan *plan)
{
    static const char PROGRAM_SETTINGS[] =
        "[\"run\", \"--listen\", \"0.0.0.0:8888\", \"--config\", \"/" CONFIG_FILE "\"]";
    CLEANUP_JSON json_object *body = container_describe(container, options);
    CLEANUP_JSON json_object *record = make_record(plan, container->instance, container->name);
    json_object *entrypoint = json_object_new_array();
    bool built = array_add_text(entrypoint, PROGRAM);

    built = object_add(body, "Entrypoint", entrypoint) && built;
    built = built && record && object_add(body, "Cmd", json_tokener_parse(PROGRAM_SETTINGS)) &&
            object_add_text(body, "Image", options->image) &&
            object_add_text(object_member(body, "Labels"), LABEL_RECORD,
                            json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN));
    return built ? steal_pointer(&body) : NULL;
}

/* `pipelock healthcheck` prints what is wrong, and nothing if pipelock is healthy. */
static enum bottle_result wait_until_healthy(const struct container *container, int32_t timeout_ms,
                                             struct failure *failure)
{
    static const char *const COMMAND[] = {PROGRAM, "healthcheck", NULL};
    int64_t end_ms = wait_now_ms() + timeout_ms;
    char words[CONTAINER_WORDS_SIZE];

    do {
        CLEANUP_FREE char *said = NULL;
        enum bottle_result result =
            container_exec(container->engine, container->id, COMMAND, &said, failure);
        if (result == BOTTLE_NOT_FOUND) {
            container_last_words(container, words);
            return failure_set(
                failure, BOTTLE_UNAVAILABLE,
                "pipelock in container %s ended before it listened; its last words: %s",
                container->name, words);
        }
        if (result != BOTTLE_OK || said[0] == '\0')
            return result;
        wait_pause(CONTAINER_PAUSE_MS);
    } while (wait_now_ms() < end_ms);
    container_last_words(container, words);
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "pipelock in container %s was not healthy within start_timeout_ms, %d ms; "
                       "its last words: %s",
                       container->name, timeout_ms, words);
}

/* On failure, the caller removes the container. */
static enum bottle_result run(struct container *container, const struct container_options *options,
                              const struct pipelock_plan *plan, json_object *internal,
                              json_object *egress, struct failure *failure)
{
    CLEANUP_FREE char *text = plan_render_config(plan);

    if (!text)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    /* Readable for the user of the container, who is nobody. */
    const struct engine_file config = {
        .path = CONFIG_FILE, .mode = 0444, .bytes = text, .length = strlen(text)};
    enum bottle_result result = container_run(container, internal, egress, &config, failure);
    return result == BOTTLE_OK ? wait_until_healthy(container, options->start_timeout_ms, failure)
                               : result;
}

static enum bottle_result docker_start(const struct bottle_host *host,
                                       const struct pipelock_plan *plan, json_object *options,
                                       const char *instance, struct failure *failure)
{
    struct container_options taken;
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *internal = NULL;
    CLEANUP_JSON json_object *egress = NULL;
    char name[sizeof CONTAINER_PREFIX + SLUG_SIZE];
    enum bottle_result result = json_check_keys(options, "start options", OPTION_KEYS, failure);

    if (result == BOTTLE_OK)
        result = container_read_options(options, IMAGE_VARIABLE, &taken, failure);
    if (result == BOTTLE_OK)
        result = check_image(taken.image, failure);
    if (result == BOTTLE_OK)
        result = engine_open(taken.engine_timeout_ms, &engine, failure);
    if (result == BOTTLE_OK)
        result = networks_find(engine, plan->internal_network, plan->egress_network, &internal,
                               &egress, failure);
    if (result == BOTTLE_OK)
        result = container_provide_image(engine, host, taken.image, failure);
    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_UNAVAILABLE : result;
    struct container container = container_of(engine, plan->slug, instance, name);
    container.body = describe(&container, &taken, plan);
    result = run(&container, &taken, plan, internal, egress, failure);
    if (result != BOTTLE_OK)
        result = container_undo(&container, result, failure);
    else
        host_log(host, BOTTLE_LOG_INFO, "pipelock docker:%s:%s listens as %s on network %s",
                 plan->slug, instance, name, plan->internal_network);
    container_clear(&container);
    return result;
}

/* ---- the running container ---- */

static enum bottle_result find(const struct target *target, struct engine **engine,
                               json_object **found, struct failure *failure)
{
    char name[sizeof CONTAINER_PREFIX + SLUG_SIZE];
    enum bottle_result result = engine_open(ENGINE_TIMEOUT_MS, engine, failure);

    if (result != BOTTLE_OK)
        return result;
    const struct container wanted = container_of(*engine, target->slug, target->instance, name);
    return container_find(&wanted, found, failure);
}

static enum bottle_result docker_stop(const struct target *target, struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *found = NULL;
    enum bottle_result result = find(target, &engine, &found, failure);

    return result == BOTTLE_OK ? container_stop(engine, found, failure) : result;
}

static enum bottle_result docker_status(const struct target *target, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *found = NULL;
    CLEANUP_JSON json_object *record = NULL;
    enum bottle_result result = find(target, &engine, &found, failure);

    if (result == BOTTLE_OK && !container_is_running(found))
        return failure_set(failure, BOTTLE_NOT_FOUND,
                           "docker:%s does not run: its container has ended; stop removes it",
                           target->slug);
    if (result == BOTTLE_OK)
        result = json_text_parse("record", container_label(found, LABEL_RECORD), &record, failure);
    if (result == BOTTLE_OK)
        result = make_status("docker", target->slug, record, container_uptime_ms(found), status,
                             failure);
    if (result == BOTTLE_OK && !object_add_text(*status, "container", object_text(found, "Id")))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    return result;
}

const struct pipelock_backend pipelock_docker = {
    .of_target = {.stop = docker_stop, .status = docker_status},
    .start = docker_start,
};
