/* SPDX-License-Identifier: MIT */
/*
 * networks.c: the networks of a slug that runs in an engine.
 *
 * A bottle's internal network has no route out; its sidecars are attached to it and to an egress network.
 * Networks that the command line names, and those that exist already, belong to somebody else: they are
 * used and left alone.  A slug's own networks are made if they are missing, with labels that name the slug
 * and the owner.  By these labels they are found and removed, also if the launcher that made them was killed.
 */
#include "networks.h"

#include "fail.h"
#include "owned.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "container/labels.h"
#include "engine/engine.h"

#include <stdio.h>
#include <string.h>

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

/* Makes the network if it is the slug's own and missing. */
static bool provide_network(struct engine *engine, const char *network, bool internal,
                            const char *slug, const char *owner)
{
    struct failure failure;
    char name[NETWORK_NAME_SIZE];

    network_name(name, internal, slug);
    if (strcmp(network, name) != 0)
        return true;
    enum bottle_result result =
        engine_call(engine, "GET", NULL, NULL, &failure, "/networks/%s", name);
    if (result == BOTTLE_NOT_FOUND)
        return make_network(engine, name, internal, slug, owner);
    return result == BOTTLE_OK || fail("%s", failure.message);
}

bool networks_provide(const char *slug, const char *internal_network, const char *egress_network,
                      bool *may_exist)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    char owner[LABEL_OWNER_SIZE];

    if (!owned_open(&engine, owner))
        return false;
    *may_exist = true;
    return provide_network(engine, internal_network, true, slug, owner) &&
           provide_network(engine, egress_network, false, slug, owner);
}

bool networks_remove(const char *slug)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    CLEANUP_JSON json_object *networks = NULL;
    char owner[LABEL_OWNER_SIZE];

    return owned_open(&engine, owner) && owned_list(engine, ENGINE_NETWORKS, owner, &networks) &&
           owned_remove(engine, ENGINE_NETWORKS, networks, slug, false);
}
