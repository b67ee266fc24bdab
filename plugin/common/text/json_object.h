/* SPDX-License-Identifier: MIT */
/*
 * json_object.h: reading and building JSON objects, where every step may lack a member or memory.
 *
 * The readers take NULL for an object and give NULL, or "", for what is not there.  The builders take
 * what they are given over, also when they fail, and fail when they are given NULL; so a whole object
 * can be built in one condition.
 */
#ifndef SIDECAR_JSON_OBJECT_H
#define SIDECAR_JSON_OBJECT_H

#include <json-c/json.h>
#include <stdbool.h>

/* Both live as long as object.  Values that are no strings have the text of their JSON. */
json_object *object_member(json_object *object, const char *key);
const char *object_text(json_object *object, const char *key);

/* False when memory ran out. */
bool object_add(json_object *object, const char *key, json_object *value);
bool object_add_text(json_object *object, const char *key, const char *text);
bool array_add(json_object *array, json_object *value);
bool array_add_text(json_object *array, const char *text);

#endif
