/* SPDX-License-Identifier: MIT */
/*
 * owned.h: what this user's launchers have in the engine.
 */
#ifndef SAMPLE_HOST_OWNED_H
#define SAMPLE_HOST_OWNED_H

#include "container/labels.h"
#include "engine/engine.h"

/* @owner: out: this user on this machine, as labels name them */
bool owned_open(struct engine **engine, char owner[LABEL_OWNER_SIZE]);

/* Lists the owner's containers, or networks. */
bool owned_list(struct engine *engine, enum engine_kind kind, const char *owner,
                json_object **list);

/*
 * Removes those of a list that belong to the slug.
 * @say: prints a line for each
 */
bool owned_remove(struct engine *engine, enum engine_kind kind, json_object *list, const char *slug,
                  bool say);

#endif
