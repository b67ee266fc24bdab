/* SPDX-License-Identifier: MIT */
/*
 * json_object.h: reading and building JSON objects with few checks in the caller.
 *
 * The readers accept NULL as an object, and return NULL or "" for an absent member.  The builders own what
 * they are given, even on failure, and fail if they are given NULL.  So a whole object can be built in one
 * condition.
 */
#ifndef SIDECAR_JSON_OBJECT_H
#define SIDECAR_JSON_OBJECT_H

#include <json-c/json.h>
#include <stdbool.h>

/* The results are valid as long as object.  The text of a value other than a string is its JSON text. */
json_object *object_member(json_object *object, const char *key);
const char *object_text(json_object *object, const char *key);

/* False: out of memory. */
bool object_add(json_object *object, const char *key, json_object *value);
bool object_add_text(json_object *object, const char *key, const char *text);
bool array_add(json_object *array, json_object *value);
bool array_add_text(json_object *array, const char *text);

#endif
