/* SPDX-License-Identifier: MIT */
/* container_network.h: a sidecar's container on a bottle's networks, with settings that let nothing through. */
#ifndef DOCKER_ENGINE_CONTAINER_NETWORK_H
#define DOCKER_ENGINE_CONTAINER_NETWORK_H

#include "container/container.h"

/* Puts the network into container->body, in place of the one that was there.  False when memory ran out. */
bool container_add_network(const struct container *container, json_object *network);

/* What joins it to another one; NULL when memory ran out. */
json_object *container_describe_endpoint(const struct container *container);

#endif
