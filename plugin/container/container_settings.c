/* SPDX-License-Identifier: MIT */
/*
 * container_settings.c: what a sidecar's container is like, from the start options.
 *
 * Whatever runs in it has no capability, no new privileges, an unprivileged user, and limits on memory,
 * processes and the log.
 */
#include "container/container.h"

#include "common/cleanup.h"
#include "common/sidecar/host_log.h"
#include "common/sidecar/options.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/labels.h"

#include <stdio.h>
#include <string.h>

/*
 * The user and the group that own nothing.  Ports below 1024 are open to them in their own network.  A sidecar ends
 * as soon as it hears SIGTERM; a first process that has only just begun does not hear it, and Podman waits this
 * many seconds for it, also as it removes a container by force.
 */
static const char COMMON_SETTINGS[] = "{\"User\": \"65534:65534\","
                                      " \"StopTimeout\": 1,"
                                      " \"HostConfig\": {"
                                      "  \"CapDrop\": [\"ALL\"],"
                                      "  \"SecurityOpt\": [\"no-new-privileges\"]}}";

static const char *const RESTART_POLICIES[] = {"no", "on-failure", "unless-stopped", "always"};

/* ---- start options ---- */

static enum bottle_result check_image(const char *image, const char *variable,
                                      struct failure *failure)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@";
    size_t length = strlen(image);

    if (length > 0 && length < 512 && strspn(image, allowed) == length && !strstr(image, "..") &&
        !strstr(image, "//") && image[0] != '-' && image[0] != '/' && image[0] != '.')
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "image \"%s\" (start option \"image\" or %s) is no reference: NAME:TAG or "
                       "NAME@sha256:DIGEST",
                       EXCERPT(image), variable);
}

static enum bottle_result check_restart(const char *restart, struct failure *failure)
{
    for (size_t i = 0; i < sizeof RESTART_POLICIES / sizeof RESTART_POLICIES[0]; i++)
        if (strcmp(restart, RESTART_POLICIES[i]) == 0)
            return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "start options: restart is \"%s\"; it takes \"no\", \"on-failure\", "
                       "\"unless-stopped\" or \"always\"",
                       EXCERPT(restart));
}

static enum bottle_result read_numbers(json_object *options, struct container_options *taken,
                                       struct failure *failure)
{
    enum bottle_result result =
        option_integer(options, "engine_timeout_ms", 1, DAY_MS, &taken->engine_timeout_ms, failure);

    if (result == BOTTLE_OK)
        result = option_integer(options, "start_timeout_ms", 1, DAY_MS, &taken->start_timeout_ms,
                                failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "memory_limit_mib", 16, 1 << 20, &taken->memory_limit_mib,
                                failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "pids_limit", 8, 1 << 20, &taken->pids_limit, failure);
    return result;
}

enum bottle_result container_read_options(json_object *options, const char *image_variable,
                                          struct container_options *taken, struct failure *failure)
{
    const char *image = secure_getenv(image_variable);

    *taken = (struct container_options){.engine_timeout_ms = ENGINE_TIMEOUT_MS,
                                        .start_timeout_ms = 10000,
                                        .memory_limit_mib = 256,
                                        .pids_limit = 256,
                                        .log_max_bytes = 16 << 20,
                                        .restart = "no",
                                        .image = image && image[0] ? image : NULL};
    enum bottle_result result = option_text(options, "image", &taken->image, failure);
    if (result == BOTTLE_OK && taken->image)
        result = check_image(taken->image, image_variable, failure);
    if (result == BOTTLE_OK)
        result = option_text(options, "restart", &taken->restart, failure);
    if (result == BOTTLE_OK)
        result = check_restart(taken->restart, failure);
    return result == BOTTLE_OK ? read_numbers(options, taken, failure) : result;
}

/* ---- the image ---- */

enum bottle_result container_provide_image(struct engine *engine, const struct bottle_host *host,
                                           const char *image, struct failure *failure)
{
    struct failure pulling;
    enum bottle_result result =
        engine_call(engine, "GET", NULL, NULL, failure, "/images/%s/json", image);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    host_log(host, BOTTLE_LOG_INFO, "engine %s has no image %s: pulling it", engine_address(engine),
             image);
    result = engine_pull_image(engine, host, image, &pulling);
    if (result == BOTTLE_OK)
        return result;
    return failure_set(failure, result, "image %s is not there, and the engine cannot pull it: %s",
                       image, pulling.message);
}

/* ---- the container ---- */

static bool add_labels(json_object *body, const struct container *container)
{
    json_object *labels = json_object_new_object();
    char owner[ENGINE_OWNER_SIZE];

    return object_add(body, "Labels", labels) && engine_owner(owner) &&
           object_add_text(labels, LABEL_SIDECAR, container->sidecar) &&
           object_add_text(labels, LABEL_SLUG, container->slug) &&
           object_add_text(labels, LABEL_INSTANCE, container->instance) &&
           object_add_text(labels, LABEL_OWNER, owner);
}

/* Two files of half the size: the newest half at least is always there. */
static bool add_log(json_object *host_config, int32_t max_bytes)
{
    json_object *log = json_object_new_object(), *settings = json_object_new_object();
    char size[16];

    (void)snprintf(size, sizeof size, "%d", max_bytes / 2);
    bool added = object_add_text(settings, "max-size", size) &&
                 object_add_text(settings, "max-file", "2") &&
                 object_add_text(log, "Type", "json-file");
    added = object_add(log, "Config", settings) && added;
    return object_add(host_config, "LogConfig", log) && added;
}

static bool add_restart(json_object *host_config, const char *restart)
{
    json_object *policy = json_object_new_object();
    bool added = object_add_text(policy, "Name", restart);

    return object_add(host_config, "RestartPolicy", policy) && added;
}

json_object *container_describe(const struct container *container,
                                const struct container_options *options)
{
    CLEANUP_JSON json_object *body = json_tokener_parse(COMMON_SETTINGS);
    json_object *host_config = object_member(body, "HostConfig");
    int64_t memory = (int64_t)options->memory_limit_mib << 20;

    if (!body || !add_labels(body, container) ||
        !object_add(host_config, "Memory", json_object_new_int64(memory)) ||
        !object_add(host_config, "PidsLimit", json_object_new_int(options->pids_limit)) ||
        !add_log(host_config, options->log_max_bytes) ||
        !add_restart(host_config, options->restart))
        return NULL;
    return steal_pointer(&body);
}
