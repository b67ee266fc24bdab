/* SPDX-License-Identifier: MIT */
/*
 * labels.h: the labels of a bottle's containers, networks and images.
 *
 * Anybody can give a container any name, so ownership is decided by these labels: only what has them is
 * replaced or removed.
 */
#ifndef CONTAINER_LABELS_H
#define CONTAINER_LABELS_H

#include <stdbool.h>

#define LABEL_SIDECAR  "com.claude-bottle.sidecar" /* the plugin's name; networks do not have it */
#define LABEL_SLUG     "com.claude-bottle.slug"
#define LABEL_INSTANCE "com.claude-bottle.instance"
#define LABEL_OWNER    "com.claude-bottle.owner" /* label_owner() */

#define LABEL_OWNER_SIZE 280

/*
 * The value of LABEL_OWNER for this process, USER-ID@HOST, as several users and machines may share an engine.
 * False, with errno set: the host's name cannot be read.
 */
bool label_owner(char owner[LABEL_OWNER_SIZE]);

#endif
