/* SPDX-License-Identifier: MIT */
/* json_reader.h: reading a JSON object key by key, with messages that name the key and its value. */
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

/* A value as JSON text, for a message; valid as long as the value; "": out of memory. */
const char *json_shown(json_object *value);

/* BOTTLE_INVALID, with the message "WHERE: KEY VALUE REASON". */
enum bottle_result json_refuse(const struct json_reader *reader, const char *key,
                               const char *reason);

/* Reads the value of a required key, which must be of that type; it is valid as long as the object. */
enum bottle_result json_read(const struct json_reader *reader, const char *key, json_type type,
                             json_object **value);

#define JSON_FAULT_SIZE 96

/*
 * Checks a value that must be an integer from minimum to maximum.  Returns NULL, or a text that says what is
 * wrong, to follow the key and the value in a message.
 * @fault: the buffer of the text
 *
 * 22.0, 2.2e1 and "22" are refused, and the text suggests 22: a program that holds all numbers as floating point
 * may write 22 as 22.0.
 */
const char *json_integer_fault(json_object *value, int64_t minimum, int64_t maximum,
                               char fault[JSON_FAULT_SIZE]);

/* Reads the integer of a required key. */
enum bottle_result json_read_integer(const struct json_reader *reader, const char *key,
                                     int64_t minimum, int64_t maximum, int64_t *number);

/* Reads the string of a required key, which must match the grammar; it is valid as long as the object. */
enum bottle_result json_read_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), const char **text);

/* The same, copied into a buffer of size bytes, or malloc'ed. */
enum bottle_result json_copy_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), char *to, size_t size);
enum bottle_result json_duplicate_text(const struct json_reader *reader, const char *key,
                                       bool (*grammar)(const char *), char **to);

/* BOTTLE_INTERNAL */
enum bottle_result json_out_of_memory(const struct json_reader *reader);

#endif
