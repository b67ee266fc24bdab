/* SPDX-License-Identifier: MIT */
/* json_reader.c: see json_reader.h. */
#include "json_reader.h"

#include "utf8.h"

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

enum bottle_result json_out_of_memory(const struct json_reader *reader)
{
    return failure_set(reader->failure, BOTTLE_INTERNAL, "%s: out of memory", reader->where);
}
