/* SPDX-License-Identifier: MIT */
/* existing.c: see existing.h. */
#include "container/existing.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "container/container.h"
#include "container/labels.h"
#include "engine/streams.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FIND_TRIES     3
#define LOG_TIMEOUT_MS 3000 /* enough, as the engine closes the log of a program that has ended */

const char *container_label(json_object *found, const char *key)
{
    return object_text(object_member(object_member(found, "Config"), "Labels"), key);
}

bool container_is_running(json_object *found)
{
    return json_object_get_boolean(object_member(object_member(found, "State"), "Running"));
}

enum bottle_result container_inspect(struct engine *engine, const char *name, json_object **found,
                                     struct failure *failure)
{
    enum bottle_result result = BOTTLE_UNAVAILABLE;

    /* While a container is being removed, Podman answers 500. */
    for (int i = 0; i < FIND_TRIES && result == BOTTLE_UNAVAILABLE; i++) {
        if (i > 0)
            wait_pause(CONTAINER_PAUSE_MS);
        result = engine_call(engine, "GET", NULL, found, failure, "/containers/%s/json", name);
    }
    return result;
}

enum bottle_result container_find(const struct container *wanted, json_object **found,
                                  struct failure *failure)
{
    CLEANUP_JSON json_object *named = NULL;
    const char *instance = wanted->instance;
    enum bottle_result result = container_inspect(wanted->engine, wanted->name, &named, failure);

    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return result;
    bool is_ours = strcmp(container_label(named, LABEL_SIDECAR), wanted->sidecar) == 0 &&
                   strcmp(container_label(named, LABEL_SLUG), wanted->slug) == 0;
    bool is_meant = !instance[0] || strcmp(container_label(named, LABEL_INSTANCE), instance) == 0;
    if (!is_ours || !is_meant)
        return failure_set(failure, BOTTLE_NOT_FOUND,
                           "engine %s has no %s docker:%s%s%s (container %s)",
                           engine_address(wanted->engine), wanted->sidecar, wanted->slug,
                           instance[0] ? ":" : "", instance, wanted->name);
    *found = steal_pointer(&named);
    return BOTTLE_OK;
}

/* For a container that has just ended, Docker answers 409 or 404 and Podman 500, so its state is looked up. */
enum bottle_result container_exec(struct engine *engine, const char *id, const char *const *command,
                                  char **output, struct failure *failure)
{
    CLEANUP_JSON json_object *container = NULL;
    struct failure looking;
    enum bottle_result result = engine_exec(engine, id, command, output, failure);

    if (result == BOTTLE_OK || result == BOTTLE_TIMEOUT)
        return result;
    enum bottle_result looked =
        engine_call(engine, "GET", NULL, &container, &looking, "/containers/%s/json", id);
    if (looked == BOTTLE_NOT_FOUND || (looked == BOTTLE_OK && !container_is_running(container)))
        return failure_set(failure, BOTTLE_NOT_FOUND, "container %s has just ended", id);
    return result;
}

int64_t container_uptime_ms(json_object *found)
{
    struct tm started = {0};
    struct timespec now;

    if (!strptime(object_text(object_member(found, "State"), "StartedAt"), "%Y-%m-%dT%H:%M:%S",
                  &started) ||
        clock_gettime(CLOCK_REALTIME, &now))
        return 0;
    int64_t uptime_s = (int64_t)now.tv_sec - (int64_t)timegm(&started);
    return uptime_s > 0 ? uptime_s * 1000 : 0;
}

static bool take_words(void *context, char *line)
{
    (void)snprintf(context, CONTAINER_WORDS_SIZE, "%s", line);
    return true;
}

void container_last_words(const struct container *container, char words[CONTAINER_WORDS_SIZE])
{
    struct failure ignored; /* the words are an addition to a message, which can do without them */

    (void)snprintf(words, CONTAINER_WORDS_SIZE, "nothing");
    (void)engine_follow_log(container->engine, container->id, LOG_TIMEOUT_MS, take_words, words,
                            &ignored);
}

enum bottle_result container_stop(struct engine *engine, json_object *found,
                                  struct failure *failure)
{
    const char *id = object_text(found, "Id");

    if (container_is_running(found)) {
        enum bottle_result result =
            engine_call(engine, "POST", NULL, NULL, failure, "/containers/%s/stop?t=2", id);
        if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND && result != BOTTLE_CONFLICT)
            return result;
    }
    return container_remove(engine, id, failure);
}

/* Retries while the engine is already removing it (409), until it is gone. */
enum bottle_result container_remove(struct engine *engine, const char *id, struct failure *failure)
{
    int64_t end_ms = wait_now_ms() + ENGINE_TIMEOUT_MS;
    enum bottle_result result;

    for (;;) {
        result =
            engine_call(engine, "DELETE", NULL, NULL, failure, "/containers/%s?force=1&v=1", id);
        if (result != BOTTLE_CONFLICT || wait_now_ms() > end_ms)
            break;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
}
