/* SPDX-License-Identifier: MIT */
/*
 * options.c: the start options of the docker backend.
 *
 * With an image of the launcher's choice the relay's own options mean nothing, and are refused.
 */
#include "docker.h"

#include "common/json_text.h"
#include "common/options.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define IMAGE_VARIABLE "CLAUDE_BOTTLE_SSH_GATE_IMAGE"

static const char *const RELAY_KEYS[] = {RELAY_CONFIG_OPTION_KEYS,
                                         "engine_timeout_ms",
                                         "image",
                                         "memory_limit_mib",
                                         "pids_limit",
                                         "restart",
                                         "start_timeout_ms",
                                         NULL};
static const char *const SCRIPT_KEYS[] = {
    "engine_timeout_ms", "event_log_max_bytes", "image", "memory_limit_mib", "pids_limit",
    "restart",           "start_timeout_ms",    NULL};
static const char *const RESTART_POLICIES[] = {"no", "on-failure", "unless-stopped", "always"};

static enum bottle_result check_image(const char *image, struct failure *failure)
{
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@";
    size_t length = strlen(image);

    if (length > 0 && length < 512 && strspn(image, allowed) == length && !strstr(image, "..") &&
        !strstr(image, "//") && image[0] != '-' && image[0] != '/' && image[0] != '.')
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "image \"%s\" (start option \"image\" or " IMAGE_VARIABLE
                       ") is no reference: NAME:TAG or NAME@sha256:DIGEST",
                       EXCERPT(image));
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

static enum bottle_result read_numbers(json_object *options, struct docker_options *taken,
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

enum bottle_result docker_read_options(json_object *options, struct docker_options *taken,
                                       struct relay_config *config, struct failure *failure)
{
    const char *image = secure_getenv(IMAGE_VARIABLE);

    *taken = (struct docker_options){.engine_timeout_ms = ENGINE_TIMEOUT_MS,
                                     .start_timeout_ms = 10000,
                                     .memory_limit_mib = 256,
                                     .pids_limit = 256,
                                     .restart = "no",
                                     .image = image && image[0] ? image : NULL};
    enum bottle_result result = option_text(options, "image", &taken->image, failure);
    if (result == BOTTLE_OK && taken->image)
        result = check_image(taken->image, failure);
    if (result == BOTTLE_OK)
        result =
            json_check_keys(options, taken->image ? "start options with an image" : "start options",
                            taken->image ? SCRIPT_KEYS : RELAY_KEYS, failure);
    if (result == BOTTLE_OK)
        result = option_text(options, "restart", &taken->restart, failure);
    if (result == BOTTLE_OK)
        result = check_restart(taken->restart, failure);
    if (result == BOTTLE_OK)
        result = read_numbers(options, taken, failure);
    if (result == BOTTLE_OK)
        result = relay_config_take_options(config, options, failure);
    return result;
}
