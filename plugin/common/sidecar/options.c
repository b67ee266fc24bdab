/* SPDX-License-Identifier: MIT */
/* options.c: see options.h.  The backend checks which keys there are (json_check_keys()). */
#include "common/sidecar/options.h"

#include "common/text/json_reader.h"
#include "common/text/utf8.h"

enum bottle_result option_integer(json_object *options, const char *key, int32_t minimum,
                                  int32_t maximum, int32_t *value, struct failure *failure)
{
    json_object *given;
    char fault[JSON_FAULT_SIZE];

    if (!json_object_object_get_ex(options, key, &given))
        return BOTTLE_OK;
    if (json_integer_fault(given, minimum, maximum, fault))
        return failure_set(failure, BOTTLE_INVALID, "start options: %s is %s; it %s", key,
                           EXCERPT(json_shown(given)), fault);
    *value = (int32_t)json_object_get_int64(given);
    return BOTTLE_OK;
}

enum bottle_result option_boolean(json_object *options, const char *key, bool *value,
                                  struct failure *failure)
{
    json_object *given;

    if (!json_object_object_get_ex(options, key, &given))
        return BOTTLE_OK;
    if (!json_object_is_type(given, json_type_boolean))
        return failure_set(failure, BOTTLE_INVALID,
                           "start options: %s is %s; it takes true or false", key,
                           EXCERPT(json_shown(given)));
    *value = json_object_get_boolean(given);
    return BOTTLE_OK;
}

enum bottle_result option_text(json_object *options, const char *key, const char **value,
                               struct failure *failure)
{
    json_object *given;

    if (!json_object_object_get_ex(options, key, &given))
        return BOTTLE_OK;
    if (!json_object_is_type(given, json_type_string))
        return failure_set(failure, BOTTLE_INVALID, "start options: %s is %s; it takes a string",
                           key, EXCERPT(json_shown(given)));
    *value = json_object_get_string(given);
    return BOTTLE_OK;
}
