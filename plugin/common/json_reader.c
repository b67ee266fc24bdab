/* SPDX-License-Identifier: MIT */
/* json_reader.c: see json_reader.h. */
#include "json_reader.h"

#include "utf8.h"

#include <stdio.h>
#include <string.h>

const char *json_shown(json_object *value)
{
    const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE);

    return text == NULL ? "" : text;
}

enum bottle_result json_refuse(const struct json_reader *reader, const char *key,
                               const char *reason)
{
    const char *value = json_shown(json_object_object_get(reader->object, key));

    return failure_set(reader->failure, BOTTLE_INVALID, "%s: %s %s %s", reader->where, key,
                       EXCERPT(value), reason);
}

enum bottle_result json_read(const struct json_reader *reader, const char *key, json_type type,
                             json_object **value)
{
    if (!json_object_object_get_ex(reader->object, key, value))
        return failure_set(reader->failure, BOTTLE_INVALID,
                           "%s: %s is missing: hand the plan on as prepare returned it",
                           reader->where, key);
    if (json_object_is_type(*value, type))
        return BOTTLE_OK;
    return failure_set(reader->failure, BOTTLE_INVALID, "%s: %s must be of type %s, not %s",
                       reader->where, key, json_type_to_name(type),
                       json_type_to_name(json_object_get_type(*value)));
}

enum bottle_result json_read_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), const char **text)
{
    json_object *value;
    enum bottle_result result = json_read(reader, key, json_type_string, &value);

    if (result != BOTTLE_OK)
        return result;
    *text = json_object_get_string(value);
    if (!grammar(*text))
        return json_refuse(reader, key, "is not valid: hand the plan on as prepare returned it");
    return BOTTLE_OK;
}

enum bottle_result json_copy_text(const struct json_reader *reader, const char *key,
                                  bool (*grammar)(const char *), char *to, size_t size)
{
    const char *text;
    enum bottle_result result = json_read_text(reader, key, grammar, &text);

    if (result == BOTTLE_OK && snprintf(to, size, "%s", text) >= (int)size)
        return json_refuse(reader, key, "is too long");
    return result;
}

enum bottle_result json_duplicate_text(const struct json_reader *reader, const char *key,
                                       bool (*grammar)(const char *), char **to)
{
    const char *text;
    enum bottle_result result = json_read_text(reader, key, grammar, &text);

    if (result != BOTTLE_OK)
        return result;
    *to = strdup(text);
    return *to == NULL ? json_out_of_memory(reader) : BOTTLE_OK;
}

enum bottle_result json_out_of_memory(const struct json_reader *reader)
{
    return failure_set(reader->failure, BOTTLE_INTERNAL, "%s: out of memory", reader->where);
}
