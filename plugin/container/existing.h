/* SPDX-License-Identifier: MIT */
/* existing.h: a container that exists: finding it, asking it, removing it. */
#ifndef CONTAINER_EXISTING_H
#define CONTAINER_EXISTING_H

#include "engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

struct container;

#define CONTAINER_PAUSE_MS 50 /* between two polls of the engine */

/* From the engine's description of a container.  A label that it does not have is "". */
const char *container_label(json_object *found, const char *key);
bool container_is_running(json_object *found);
/* How long it has been running, by this machine's clock; the engine's machine may have another. */
int64_t container_uptime_ms(json_object *found);

/*
 * The engine's description of a container; BOTTLE_NOT_FOUND if there is none.
 * @name: or its ID
 */
enum bottle_result container_inspect(struct engine *engine, const char *name, json_object **found,
                                     struct failure *failure);

/*
 * Finds the container of that name, running or not, if its labels have that sidecar and slug, and that
 * instance; otherwise BOTTLE_NOT_FOUND.
 * @wanted: engine, sidecar, slug, instance ("": any) and name are used
 */
enum bottle_result container_find(const struct container *wanted, json_object **found,
                                  struct failure *failure);

/* engine_exec(), with the result BOTTLE_NOT_FOUND if the container no longer runs. */
enum bottle_result container_exec(struct engine *engine, const char *id, const char *const *command,
                                  char **output, struct failure *failure);

/* The last line that the program wrote, cut to the size; "nothing" if there is none. */
#define CONTAINER_WORDS_SIZE 256
void container_last_words(const struct container *container, char words[CONTAINER_WORDS_SIZE]);

/* Stops the container, if it runs, giving its program two seconds to end; then removes it. */
enum bottle_result container_stop(struct engine *engine, json_object *found,
                                  struct failure *failure);

/* Kills and removes the container, and returns when it is gone; BOTTLE_OK also if there is none. */
enum bottle_result container_remove(struct engine *engine, const char *id, struct failure *failure);

#endif
