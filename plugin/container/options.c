/* SPDX-License-Identifier: MIT */
/* options.c: see options.h. */
#include "container/options.h"

#include "common/sidecar/options.h"
#include "common/text/utf8.h"
#include "engine/engine.h"

#include <stdlib.h>
#include <string.h>

static const char *const RESTART_POLICIES[] = {"no", "on-failure", "unless-stopped", "always"};

static enum bottle_result check_image(const char *image, const char *variable,
                                      struct failure *failure)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@";
    size_t length = strlen(image);

    if (length > 0 && length < 512 && strspn(image, allowed) == length && !strstr(image, "..") &&
        !strstr(image, "//") && image[0] != '-' && image[0] != '/' && image[0] != '.')
        return BOTTLE_OK;
    return failure_set(
        failure, BOTTLE_INVALID,
        "image \"%s\" (start option \"image\" or %s) is no reference: give NAME:TAG or "
        "NAME@sha256:DIGEST",
        EXCERPT(image), variable);
}

static enum bottle_result check_restart(const char *restart, struct failure *failure)
{
    for (size_t i = 0; i < sizeof RESTART_POLICIES / sizeof RESTART_POLICIES[0]; i++)
        if (strcmp(restart, RESTART_POLICIES[i]) == 0)
            return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "start options: restart is \"%s\"; give \"no\", \"on-failure\", "
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
