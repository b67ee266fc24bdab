/* SPDX-License-Identifier: MIT */
/*
 * container.c: making a sidecar's container, undoing that, and finding one that is there.
 *
 * What an engine was asked for without an answer, as it was killed or too slow, may be there, or come
 * yet, or never.  Undoing finds that out by the name: while the engine is at it, the name is taken, and
 * whoever has taken it in its place can be sure.
 */
#include "container/container_network.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CLAIM_TRIES 20
#define FIND_TRIES  3

#define LOG_TIMEOUT_MS 3000 /* of a program that has ended, the engine closes the log */

void container_clear(struct container *container)
{
    (void)json_object_put(container->body);
    free(container->id);
    container->body = NULL;
    container->id = NULL;
}

const char *container_label(json_object *found, const char *key)
{
    return object_text(object_member(object_member(found, "Config"), "Labels"), key);
}

bool container_is_running(json_object *found)
{
    return json_object_get_boolean(object_member(object_member(found, "State"), "Running"));
}

/* ---- the claim on the name ---- */

/* Makes the name free, if what holds it is the sidecar's and does not run. */
static enum bottle_result remove_leftover(const struct container *container,
                                          struct failure *failure)
{
    CLEANUP_JSON json_object *holder = NULL;
    enum bottle_result result = engine_call(container->engine, "GET", NULL, &holder, failure,
                                            "/containers/%s/json", container->name);

    if (result != BOTTLE_OK)
        return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
    if (strcmp(container_label(holder, LABEL_SIDECAR), container->sidecar) != 0)
        return failure_set(failure, BOTTLE_CONFLICT,
                           "container %s exists, and is none of %s's; rename it, or choose another "
                           "slug",
                           container->name, container->sidecar);
    if (container_is_running(holder))
        return failure_set(
            failure, BOTTLE_CONFLICT,
            "slug \"%s\" runs %s already: stop docker:%s:%s first, or choose another "
            "slug",
            container->slug, container->sidecar, container->slug,
            EXCERPT(container_label(holder, LABEL_INSTANCE)));
    result = engine_call(container->engine, "DELETE", NULL, NULL, failure, "/containers/%s?v=1",
                         object_text(holder, "Id"));
    /* It was started, or is being removed, by another: the next try shows. */
    return result == BOTTLE_NOT_FOUND || result == BOTTLE_CONFLICT ? BOTTLE_OK : result;
}

static enum bottle_result make(struct container *container, struct failure *failure)
{
    CLEANUP_JSON json_object *made = NULL;
    enum bottle_result result = engine_call(container->engine, "POST", container->body, &made,
                                            failure, "/containers/create?name=%s", container->name);

    container->may_come = result == BOTTLE_TIMEOUT || result == BOTTLE_UNAVAILABLE;
    if (result != BOTTLE_OK)
        return result;
    free(container->id);
    container->id = engine_escape(object_text(made, "Id"));
    return container->id ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* What another look may change; a name that is taken is 409 for Docker, and 500 for Podman. */
static bool may_pass(enum bottle_result result)
{
    return result == BOTTLE_CONFLICT || result == BOTTLE_UNAVAILABLE;
}

/* The tries are for a holder that is just being made, started or removed. */
static enum bottle_result create(struct container *container, struct failure *failure)
{
    enum bottle_result result = BOTTLE_OK;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_leftover(container, failure);
        if (result == BOTTLE_CONFLICT)
            return result;
        if (result == BOTTLE_OK)
            result = make(container, failure);
        if (!may_pass(result))
            return result;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    return result;
}

/* A launcher that found the name held by what did not run yet has removed it. */
static bool is_gone(const struct container *container)
{
    CLEANUP_JSON json_object *found = NULL;
    struct failure ignored;
    enum bottle_result result =
        container_inspect(container->engine, container->id, &found, &ignored);

    return result == BOTTLE_NOT_FOUND ||
           strcmp(object_text(object_member(found, "State"), "Status"), "removing") == 0;
}

/* Engines before API 1.44 take one network as they make a container; this adds the other. */
static enum bottle_result connect_egress(const struct container *container, json_object *network,
                                         struct failure *failure)
{
    CLEANUP_JSON json_object *body = json_object_new_object();

    if (!object_add_text(body, "Container", container->id) ||
        !object_add(body, "EndpointConfig", container_describe_endpoint(container)))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = engine_call(container->engine, "POST", body, NULL, failure,
                                            "/networks/%s/connect", object_text(network, "Id"));
    return result != BOTTLE_OK && is_gone(container) ? BOTTLE_NOT_FOUND : result;
}

static enum bottle_result put_file(const struct container *container,
                                   const struct engine_file *file, struct failure *failure)
{
    enum bottle_result result =
        engine_put_files(container->engine, container->id, file, 1, failure);

    return result != BOTTLE_OK && is_gone(container) ? BOTTLE_NOT_FOUND : result;
}

/* Docker answers 409 or 404 where another removes it meanwhile, Podman 500 with these words too. */
static bool may_be_removed(enum bottle_result result, const struct failure *failure)
{
    return result == BOTTLE_CONFLICT || strcasestr(failure->message, "no such container");
}

/* Where its program cannot run, the engine may remove it too, but says why. */
static enum bottle_result start(const struct container *container, struct failure *failure)
{
    enum bottle_result result = engine_call(container->engine, "POST", NULL, NULL, failure,
                                            "/containers/%s/start", container->id);

    return result != BOTTLE_OK && may_be_removed(result, failure) && is_gone(container)
               ? BOTTLE_NOT_FOUND
               : result;
}

static enum bottle_result run_once(struct container *container, json_object *internal,
                                   json_object *egress, const struct engine_file *file,
                                   struct failure *failure)
{
    if (!container->body || (internal && !container_add_network(container, internal)))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = create(container, failure);
    if (result == BOTTLE_OK && egress)
        result = connect_egress(container, egress, failure);
    if (result == BOTTLE_OK && file)
        result = put_file(container, file, failure);
    return result == BOTTLE_OK ? start(container, failure) : result;
}

/* By the words of runc, crun and Docker: "open /proc/sys/net/ipv6/conf/…: no such file or directory". */
static bool lacks_ipv6(const struct failure *failure)
{
    return strstr(failure->message, "/proc/sys/net/ipv6/") &&
           strcasestr(failure->message, "no such file");
}

enum bottle_result container_run(struct container *container, json_object *internal,
                                 json_object *egress, const struct engine_file *file,
                                 struct failure *failure)
{
    enum bottle_result result = run_once(container, internal, egress, file, failure);

    if (result != BOTTLE_OK && internal && !container->without_ipv6 && lacks_ipv6(failure)) {
        container->without_ipv6 = true;
        result = container_remove(container->engine, container->id, failure);
        if (result == BOTTLE_OK)
            result = run_once(container, internal, egress, file, failure);
    }
    if (result != BOTTLE_OK &&
        (strstr(failure->message, "sysctl") || strstr(failure->message, "/proc/sys/")))
        return failure_set(
            failure, result,
            "%.700s; without these settings an agent could send through container %s "
            "to anywhere, so it is not started",
            failure->message, container->name);
    return result;
}

/* ---- undoing ---- */

/* BOTTLE_NOT_FOUND: there is none of this instance. */
static enum bottle_result remove_own(const struct container *container, struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    enum bottle_result result = container_find(container, &found, failure);

    if (result != BOTTLE_OK)
        return result;
    return container_remove(container->engine, object_text(found, "Id"), failure);
}

static enum bottle_result remove_what_may_come(struct container *container, struct failure *failure)
{
    enum bottle_result result = BOTTLE_NOT_FOUND;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_own(container, failure);
        if (result != BOTTLE_NOT_FOUND)
            return result;
        result = make(container, failure);
        if (result == BOTTLE_OK)
            return remove_own(container, failure);
        if (!may_pass(result))
            return result;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    return result == BOTTLE_CONFLICT ? BOTTLE_NOT_FOUND : result; /* it is another's name now */
}

enum bottle_result container_undo(struct container *container, enum bottle_result result,
                                  struct failure *failure)
{
    struct failure undoing, first = *failure;
    enum bottle_result undone = container->may_come ? remove_what_may_come(container, &undoing)
                                                    : remove_own(container, &undoing);

    if (result == BOTTLE_NOT_FOUND)
        result = failure_set(&first, BOTTLE_CONFLICT,
                             "container %s was removed while it was being started, by another "
                             "launcher or by hand; start again",
                             container->name);
    if (undone == BOTTLE_OK || undone == BOTTLE_NOT_FOUND) {
        *failure = first;
        return result;
    }
    return failure_set(
        failure, result, "%.500s; container %s may be left, stop docker:%s:%s later: %.300s",
        first.message, container->name, container->slug, container->instance, undoing.message);
}

/* ---- a container that is there ---- */

enum bottle_result container_inspect(struct engine *engine, const char *name, json_object **found,
                                     struct failure *failure)
{
    enum bottle_result result = BOTTLE_UNAVAILABLE;

    /* Podman answers 500 for a container that is just being removed. */
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

/* Of a container that has just ended, Docker says 409 or 404 and Podman 500: so it is looked at. */
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
    struct failure ignored; /* without the log a message just says less */

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

/* The engine may be removing it already: then it is gone a little later. */
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
