/* SPDX-License-Identifier: MIT */
/* network.h: attaching a sidecar's container to networks, with settings that let it forward nothing. */
#ifndef CONTAINER_NETWORK_H
#define CONTAINER_NETWORK_H

#include <json-c/json.h>
#include <stdbool.h>

struct container;

/* Sets the network in container->body, in place of any other.  False: out of memory. */
bool container_add_network(const struct container *container, json_object *network);

/* The member "EndpointConfig" of a request that attaches the container to a network; NULL: out of memory. */
json_object *container_describe_endpoint(const struct container *container);

/*
 * Makes the container share the network namespace of another one, with its addresses and settings.  The
 * namespace ends with that other container.  False: out of memory.
 */
bool container_share_network(json_object *body, const char *id);
#define NETWORK_OF                                                                                 \
    "container:" /* the NetworkMode of a container that shares is this and the other's ID */

#endif
