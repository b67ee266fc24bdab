/* SPDX-License-Identifier: MIT */
/*
 * container.h: a sidecar's container, for the backend docker of any plugin.
 *
 * In container/ belongs what every sidecar needs that runs as a container: making it, undoing that,
 * finding it, its settings and labels.  What only one plugin needs, such as its program and its image,
 * belongs to that plugin; what any client of an engine needs is in engine/.
 *
 * A sidecar's state is its container alone; there is no other record of it that could be out of date.  The
 * container's name reserves the slug, as an engine gives a name only once; its labels (labels.h) say whose
 * it is.
 *
 *     struct container container = {.engine = engine, .sidecar = "…", .slug = …, .instance = …,
 *                                   .name = …};
 *     container.body = container_describe(&container, &options);
 *     …"Image", "Cmd" and the like…
 *     result = container_run(&container, internal_network, egress_network, NULL, failure);
 *     if (result != BOTTLE_OK)
 *         result = container_undo(&container, result, failure);
 *     container_clear(&container);
 *
 * options.h     the start options           settings.h   user, limits and labels
 * image.h       pulling the image           networks.h   finding the bottle's networks
 * network.h     attaching to a network      existing.h   a container that exists
 */
#ifndef CONTAINER_CONTAINER_H
#define CONTAINER_CONTAINER_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>

struct engine;
struct engine_file;

struct container {
    struct engine *engine;
    const char *sidecar; /* the plugin's name */
    const char *slug, *instance;
    const char *name;
    json_object *body; /* of POST /containers/create */
    char *id;          /* NULL: not made yet */
    bool may_appear;   /* the engine was asked to make it and has not answered */
    bool without_ipv6; /* the engine's kernel has no IPv6, so its settings are left out */
};

/* Frees body and id. */
void container_clear(struct container *container);

/*
 * Makes the container and starts it.  If the name is taken by a container of this sidecar that does not run,
 * a leftover of a start that was interrupted or of a sidecar that ended, that one is removed first.  Not by
 * force: if another launcher has started it meanwhile, the engine refuses, and the result is
 * BOTTLE_CONFLICT, as for any other container of that name.  BOTTLE_NOT_FOUND: somebody removed the
 * container while it was being started.  On failure the caller calls container_undo().
 * @internal, @egress: the networks, as the engine describes them; NULL: body has the network already
 * @file:              copied into the container before it starts; NULL: none
 */
enum bottle_result container_run(struct container *container, json_object *internal,
                                 json_object *egress, const struct engine_file *file,
                                 struct failure *failure);

/*
 * Removes what container_run() made, even if the engine has not confirmed that it made it, and returns result.
 * If it cannot be removed, the failure's message says so, too.  The result BOTTLE_NOT_FOUND, which start must
 * not return, becomes BOTTLE_CONFLICT, with its own message.
 */
enum bottle_result container_undo(struct container *container, enum bottle_result result,
                                  struct failure *failure);

#endif
