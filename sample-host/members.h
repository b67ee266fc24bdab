/* SPDX-License-Identifier: MIT */
/*
 * members.h: reads and sets members of JSON objects.
 */
#ifndef SAMPLE_HOST_MEMBERS_H
#define SAMPLE_HOST_MEMBERS_H

#include <json-c/json.h>
#include <stdbool.h>

/* object[key] if it is a string, else NULL; the text lives as long as the member does. */
const char *text_member(json_object *object, const char *key);

/* Takes ownership of value, also on failure. */
bool set_member(json_object *object, const char *key, json_object *value);

/* @text: must be UTF-8 */
bool set_text(json_object *object, const char *key, const char *text);

#endif
