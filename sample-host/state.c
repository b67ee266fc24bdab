/* SPDX-License-Identifier: MIT */
/*
 * state.c: state.json, which says what runs under a slug.
 *
 *     {"bottle": …, "slug": …, "sidecars": [RECORD, …]}
 *
 * The members of a record are strings; sidecar.c sets them.
 */
#include "state.h"

#include "bottle.h"
#include "directory.h"
#include "fail.h"
#include "members.h"
#include "sidecar.h"
#include "text_file.h"

#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_text.h"

#include <stdlib.h>
#include <string.h>

#define STATE_FILE "state.json"

/* The members that every record has. */
static const char *const RECORD_KEYS[] = {"sidecar", "plugin", "backend", "target", "state"};

json_object *state_object(const struct bottle *bottle)
{
    CLEANUP_JSON json_object *object = json_object_new_object();
    json_object *sidecars;

    if (!set_text(object, "bottle", bottle->name) || !set_text(object, "slug", bottle->slug) ||
        !set_member(object, "sidecars", json_object_new_array()))
        return NULL;
    sidecars = json_object_object_get(object, "sidecars");
    for (size_t i = 0; i < bottle->count; i++) {
        if (json_object_array_add(sidecars, json_object_get(bottle->sidecars[i].record)) != 0)
            return NULL;
    }
    return steal_pointer(&object);
}

bool state_save(const struct directory *directory, const struct bottle *bottle)
{
    CLEANUP_JSON json_object *object = state_object(bottle);
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    const struct stage_file file = {STATE_FILE, 0600, text};
    struct failure failure;

    if (!object || !text)
        return fail("%s: out of memory", directory->path);
    return stage_dir_write(directory->fd, directory->path, &file, 1, &failure) == BOTTLE_OK ||
           fail("%s", failure.message);
}

static bool read_bottle(json_object *object, struct bottle *bottle)
{
    const char *name = text_member(object, "bottle");
    json_object *sidecars = json_object_object_get(object, "sidecars");

    if (!name || !json_object_is_type(sidecars, json_type_array) ||
        json_object_array_length(sidecars) > sizeof bottle->sidecars / sizeof bottle->sidecars[0])
        return false;
    free(bottle->name);
    bottle->name = strdup(name);
    for (size_t i = 0; i < json_object_array_length(sidecars); i++) {
        json_object *record = json_object_array_get_idx(sidecars, i);
        for (size_t j = 0; j < sizeof RECORD_KEYS / sizeof RECORD_KEYS[0]; j++) {
            if (!text_member(record, RECORD_KEYS[j]))
                return false;
        }
        bottle->sidecars[bottle->count++] = (struct sidecar){.record = json_object_get(record)};
    }
    return bottle->name;
}

bool state_load(const struct directory *directory, struct bottle *bottle)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_JSON json_object *object = NULL;
    struct failure failure;

    bottle->name = strdup(directory->name);
    bottle->slug = strdup(directory->name);
    if (!bottle->name || !bottle->slug)
        return fail("out of memory");
    if (!read_text_file(directory->fd, STATE_FILE, JSON_TEXT_MAX_BYTES, true, &text))
        return fail("cannot tell what runs in %s", directory->path);
    if (!text)
        return true;
    return (json_text_parse(STATE_FILE, text, &object, &failure) == BOTTLE_OK &&
            read_bottle(object, bottle)) ||
           fail("%s/" STATE_FILE " is damaged: stop what runs there by hand, then remove %s",
                directory->path, directory->path);
}
