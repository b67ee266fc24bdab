/* SPDX-License-Identifier: MIT */
/*
 * plugins.h: the plugins that are loaded.
 */
#ifndef SAMPLE_HOST_PLUGINS_H
#define SAMPLE_HOST_PLUGINS_H

#include "request.h"

#include <bottle/host.h>
#include <stdbool.h>
#include <stddef.h>

struct plugins {
    struct bottle_plugin *loaded[PLUGIN_MAX];
    size_t count;
};
#define CLEANUP_PLUGINS __attribute__((cleanup(plugins_unload)))

/*
 * Loads what --plugin names.
 * @with_default: if it names none, loads the sidecars that came with this program; and --options for a
 *                sidecar that no plugin has is refused
 */
bool plugins_load(struct plugins *plugins, const struct request *request, bool with_default);
void plugins_unload(struct plugins *plugins);

/* Loads one more: a path, or a name without a slash. */
bool plugins_add(struct plugins *plugins, const char *name);

/* The plugin of the sidecar of that name; NULL if none is loaded. */
const struct bottle_plugin *plugins_find(const struct plugins *plugins, const char *name);

/* Refuses --options for a sidecar that no plugin has. */
bool plugins_check_options(const struct plugins *plugins, const struct request *request);

#endif
