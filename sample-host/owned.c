/* SPDX-License-Identifier: MIT */
/*
 * owned.c: what this user's launchers have in the engine.
 *
 * Containers and networks are found by their labels, which name their owner and their slug.
 */
#include "owned.h"

#include "fail.h"
#include "print.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "container/labels.h"

#include <string.h>

bool owned_open(struct engine **engine, char owner[LABEL_OWNER_SIZE])
{
    struct failure failure;

    if (!label_owner(owner))
        return fail("cannot determine this machine's host name: set one with hostname(1)");
    return engine_open(ENGINE_TIMEOUT_MS, engine, &failure) == BOTTLE_OK ||
           fail("%s", failure.message);
}

bool owned_list(struct engine *engine, enum engine_kind kind, const char *owner, json_object **list)
{
    struct failure failure;

    return engine_list(engine, kind, list, &failure, "[\"" LABEL_OWNER "=%s\"]", owner) ==
               BOTTLE_OK ||
           fail("%s", failure.message);
}

/* The engine lists a container's names in an array, with a '/' before each. */
static const char *name_of(json_object *object)
{
    json_object *names = object_member(object, "Names");
    const char *name = json_object_is_type(names, json_type_array)
                           ? json_object_get_string(json_object_array_get_idx(names, 0))
                           : NULL;

    if (name)
        return name[0] == '/' ? name + 1 : name;
    return object_text(object, "Name");
}

static bool remove_one(struct engine *engine, enum engine_kind kind, json_object *object, bool say)
{
    struct failure failure;
    CLEANUP_FREE char *id = engine_escape(object_text(object, "Id"));

    if (!id)
        return fail("out of memory");
    enum bottle_result result =
        engine_call(engine, "DELETE", NULL, NULL, &failure,
                    kind == ENGINE_CONTAINERS ? "/containers/%s?force=1&v=1" : "/networks/%s", id);
    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return fail("%s", failure.message);
    if (say)
        print_line(stdout, "%s %s is removed", kind == ENGINE_CONTAINERS ? "container" : "network",
                   name_of(object));
    return true;
}

bool owned_remove(struct engine *engine, enum engine_kind kind, json_object *list, const char *slug,
                  bool say)
{
    bool removed = true;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *object = json_object_array_get_idx(list, i);
        if (strcmp(object_text(object_member(object, "Labels"), LABEL_SLUG), slug) == 0)
            removed &= remove_one(engine, kind, object, say);
    }
    return removed;
}
