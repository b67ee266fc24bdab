/* SPDX-License-Identifier: MIT */
/*
 * json_text.h: strict parsing of JSON text from outside.
 *
 * It refuses what json-c accepts although it is invalid or ambiguous: see below and json_text.c.
 */
#ifndef SIDECAR_JSON_TEXT_H
#define SIDECAR_JSON_TEXT_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#define JSON_TEXT_MAX_BYTES ((size_t)1 << 20)
#define JSON_TEXT_MAX_DEPTH 16

/*
 * Parses one JSON object.
 * @what:   what the text is, for the message: "bottle", "plan", "start options"
 * @text:   NUL-terminated; NULL is an error
 * @object: out: to be released with json_object_put(); NULL on failure
 *
 * BOTTLE_INVALID, with the position and the reason, for: more than JSON_TEXT_MAX_BYTES, no valid JSON (RFC 8259,
 * UTF-8 checked), not an object, deeper than JSON_TEXT_MAX_DEPTH, a key twice in one object (after
 * escapes are resolved), a NUL (\u0000) in a key or string, trailing text.
 */
enum bottle_result json_text_parse(const char *what, const char *text, json_object **object,
                                   struct failure *failure);

/*
 * Refuses a key of object that is not in the NULL-terminated list; the message names the key, where
 * (such as "bottle.ssh[2]") and the keys there are.
 */
enum bottle_result json_check_keys(json_object *object, const char *where, const char *const *keys,
                                   struct failure *failure);

/* True if text is valid UTF-8 without control characters (U+0000–U+001F, U+007F–U+009F). */
bool text_is_printable(const char *text, size_t length);

#endif
