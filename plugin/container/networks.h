/* SPDX-License-Identifier: MIT */
/* networks.h: finding a bottle's two networks, which the launcher made. */
#ifndef CONTAINER_NETWORKS_H
#define CONTAINER_NETWORKS_H

#include "engine/engine.h"

/*
 * Finds a bottle's two networks and checks them before anything is made.  In particular, the internal network
 * must be internal; otherwise the agent could bypass the sidecar.
 * @internal, @egress: out: as the engine describes them
 */
enum bottle_result networks_find(struct engine *engine, const char *internal_network,
                                 const char *egress_network, json_object **internal,
                                 json_object **egress, struct failure *failure);

#endif
