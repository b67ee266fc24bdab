/* SPDX-License-Identifier: MIT */
/* json_reader.c: see json_reader.h. */
#include "common/text/json_reader.h"

#include "common/text/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *json_shown(json_object *value)
{
    const char *text = json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE);

    return text ? text : "";
}

enum bottle_result json_refuse(const struct json_reader *reader, const char *key,
                               const char *reason)
{
    const char *value = json_shown(json_object_object_get(reader->object, key));

    return failure_set(reader->failure, BOTTLE_INVALID, "%s: %s %s %s", reader->where, key,
                       EXCERPT(value), reason);
}

static enum bottle_result refuse_missing(const struct json_reader *reader, const char *key)
{
    return failure_set(reader->failure, BOTTLE_INVALID,
                       "%s: %s is missing: hand the plan on as prepare returned it", reader->where,
                       key);
}

enum bottle_result json_read(const struct json_reader *reader, const char *key, json_type type,
                             json_object **value)
{
    if (!json_object_object_get_ex(reader->object, key, value))
        return refuse_missing(reader, key);
    if (json_object_is_type(*value, type))
        return BOTTLE_OK;
    return failure_set(reader->failure, BOTTLE_INVALID,
                       "%s: %s %s must be of type %s: hand the plan on as prepare returned it",
                       reader->where, key, EXCERPT(json_shown(*value)), json_type_to_name(type));
}

/* Whether a number with a fraction or an exponent equals an integer from minimum to maximum. */
static bool is_integral(json_object *value, int64_t minimum, int64_t maximum, int64_t *number)
{
    const double exact = (double)((int64_t)1 << 53); /* below it, every integer is a double */
    double given = json_object_get_double(value);

    if (!json_object_is_type(value, json_type_double) || !(given > -exact && given < exact))
        return false;
    *number = (int64_t)given;
    return (double)*number == given && *number >= minimum && *number <= maximum;
}

/* Whether a string is the decimal text of an integer from minimum to maximum. */
static bool is_quoted(json_object *value, int64_t minimum, int64_t maximum, int64_t *number)
{
    char *end;

    if (!json_object_is_type(value, json_type_string))
        return false;
    const char *text = json_object_get_string(value);
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *number >= minimum && *number <= maximum;
}

const char *json_integer_fault(json_object *value, int64_t minimum, int64_t maximum,
                               char fault[JSON_FAULT_SIZE])
{
    int64_t number = json_object_get_int64(value);

    if (json_object_is_type(value, json_type_int) && number >= minimum && number <= maximum)
        return NULL;
    if (is_integral(value, minimum, maximum, &number))
        (void)snprintf(fault, JSON_FAULT_SIZE,
                       "must be written without a fraction or an exponent: %" PRId64, number);
    else if (is_quoted(value, minimum, maximum, &number))
        (void)snprintf(fault, JSON_FAULT_SIZE, "must be a number, without quotes: %" PRId64,
                       number);
    else
        (void)snprintf(fault, JSON_FAULT_SIZE,
                       "must be a whole number from %" PRId64 " to %" PRId64, minimum, maximum);
    return fault;
}

enum bottle_result json_read_integer(const struct json_reader *reader, const char *key,
                                     int64_t minimum, int64_t maximum, int64_t *number)
{
    char fault[JSON_FAULT_SIZE];
    json_object *value = NULL;

    if (!json_object_object_get_ex(reader->object, key, &value))
        return refuse_missing(reader, key);
    if (json_integer_fault(value, minimum, maximum, fault))
        return json_refuse(reader, key, fault);
    *number = json_object_get_int64(value);
    return BOTTLE_OK;
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
    return *to ? BOTTLE_OK : json_out_of_memory(reader);
}

enum bottle_result json_out_of_memory(const struct json_reader *reader)
{
    return failure_set(reader->failure, BOTTLE_INTERNAL, "%s: out of memory", reader->where);
}
