/* SPDX-License-Identifier: MIT */
/*
 * orphans.c: `down --orphans`: removes from the engine what belongs to slugs that are not up.
 *
 * A launcher's containers and networks are orphans if their slug has no directory (slugs.c): its state was
 * lost, by a reboot for instance, so `down` cannot find them.
 */
#include "orphans.h"

#include "directory.h"
#include "fail.h"
#include "owned.h"
#include "slugs.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"
#include "common/text/json_object.h"
#include "container/labels.h"
#include "engine/engine.h"

#include <fcntl.h>
#include <unistd.h>

/* Adds the slugs of the objects in the list to a set: the keys of slugs. */
static bool collect_slugs(json_object *list, json_object *slugs)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *labels = object_member(json_object_array_get_idx(list, i), "Labels");
        const char *slug = object_text(labels, LABEL_SLUG);
        if (grammar_slug(slug) && !object_add(slugs, slug, json_object_new_boolean(true)))
            return fail("out of memory");
    }
    return true;
}

/* Claims the slug meanwhile, so that no other launcher starts it. */
static bool remove_orphan(const struct directory *root, const struct request *request,
                          struct engine *engine, const char *owner, const char *slug)
{
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_JSON json_object *containers = NULL;
    CLEANUP_JSON json_object *networks = NULL;

    if (!slugs_claim(root, slug, request, &directory))
        return false;
    bool removed = owned_list(engine, ENGINE_CONTAINERS, owner, &containers) &&
                   owned_list(engine, ENGINE_NETWORKS, owner, &networks) &&
                   owned_remove(engine, ENGINE_CONTAINERS, containers, slug, true) &&
                   owned_remove(engine, ENGINE_NETWORKS, networks, slug, true);
    return directory_remove(&directory) && removed;
}

bool orphans_remove(const struct directory *root, const struct request *request)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *containers = NULL;
    CLEANUP_JSON json_object *networks = NULL;
    CLEANUP_JSON json_object *slugs = json_object_new_object();
    struct json_object_iter iter;
    char owner[LABEL_OWNER_SIZE];
    bool removed = true;

    if (!owned_open(&engine, owner) || !owned_list(engine, ENGINE_CONTAINERS, owner, &containers) ||
        !owned_list(engine, ENGINE_NETWORKS, owner, &networks) ||
        !collect_slugs(containers, slugs) || !collect_slugs(networks, slugs))
        return false;
    json_object_object_foreachC(slugs, iter)
    {
        if (faccessat(root->fd, iter.key, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
            removed &= remove_orphan(root, request, engine, owner, iter.key);
    }
    return removed;
}
