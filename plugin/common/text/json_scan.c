/* SPDX-License-Identifier: MIT */
/*
 * json_scan.c: a recursive descent over the grammar of RFC 8259, bounded by JSON_TEXT_MAX_DEPTH, which refuses what
 * json-c lets pass, and says where it stands.
 *
 * Equal keys are found with json-c: it decodes each key that has escapes, and one
 * json_object for each open object holds the keys seen so far.  Its hash table keeps that linear,
 * and its seed is random, so that no choice of keys makes it slow.
 */
#include "common/text/json_scan.h"

#include "common/cleanup.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct scan {
    const char *what;
    const char *text;
    const char *at; /* the NUL at the end of text stops every loop */
    json_tokener *tokener;
    struct failure *failure;
};

/* Where a value stands: the chain leads outwards, so that a path costs nothing until it is
 * reported. */
struct place {
    const struct place *outer; /* NULL for the outermost value */
    const char *key; /* as it is in the text, without its quotes; NULL for an item of an array */
    int key_length;
    size_t index;
    unsigned depth; /* objects and arrays around this value */
};

#define PATH_SIZE    512
#define PATH_KEY_MAX 24 /* bytes of a key: JSON_TEXT_MAX_DEPTH of them fit into PATH_SIZE */

static size_t render_path(const struct place *place, char *path, size_t size)
{
    size_t used;
    int length;

    if (!place || !place->outer)
        return 0;
    used = render_path(place->outer, path, size);
    if (!place->key)
        length = snprintf(path + used, size - used, "[%zu]", place->index);
    else if (place->key_length > PATH_KEY_MAX)
        length = snprintf(path + used, size - used, ".%.*s…", PATH_KEY_MAX, place->key);
    else
        length = snprintf(path + used, size - used, ".%.*s", place->key_length, place->key);
    if (length < 0 || (size_t)length >= size - used) {
        path[used] = '\0';
        return used;
    }
    return used + (size_t)length;
}

static void find_line(const struct scan *scan, size_t *line, size_t *column)
{
    *line = 1;
    *column = 1;
    for (const char *at = scan->text; at < scan->at; at++) {
        *column += 1;
        if (*at == '\n') {
            *line += 1;
            *column = 1;
        }
    }
}

__attribute__((format(printf, 3, 4))) static enum bottle_result
refuse(const struct scan *scan, const struct place *place, const char *format, ...)
{
    char path[PATH_SIZE] = "";
    char reason[FAILURE_MESSAGE_SIZE / 2];
    size_t line;
    size_t column;
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    (void)render_path(place, path, sizeof path);
    find_line(scan, &line, &column);
    return failure_set(scan->failure, BOTTLE_INVALID, "%s%s: line %zu, column %zu: %s", scan->what,
                       path, line, column, length < 0 ? format : reason);
}

/* Something else stands where expected should be. */
static enum bottle_result refuse_here(const struct scan *scan, const struct place *place,
                                      const char *expected)
{
    uint32_t code_point;
    size_t length = utf8_decode(scan->at, strlen(scan->at) + 1, &code_point);

    if (*scan->at == '\0')
        return refuse(scan, place, "expected %s, but the text ends", expected);
    return refuse(scan, place, "expected %s, not \"%.*s\"", expected, length == 0 ? 1 : (int)length,
                  scan->at);
}

static void skip_space(struct scan *scan)
{
    scan->at += strspn(scan->at, " \t\r\n");
}

static void skip_digits(struct scan *scan)
{
    scan->at += strspn(scan->at, "0123456789");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static enum bottle_result scan_literal(struct scan *scan, const struct place *place)
{
    static const char *const literals[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
        size_t length = strlen(literals[i]);
        if (strncmp(scan->at, literals[i], length) == 0) {
            scan->at += length;
            return BOTTLE_OK;
        }
    }
    return refuse_here(scan, place, "a JSON value");
}

/* json-c keeps an integer in 64 bits, and a number with a fraction or an exponent as text. */
static enum bottle_result check_integer_fits(const struct scan *scan, const struct place *place,
                                             const char *number)
{
    size_t length = (size_t)(scan->at - number);

    errno = 0;
    (void)strtoll(number, NULL, 10);
    if (errno == 0)
        return BOTTLE_OK;
    return refuse(scan, place, "the number %.*s%s does not fit into 64 bits",
                  length > EXCERPT_BYTES ? EXCERPT_BYTES : (int)length, number,
                  length > EXCERPT_BYTES ? "…" : "");
}

static enum bottle_result scan_number(struct scan *scan, const struct place *place)
{
    const char *number = scan->at;
    bool integer = true;

    if (*scan->at == '-')
        scan->at++;
    if (!is_digit(*scan->at))
        return refuse_here(scan, place, "a digit");
    if (*scan->at == '0' && is_digit(scan->at[1]))
        return refuse(scan, place, "a number must not begin with 0");
    skip_digits(scan);
    if (*scan->at == '.') {
        integer = false;
        scan->at++;
        if (!is_digit(*scan->at))
            return refuse_here(scan, place, "a digit");
        skip_digits(scan);
    }
    if (*scan->at == 'e' || *scan->at == 'E') {
        integer = false;
        scan->at++;
        if (*scan->at == '+' || *scan->at == '-')
            scan->at++;
        if (!is_digit(*scan->at))
            return refuse_here(scan, place, "a digit");
        skip_digits(scan);
    }
    return integer ? check_integer_fits(scan, place, number) : BOTTLE_OK;
}

/* Takes the four digits after "\u". */
static enum bottle_result scan_code_unit(struct scan *scan, const struct place *place,
                                         unsigned *unit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";

    *unit = 0;
    for (int i = 0; i < 4; i++) {
        const char *digit = *scan->at == '\0' ? NULL : strchr(digits, *scan->at);
        if (!digit)
            return refuse_here(scan, place, "four hexadecimal digits after \\u");
        *unit = *unit << 4 | (unsigned)((digit - digits) % 16);
        scan->at++;
    }
    return BOTTLE_OK;
}

static enum bottle_result scan_escape(struct scan *scan, const struct place *place)
{
    unsigned unit;
    unsigned second = 0;
    enum bottle_result result;

    scan->at++;
    if (*scan->at != 'u') {
        if (*scan->at == '\0' || !strchr("\"\\/bfnrt", *scan->at))
            return refuse_here(scan, place, "one of \" \\ / b f n r t u after a backslash");
        scan->at++;
        return BOTTLE_OK;
    }
    scan->at++;
    result = scan_code_unit(scan, place, &unit);
    if (result != BOTTLE_OK)
        return result;
    if (unit == 0)
        return refuse(scan, place, "\\u0000 (NUL) is not allowed in a string");
    if (unit < 0xd800 || unit > 0xdfff)
        return BOTTLE_OK;
    if (unit < 0xdc00 && strncmp(scan->at, "\\u", 2) == 0) {
        scan->at += 2;
        result = scan_code_unit(scan, place, &second);
        if (result != BOTTLE_OK)
            return result;
    }
    if (second < 0xdc00 || second > 0xdfff)
        return refuse(scan, place, "\\u%04x is half a surrogate pair without the other half", unit);
    return BOTTLE_OK;
}

static enum bottle_result scan_string(struct scan *scan, const struct place *place)
{
    scan->at++;
    while (*scan->at != '"') {
        uint32_t code_point;
        size_t length;
        if (*scan->at == '\0')
            return refuse(scan, place, "a string is not closed: expected '\"' before the end");
        if (*scan->at == '\\') {
            enum bottle_result result = scan_escape(scan, place);
            if (result != BOTTLE_OK)
                return result;
            continue;
        }
        /* Four bytes are always there to look at, as far as the NUL, which fits into no sequence.
         */
        length = utf8_decode(scan->at, 4, &code_point);
        if (length == 0)
            return refuse(scan, place, "invalid UTF-8 in a string: byte 0x%02x",
                          (unsigned)(unsigned char)*scan->at);
        if (code_point < 0x20)
            return refuse(scan, place, "control character 0x%02x in a string: write it as \\u%04x",
                          (unsigned)code_point, (unsigned)code_point);
        scan->at += length;
    }
    scan->at++;
    return BOTTLE_OK;
}

static enum bottle_result scan_value(struct scan *scan, const struct place *place);

/* Decodes the key that stands between its quotes at text, and adds it to the keys of its object. */
static enum bottle_result add_key(const struct scan *scan, const struct place *place,
                                  json_object *keys)
{
    json_tokener_reset(scan->tokener);
    CLEANUP_JSON json_object *decoded =
        json_tokener_parse_ex(scan->tokener, place->key - 1, place->key_length + 2);
    const char *key = json_object_get_string(decoded);
    if (!key)
        return failure_set(scan->failure, BOTTLE_INTERNAL, "%s: out of memory", scan->what);
    if (json_object_object_get_ex(keys, key, NULL))
        return refuse(scan, place->outer, "the key \"%s\" is there twice: remove one of them",
                      EXCERPT(key));
    if (json_object_object_add(keys, key, NULL) != 0)
        return failure_set(scan->failure, BOTTLE_INTERNAL, "%s: out of memory", scan->what);
    return BOTTLE_OK;
}

static enum bottle_result scan_member(struct scan *scan, const struct place *object,
                                      json_object *keys)
{
    struct place place = {.outer = object, .depth = object->depth + 1};
    enum bottle_result result;

    if (*scan->at != '"')
        return refuse_here(scan, object, "a key in double quotes");
    place.key = scan->at + 1;
    result = scan_string(scan, object);
    if (result != BOTTLE_OK)
        return result;
    place.key_length = (int)(scan->at - 1 - place.key);
    result = add_key(scan, &place, keys);
    if (result != BOTTLE_OK)
        return result;
    skip_space(scan);
    if (*scan->at != ':')
        return refuse_here(scan, &place, "':' after the key");
    scan->at++;
    return scan_value(scan, &place);
}

static enum bottle_result scan_object(struct scan *scan, const struct place *place)
{
    CLEANUP_JSON json_object *keys = json_object_new_object();
    enum bottle_result result;

    if (!keys)
        return failure_set(scan->failure, BOTTLE_INTERNAL, "%s: out of memory", scan->what);
    scan->at++;
    skip_space(scan);
    if (*scan->at == '}') {
        scan->at++;
        return BOTTLE_OK;
    }
    for (;;) {
        skip_space(scan);
        result = scan_member(scan, place, keys);
        if (result != BOTTLE_OK)
            return result;
        if (*scan->at == '}') {
            scan->at++;
            return BOTTLE_OK;
        }
        if (*scan->at != ',')
            return refuse_here(scan, place, "',' or '}'");
        scan->at++;
    }
}

static enum bottle_result scan_array(struct scan *scan, const struct place *place)
{
    struct place item = {.outer = place, .depth = place->depth + 1};
    enum bottle_result result;

    scan->at++;
    skip_space(scan);
    if (*scan->at == ']') {
        scan->at++;
        return BOTTLE_OK;
    }
    for (;; item.index++) {
        result = scan_value(scan, &item);
        if (result != BOTTLE_OK)
            return result;
        if (*scan->at == ']') {
            scan->at++;
            return BOTTLE_OK;
        }
        if (*scan->at != ',')
            return refuse_here(scan, place, "',' or ']'");
        scan->at++;
    }
}

/* Takes one value and the space on both sides of it. */
static enum bottle_result scan_value(struct scan *scan, const struct place *place)
{
    enum bottle_result result;

    skip_space(scan);
    if ((*scan->at == '{' || *scan->at == '[') && place->depth == JSON_TEXT_MAX_DEPTH)
        return refuse(scan, place, "deeper than %d levels of objects and arrays",
                      JSON_TEXT_MAX_DEPTH);
    if (*scan->at == '{')
        result = scan_object(scan, place);
    else if (*scan->at == '[')
        result = scan_array(scan, place);
    else if (*scan->at == '"')
        result = scan_string(scan, place);
    else if (*scan->at == '-' || is_digit(*scan->at))
        result = scan_number(scan, place);
    else
        result = scan_literal(scan, place);
    skip_space(scan);
    return result;
}

static enum bottle_result scan_text(struct scan *scan)
{
    const struct place outermost = {0};

    skip_space(scan);
    if (*scan->at != '{')
        return refuse_here(scan, NULL, "a JSON object, which begins with '{'");
    enum bottle_result result = scan_value(scan, &outermost);
    if (result != BOTTLE_OK)
        return result;
    if (*scan->at != '\0')
        return refuse_here(scan, NULL, "nothing after the JSON object");
    return BOTTLE_OK;
}

enum bottle_result json_scan(const char *what, const char *text, json_tokener *tokener,
                             struct failure *failure)
{
    struct scan scan = {what, text, text, tokener, failure};

    return scan_text(&scan);
}
