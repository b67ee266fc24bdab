/* SPDX-License-Identifier: MIT */
/* bottle_object.c: see bottle_object.h. */
#include "common/sidecar/bottle_object.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <stdio.h>

/* Writes ", such as bottles.NAME" with the first bottle; leaves text as it is if there is none. */
static void name_a_bottle(json_object *bottles, char *text, size_t size)
{
    if (json_object_is_type(bottles, json_type_object) && json_object_object_length(bottles) > 0) {
        struct json_object_iterator first = json_object_iter_begin(bottles);
        (void)snprintf(text, size, ", such as bottles.%s",
                       EXCERPT(json_object_iter_peek_name(&first)));
    }
}

/* The key of the object's only member, if that is an object with the key "ssh"; otherwise NULL. */
static const char *name_of_wrapped(json_object *object)
{
    if (json_object_object_length(object) != 1)
        return NULL;
    struct json_object_iterator only = json_object_iter_begin(object);
    json_object *value = json_object_iter_peek_value(&only);
    if (!json_object_is_type(value, json_type_object) || !object_member(value, "ssh"))
        return NULL;
    return json_object_iter_peek_name(&only);
}

static enum bottle_result check_bottle(json_object *object, struct failure *failure)
{
    json_object *agents_bottle = object_member(object, "bottle");
    const char *wrapped = name_of_wrapped(object);
    char example[32 + sizeof(struct excerpt)] = "";

    if (json_object_object_get_ex(object, "bottles", NULL)) {
        name_a_bottle(object_member(object, "bottles"), example, sizeof example);
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle: it has the key \"bottles\", as a whole manifest has: give the "
                           "object of one bottle%s",
                           example);
    }
    if (json_object_is_type(agents_bottle, json_type_string) &&
        !json_object_object_get_ex(object, "ssh", NULL))
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle: it has the key \"bottle\", \"%s\", as an agent of a manifest "
                           "has: give the object of that bottle",
                           EXCERPT(json_object_get_string(agents_bottle)));
    if (wrapped)
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle: its only key, \"%s\", holds an object with the key \"ssh\", as "
                           "the name of a bottle does: give that object",
                           EXCERPT(wrapped));
    return BOTTLE_OK;
}

enum bottle_result bottle_object_parse(const char *text, json_object **bottle,
                                       struct failure *failure)
{
    CLEANUP_JSON json_object *object = NULL;
    enum bottle_result result = json_text_parse("bottle", text, &object, failure);

    *bottle = NULL;
    if (result == BOTTLE_OK)
        result = check_bottle(object, failure);
    if (result == BOTTLE_OK)
        *bottle = steal_pointer(&object);
    return result;
}
