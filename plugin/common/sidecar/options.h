/* SPDX-License-Identifier: MIT */
/* options.h: reading start options. */
#ifndef SIDECAR_OPTIONS_H
#define SIDECAR_OPTIONS_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#define DAY_MS 86400000 /* the longest time that an option may set */

/* If the key is absent, *value, which holds the default, is not changed. */
enum bottle_result option_integer(json_object *options, const char *key, int32_t minimum,
                                  int32_t maximum, int32_t *value, struct failure *failure);
enum bottle_result option_boolean(json_object *options, const char *key, bool *value,
                                  struct failure *failure);

/* value: out: valid as long as options */
enum bottle_result option_text(json_object *options, const char *key, const char **value,
                               struct failure *failure);

#endif
