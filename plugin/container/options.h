/* SPDX-License-Identifier: MIT */
/* options.h: the start options that every sidecar's container has. */
#ifndef CONTAINER_OPTIONS_H
#define CONTAINER_OPTIONS_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdint.h>

/* Their keys, as `"key", "key", …`, in the order of strcmp(3). */
#define CONTAINER_OPTION_KEYS                                                                      \
    "engine_timeout_ms", "image", "memory_limit_mib", "pids_limit", "restart", "start_timeout_ms"

struct container_options {
    int32_t engine_timeout_ms; /* for each call of the engine */
    int32_t start_timeout_ms;  /* until the program in the container is ready */
    int32_t memory_limit_mib, pids_limit;
    int32_t log_max_bytes; /* of the log that the engine keeps; not read from the options */
    const char *restart;   /* as the engine spells it: "no", "on-failure", … */
    const char *image;     /* NULL: none was named */
};

/*
 * Reads these options.  Other keys are ignored; the caller checks which keys there may be.
 * @image_variable: the environment variable that names an image if the options do not
 * @taken:          out: its strings are valid as long as options and the environment
 */
enum bottle_result container_read_options(json_object *options, const char *image_variable,
                                          struct container_options *taken, struct failure *failure);

#endif
