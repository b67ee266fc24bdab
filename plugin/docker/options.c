/* SPDX-License-Identifier: MIT */
/*
 * options.c: see options.h.
 *
 * With an image of the launcher's choice there is no relay, so the relay's options are refused.
 */
#include "docker/options.h"

#include "common/text/json_text.h"

#define IMAGE_VARIABLE "CLAUDE_BOTTLE_SSH_GATE_IMAGE"

static const char *const RELAY_KEYS[] = {RELAY_CONFIG_OPTION_KEYS, CONTAINER_OPTION_KEYS, NULL};
static const char *const SCRIPT_KEYS[] = {"event_log_max_bytes", CONTAINER_OPTION_KEYS, NULL};

enum bottle_result docker_read_options(json_object *options, struct container_options *taken,
                                       struct relay_config *config, struct failure *failure)
{
    enum bottle_result result = container_read_options(options, IMAGE_VARIABLE, taken, failure);

    if (result == BOTTLE_OK)
        result =
            json_check_keys(options, taken->image ? "start options with an image" : "start options",
                            taken->image ? SCRIPT_KEYS : RELAY_KEYS, failure);
    if (result == BOTTLE_OK)
        result = relay_config_take_options(config, options, failure);
    taken->log_max_bytes = config->event_log_max_bytes;
    return result;
}
