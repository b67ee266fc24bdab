/* SPDX-License-Identifier: MIT */
/*
 * describe.h: JSON objects as people read them.
 */
#ifndef SAMPLE_HOST_DESCRIBE_H
#define SAMPLE_HOST_DESCRIBE_H

#include <json-c/json.h>
#include <stdbool.h>

struct failure;

/* Prints JSON on standard output, indented. */
bool print_json(json_object *object);

/*
 * Writes what people call an upstream: its alias, a separator and HOST:PORT, as far as it has them; an
 * upstream without a host becomes its JSON.
 */
void describe_upstream(json_object *upstream, const char *separator, struct failure *text);

#endif
