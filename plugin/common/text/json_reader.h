/* SPDX-License-Identifier: MIT */
/* json_reader.h: a JSON object that is read key by key, and what a message says of a value in it. */
#ifndef SIDECAR_JSON_READER_H
#define SIDECAR_JSON_READER_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#define JSON_FAULT_SIZE 96

/*
 * What is wrong with a value that must be an integer from minimum to maximum, to follow the key and the value
 * in a message; NULL if nothing is.
 * @fault: room for it
 *
 * 22.0, 2.2e1 and "22" are refused, with the 22 that they may have been: a program that decodes all numbers to
 * floating point writes 22 as 22.0.
 */
const char *json_integer_fault(json_object *value, int64_t minimum, int64_t maximum,
                               char fault[JSON_FAULT_SIZE]);

/* The integer of a key that must be there. */
enum bottle_result json_read_integer(const struct json_reader *reader, const char *key,
                                     int64_t minimum, int64_t maximum, int64_t *number);

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
