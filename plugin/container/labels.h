/* SPDX-License-Identifier: MIT */
/*
 * labels.h: the labels of what belongs to a bottle in an engine: containers, networks, images.
 *
 * A name proves nothing, for anybody may give it.  What is looked for, replaced or removed is found by
 * these.
 */
#ifndef DOCKER_ENGINE_LABELS_H
#define DOCKER_ENGINE_LABELS_H

#include <stdbool.h>

#define LABEL_SIDECAR  "com.claude-bottle.sidecar" /* the plugin's name; networks have none */
#define LABEL_SLUG     "com.claude-bottle.slug"
#define LABEL_INSTANCE "com.claude-bottle.instance"
#define LABEL_OWNER    "com.claude-bottle.owner" /* engine_owner() */

#define ENGINE_OWNER_SIZE 280

/*
 * Who made it, where several users and machines share an engine: USER-ID@HOST of this process.  False
 * if the host's name cannot be told, with errno set.
 */
bool engine_owner(char owner[ENGINE_OWNER_SIZE]);

#endif
