/* SPDX-License-Identifier: MIT */
/* settings.h: the settings that every sidecar's container has. */
#ifndef CONTAINER_SETTINGS_H
#define CONTAINER_SETTINGS_H

#include <json-c/json.h>

struct container;
struct container_options;

/*
 * The body of POST /containers/create: an unprivileged user without capabilities, the labels, limits on memory,
 * processes and the log.  The caller adds "Image" and the program, container_run() the network.
 * NULL: out of memory.
 */
json_object *container_describe(const struct container *container,
                                const struct container_options *options);

#endif
