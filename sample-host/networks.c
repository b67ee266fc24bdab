/* SPDX-License-Identifier: MIT */
/*
 * networks.c: what a bottle with the backend "docker" has in the engine beside its sidecars.
 *
 * A bottle's internal network has no route out; its sidecars stand in it with one foot, and in the egress
 * network with the other.  Networks that the command line names belong to somebody else, and so do those
 * that are there already: they are used and left.  A bottle's own that are missing are made, with labels
 * that say for which slug and by whom; so what is to be removed is found by its labels, also when the
 * launcher that made it was killed.
 */
#include "sample_host.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"
#include "common/text/json_object.h"
#include "container/labels.h"
#include "engine/engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool open_engine(struct engine **engine, char owner[ENGINE_OWNER_SIZE])
{
    struct failure failure;

    if (!engine_owner(owner))
        return fail("this machine's host name cannot be told");
    return engine_open(ENGINE_TIMEOUT_MS, engine, &failure) == BOTTLE_OK ||
           fail("%s", failure.message);
}

/* ---- making ---- */

void network_name(char name[NETWORK_NAME_SIZE], bool internal, const char *slug)
{
    (void)snprintf(name, NETWORK_NAME_SIZE, "claude-bottle-%s-%s", internal ? "net" : "egress",
                   slug);
}

static bool make_network(struct engine *engine, const char *name, bool internal, const char *slug,
                         const char *owner)
{
    CLEANUP_JSON json_object *body = json_object_new_object();
    json_object *labels = json_object_new_object();
    struct failure failure;
    bool built = object_add_text(labels, LABEL_SLUG, slug) &&
                 object_add_text(labels, LABEL_OWNER, owner) &&
                 object_add_text(body, "Name", name) &&
                 object_add(body, "CheckDuplicate", json_object_new_boolean(true)) &&
                 object_add(body, "Internal", json_object_new_boolean(internal));

    built = object_add(body, "Labels", labels) && built;
    if (!built)
        return fail("out of memory");
    enum bottle_result result =
        engine_call(engine, "POST", body, NULL, &failure, "/networks/create");
    return result == BOTTLE_OK || fail("%s", failure.message);
}

/* Makes the network that the plan names, if it is the slug's own and missing. */
static bool provide_network(struct engine *engine, const struct sidecar *sidecar, bool internal,
                            const char *slug, const char *owner)
{
    struct failure failure;
    char name[NETWORK_NAME_SIZE];

    network_name(name, internal, slug);
    if (strcmp(text_member(sidecar->plan, internal ? "internal_network" : "egress_network"),
               name) != 0)
        return true;
    enum bottle_result result =
        engine_call(engine, "GET", NULL, NULL, &failure, "/networks/%s", name);
    if (result == BOTTLE_NOT_FOUND)
        return make_network(engine, name, internal, slug, owner);
    return result == BOTTLE_OK || fail("%s", failure.message);
}

bool networks_provide(struct bottle *bottle, const struct sidecar *sidecar)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    char owner[ENGINE_OWNER_SIZE];

    if (!sidecar_is_in_engine(sidecar))
        return true;
    if (!open_engine(&engine, owner))
        return false;
    bottle->in_engine = true;
    return provide_network(engine, sidecar, true, bottle->slug, owner) &&
           provide_network(engine, sidecar, false, bottle->slug, owner);
}

/* ---- removing ---- */

/* The user's own of one kind. */
static bool list_own(struct engine *engine, enum engine_kind kind, const char *owner,
                     json_object **list)
{
    struct failure failure;

    return engine_list(engine, kind, list, &failure, "[\"" LABEL_OWNER "=%s\"]", owner) ==
               BOTTLE_OK ||
           fail("%s", failure.message);
}

/* Names of containers come as a list, with a '/' before each. */
static const char *name_of(json_object *object)
{
    json_object *names = object_member(object, "Names");
    const char *name = json_object_is_type(names, json_type_array)
                           ? json_object_get_string(json_object_array_get_idx(names, 0))
                           : NULL;

    if (name != NULL)
        return name[0] == '/' ? name + 1 : name;
    return object_text(object, "Name");
}

static bool remove_one(struct engine *engine, enum engine_kind kind, json_object *object, bool say)
{
    struct failure failure;
    CLEANUP_FREE char *id = engine_escape(object_text(object, "Id"));

    if (id == NULL)
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

/* The slug's, of what list_own() found. */
static bool remove_of_slug(struct engine *engine, enum engine_kind kind, json_object *list,
                           const char *slug, bool say)
{
    bool removed = true;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *object = json_object_array_get_idx(list, i);
        if (strcmp(object_text(object_member(object, "Labels"), LABEL_SLUG), slug) == 0)
            removed &= remove_one(engine, kind, object, say);
    }
    return removed;
}

bool networks_remove(const char *slug)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *networks = NULL;
    char owner[ENGINE_OWNER_SIZE];

    return open_engine(&engine, owner) && list_own(engine, ENGINE_NETWORKS, owner, &networks) &&
           remove_of_slug(engine, ENGINE_NETWORKS, networks, slug, false);
}

/* ---- orphans ---- */

/* Adds the slugs of the list to a set, the keys of an object. */
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

/* Holds the slug meanwhile, so that no other launcher starts it. */
static bool remove_orphan(const struct directory *root, const struct request *request,
                          struct engine *engine, const char *owner, const char *slug)
{
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_JSON json_object *containers = NULL;
    CLEANUP_JSON json_object *networks = NULL;

    if (!state_claim(root, slug, request, &directory))
        return false;
    bool removed = list_own(engine, ENGINE_CONTAINERS, owner, &containers) &&
                   list_own(engine, ENGINE_NETWORKS, owner, &networks) &&
                   remove_of_slug(engine, ENGINE_CONTAINERS, containers, slug, true) &&
                   remove_of_slug(engine, ENGINE_NETWORKS, networks, slug, true);
    return directory_remove(&directory) && removed;
}

bool remove_orphans(const struct directory *root, const struct request *request)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *containers = NULL;
    CLEANUP_JSON json_object *networks = NULL;
    CLEANUP_JSON json_object *slugs = json_object_new_object();
    struct json_object_iter iter;
    char owner[ENGINE_OWNER_SIZE];
    bool removed = true;

    if (!open_engine(&engine, owner) || !list_own(engine, ENGINE_CONTAINERS, owner, &containers) ||
        !list_own(engine, ENGINE_NETWORKS, owner, &networks) || !collect_slugs(containers, slugs) ||
        !collect_slugs(networks, slugs))
        return false;
    json_object_object_foreachC(slugs, iter)
    {
        if (faccessat(root->fd, iter.key, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
            removed &= remove_orphan(root, request, engine, owner, iter.key);
    }
    return removed;
}
