/* SPDX-License-Identifier: MIT */
/*
 * json_text.c: JSON text from outside, against json-c.
 *
 * What is taken, json-c takes as well and reads alike; its text, written anew, is taken again.
 */
#include "fuzz.h"

#include "common/cleanup.h"

static const char *render(json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);

    REQUIRE(text);
    return text;
}

static void check_keys(json_object *object)
{
    static const char *const KEYS[] = {"a", "ssh", NULL};
    struct json_object_iterator member = json_object_iter_begin(object);
    struct json_object_iterator end = json_object_iter_end(object);
    struct failure failure;
    bool others = false;

    for (; !json_object_iter_equal(&member, &end); json_object_iter_next(&member)) {
        const char *key = json_object_iter_peek_name(&member);
        others = others || (strcmp(key, "a") != 0 && strcmp(key, "ssh") != 0);
    }
    enum bottle_result result = json_check_keys(object, "text", KEYS, &failure);
    REQUIRE(result == (others ? BOTTLE_INVALID : BOTTLE_OK));
    if (others)
        require_message(&failure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = fuzz_text(data, size);
    CLEANUP_JSON json_object *object = NULL;
    CLEANUP_JSON json_object *again = NULL;
    struct failure failure;

    enum bottle_result result = json_text_parse("text", text, &object, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID && !object);
        require_message(&failure);
        return 0;
    }
    CLEANUP_JSON json_object *other = json_tokener_parse(text);
    REQUIRE(json_object_is_type(object, json_type_object));
    REQUIRE(json_object_equal(object, other));
    REQUIRE(json_text_parse("text", render(object), &again, &failure) == BOTTLE_OK);
    REQUIRE(strcmp(render(object), render(again)) == 0);
    check_keys(object);
    return 0;
}
