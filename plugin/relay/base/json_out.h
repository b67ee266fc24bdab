/* SPDX-License-Identifier: MIT */
/*
 * json_out.h: writes JSON into a buffer of fixed size; for event lines and the status.
 *
 * Nothing is allocated, because a line is written for every connection, and every function is
 * async-signal-safe (signal-safety(7)), because one is written by a signal handler.  What does not fit sets
 * overflow, and the text must then not be used.
 */
#ifndef RELAY_JSON_OUT_H
#define RELAY_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_out {
    char *buffer;
    size_t size, length;
    bool overflow;
    bool needs_comma;
};

void json_out_init(struct json_out *out, char *buffer, size_t size);

/* key is NULL inside an array and for the outermost value.  kind: '{' or '['; end with '}' or ']'.
 */
void json_out_begin(struct json_out *out, const char *key, char kind);
void json_out_end(struct json_out *out, char kind);
/* Bytes that are not UTF-8 become U+FFFD. */
void json_out_string(struct json_out *out, const char *key, const char *value);
void json_out_integer(struct json_out *out, const char *key, int64_t value);
void json_out_null(struct json_out *out, const char *key);

#endif
