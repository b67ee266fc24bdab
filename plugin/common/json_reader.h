/* SPDX-License-Identifier: MIT */
/* json_reader.h: a JSON object that is read key by key, and what a message says of a value in it. */
#ifndef SIDECAR_JSON_READER_H
#define SIDECAR_JSON_READER_H

#include "failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct json_reader {
    json_object *object;
    const char *where; /* as messages name the object: "plan", bottle.ssh[2] "gitea" */
    struct failure *failure;
};

/* A value as JSON text, for a message; "" when memory ran out.  Lives as long as the value. */
const char *json_shown(json_object *value);

/* BOTTLE_INVALID: the value of key is wrong for the reason, which follows key and value. */
enum bottle_result json_refuse(const struct json_reader *reader, const char *key,
                               const char *reason);

/* The value of a key that must be there, of that type; it lives as long as the object. */
enum bottle_result json_read(const struct json_reader *reader, const char *key, json_type type,
                             json_object **value);

/* The text of a key that must be there and match the grammar; it lives as long as the object. */
enum bottle_result json_read_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), const char **text);

/* The same, copied into a buffer of size bytes; or malloc'ed. */
enum bottle_result json_copy_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), char *to, size_t size);
enum bottle_result json_duplicate_text(const struct json_reader *reader, const char *key,
                                       bool (*grammar)(const char *), char **to);

/* BOTTLE_INTERNAL */
enum bottle_result json_out_of_memory(const struct json_reader *reader);

#endif
