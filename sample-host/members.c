/* SPDX-License-Identifier: MIT */
/*
 * members.c: the members of JSON objects: plans, and records of what runs.
 */
#include "members.h"

#include "fail.h"

#include "common/text/utf8.h"

#include <stdint.h>
#include <string.h>

const char *text_member(json_object *object, const char *key)
{
    json_object *value = json_object_object_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

bool set_member(json_object *object, const char *key, json_object *value)
{
    if (object && value && json_object_object_add(object, key, value) == 0)
        return true;
    (void)json_object_put(value);
    return fail("out of memory");
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        uint32_t code_point;
        size_t length = utf8_decode(text, left, &code_point);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

bool set_text(json_object *object, const char *key, const char *text)
{
    if (text && !is_utf8(text)) /* such JSON could not be read back */
        return fail("%s \"%s\" is not UTF-8: give another", key, text);
    return set_member(object, key, json_object_new_string(text));
}
