/* SPDX-License-Identifier: MIT */
/* json_object.c: see json_object.h. */
#include "common/text/json_object.h"

json_object *object_member(json_object *object, const char *key)
{
    json_object *found = NULL;

    return json_object_object_get_ex(object, key, &found) ? found : NULL;
}

const char *object_text(json_object *object, const char *key)
{
    json_object *found = object_member(object, key);

    return found ? json_object_get_string(found) : "";
}

bool object_add(json_object *object, const char *key, json_object *value)
{
    if (object && value && json_object_object_add(object, key, value) == 0)
        return true;
    (void)json_object_put(value);
    return false;
}

bool object_add_text(json_object *object, const char *key, const char *text)
{
    return object_add(object, key, json_object_new_string(text));
}

bool array_add(json_object *array, json_object *value)
{
    if (array && value && json_object_array_add(array, value) == 0)
        return true;
    (void)json_object_put(value);
    return false;
}

bool array_add_text(json_object *array, const char *text)
{
    return array_add(array, json_object_new_string(text));
}
