/* SPDX-License-Identifier: MIT */
/*
 * json_text.c: see json_text.h.
 *
 * json-c builds the object, but it accepts too much: even with JSON_TOKENER_STRICT, version 0.16 takes NaN, Infinity, -01, 1., keys in single quotes, control characters in strings,
 * half a surrogate pair and overlong UTF-8, turns a number that is too large into the largest there
 * is, and lets the last of two equal keys win.  So the text is read twice: json_scan.c refuses all that, and then json-c
 * parses what is known to be valid, without its strict mode, which adds nothing then, and in version 0.18
 * refuses every character beyond ASCII.
 *
 * In text/ belongs what reads or writes text: grammars, JSON, UTF-8, failures.  What knows a sidecar, a file or a process does
 * not belong here.
 */
#include "common/text/json_text.h"

#include "common/cleanup.h"
#include "common/text/json_scan.h"
#include "common/text/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static void cleanup_tokener(json_tokener **tokener)
{
    if (*tokener)
        json_tokener_free(*tokener);
}

enum bottle_result json_text_parse(const char *what, const char *text, json_object **object,
                                   struct failure *failure)
{
    size_t length;
    enum bottle_result result;

    *object = NULL;
    if (!text)
        return failure_set(failure, BOTTLE_INVALID, "%s: no text given: give a JSON object", what);
    length = strnlen(text, JSON_TEXT_MAX_BYTES + 1);
    if (length > JSON_TEXT_MAX_BYTES)
        return failure_set(failure, BOTTLE_INVALID, "%s: longer than %zu bytes: shorten it", what,
                           JSON_TEXT_MAX_BYTES);

    /* json-c counts the scalars inside the innermost array as one level more. */
    __attribute__((cleanup(cleanup_tokener))) json_tokener *tokener =
        json_tokener_new_ex(JSON_TEXT_MAX_DEPTH + 1);
    if (!tokener)
        return failure_set(failure, BOTTLE_INTERNAL, "%s: out of memory", what);

    result = json_scan(what, text, tokener, failure);
    if (result != BOTTLE_OK)
        return result;
    json_tokener_reset(tokener);
    *object = json_tokener_parse_ex(tokener, text, (int)length);
    if (!*object)
        return failure_set(failure, BOTTLE_INTERNAL, "%s: json-c could not build it: %s", what,
                           json_tokener_error_desc(json_tokener_get_error(tokener)));
    return BOTTLE_OK;
}

static const char *const *find_key(const char *const *keys, const char *key,
                                   int (*compare)(const char *, const char *))
{
    while (*keys && compare(*keys, key) != 0)
        keys++;
    return keys;
}

static enum bottle_result refuse_key(const char *where, const char *key, const char *const *keys,
                                     struct failure *failure)
{
    char list[FAILURE_MESSAGE_SIZE / 2] = "";
    size_t used = 0;
    const char *meant = *find_key(keys, key, strcasecmp);

    if (meant)
        return failure_set(failure, BOTTLE_INVALID, "%s: unknown key \"%s\": did you mean \"%s\"?",
                           where, EXCERPT(key), meant);
    for (size_t i = 0; keys[i]; i++) {
        int length = snprintf(list + used, sizeof list - used, "%s%s", i == 0 ? "" : ", ", keys[i]);
        if (length < 0 || (size_t)length >= sizeof list - used)
            break;
        used += (size_t)length;
    }
    return failure_set(failure, BOTTLE_INVALID, "%s: unknown key \"%s\": the keys are %s", where,
                       EXCERPT(key), used == 0 ? "none" : list);
}

enum bottle_result json_check_keys(json_object *object, const char *where, const char *const *keys,
                                   struct failure *failure)
{
    struct json_object_iterator member = json_object_iter_begin(object);
    struct json_object_iterator end = json_object_iter_end(object);

    for (; !json_object_iter_equal(&member, &end); json_object_iter_next(&member)) {
        const char *key = json_object_iter_peek_name(&member);
        if (!*find_key(keys, key, strcmp))
            return refuse_key(where, key, keys, failure);
    }
    return BOTTLE_OK;
}

bool text_is_printable(const char *text, size_t length)
{
    while (length > 0) {
        uint32_t code_point;
        size_t sequence = utf8_decode(text, length, &code_point);
        if (sequence == 0 || is_control(code_point))
            return false;
        text += sequence;
        length -= sequence;
    }
    return true;
}

/*
 * The seed of json-c's hash tables, in place of its own function of this name (random_seed.c), which prints on
 * standard error where getrandom(2) is denied: that is the host's.  Then the clock has to do.
 */
int json_c_get_random_seed(void);
int json_c_get_random_seed(void)
{
    struct timespec now = {0};
    int seed;

    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int)(now.tv_nsec ^ now.tv_sec);
}
