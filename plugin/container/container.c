/* SPDX-License-Identifier: MIT */
/*
 * container.c: making a sidecar's container and undoing that.
 *
 * If the engine was killed or too slow to answer a request to make a container, the container may exist, or may
 * still be made later.  container_undo() finds out by the name: as long as the engine works on
 * the request, the name is taken; so once it succeeds in making a container of that name itself, the
 * first request can no longer succeed.
 */
#include "container/container.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/existing.h"
#include "container/labels.h"
#include "container/network.h"
#include "engine/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLAIM_TRIES 20

void container_clear(struct container *container)
{
    (void)json_object_put(container->body);
    free(container->id);
    container->body = NULL;
    container->id = NULL;
}

/* ---- the claim on the name ---- */

/* Removes the container that has the name, if it is the sidecar's and does not run. */
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
    /* Another launcher has just started it, or removes it; the next attempt tells. */
    return result == BOTTLE_NOT_FOUND || result == BOTTLE_CONFLICT ? BOTTLE_OK : result;
}

static enum bottle_result create_once(struct container *container, struct failure *failure)
{
    CLEANUP_JSON json_object *made = NULL;
    enum bottle_result result = engine_call(container->engine, "POST", container->body, &made,
                                            failure, "/containers/create?name=%s", container->name);

    container->may_appear = result == BOTTLE_TIMEOUT || result == BOTTLE_UNAVAILABLE;
    if (result != BOTTLE_OK)
        return result;
    free(container->id);
    container->id = engine_escape(object_text(made, "Id"));
    return container->id ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* Whether a retry can help.  If the name is taken, Docker answers 409 and Podman 500. */
static bool is_worth_retry(enum bottle_result result)
{
    return result == BOTTLE_CONFLICT || result == BOTTLE_UNAVAILABLE;
}

/* Retries because the container that has the name may be about to be started or removed. */
static enum bottle_result create(struct container *container, struct failure *failure)
{
    enum bottle_result result = BOTTLE_OK;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_leftover(container, failure);
        if (result == BOTTLE_CONFLICT)
            return result;
        if (result == BOTTLE_OK)
            result = create_once(container, failure);
        if (!is_worth_retry(result))
            return result;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    return result;
}

/* Whether another launcher has removed the container, having found that it has the name but does not run. */
static bool is_gone(const struct container *container)
{
    CLEANUP_JSON json_object *found = NULL;
    struct failure ignored;
    enum bottle_result result =
        container_inspect(container->engine, container->id, &found, &ignored);

    return result == BOTTLE_NOT_FOUND ||
           strcmp(object_text(object_member(found, "State"), "Status"), "removing") == 0;
}

/*
 * Attaches the container to the egress network.  Before API 1.44 a request to make a container takes only one
 * network.
 */
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

/* If another launcher removes the container meanwhile, Docker answers 409 or 404, Podman 500 with this message. */
static bool may_be_removed(enum bottle_result result, const struct failure *failure)
{
    return result == BOTTLE_CONFLICT || strcasestr(failure->message, "no such container");
}

/*
 * Starts the container.  The engine may also remove it because its program cannot run, but then the failure says
 * why, and is kept.
 */
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

/* runc, crun and Docker report: "open /proc/sys/net/ipv6/conf/…: no such file or directory". */
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

/* Removes this instance's container; BOTTLE_NOT_FOUND if there is none. */
static enum bottle_result remove_own(const struct container *container, struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;
    enum bottle_result result = container_find(container, &found, failure);

    if (result != BOTTLE_OK)
        return result;
    return container_remove(container->engine, object_text(found, "Id"), failure);
}

/* Removes a container that the engine may have made, or may still make, without having answered. */
static enum bottle_result remove_late_container(struct container *container,
                                                struct failure *failure)
{
    enum bottle_result result = BOTTLE_NOT_FOUND;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        result = remove_own(container, failure);
        if (result != BOTTLE_NOT_FOUND)
            return result;
        result = create_once(container, failure);
        if (result == BOTTLE_OK)
            return remove_own(container, failure);
        if (!is_worth_retry(result))
            return result;
        wait_pause(CONTAINER_PAUSE_MS);
    }
    return result == BOTTLE_CONFLICT ? BOTTLE_NOT_FOUND
                                     : result; /* another launcher has the name now */
}

enum bottle_result container_undo(struct container *container, enum bottle_result result,
                                  struct failure *failure)
{
    struct failure undoing, first = *failure;
    enum bottle_result undone = container->may_appear ? remove_late_container(container, &undoing)
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
        failure, result, "%.500s; container %s may be left over, stop docker:%s:%s later: %.300s",
        first.message, container->name, container->slug, container->instance, undoing.message);
}
