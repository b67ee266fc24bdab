/* SPDX-License-Identifier: MIT */
/*
 * load.c: loads and unloads a plugin; see loader.h.
 *
 * The table that is kept is a copy, cut or filled up with zeros to the size that this version of
 * the header knows, so that nothing behind it has to think about versions again.
 */
#include "loader.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The table of version 1.0 ends with release. */
#define TABLE_1_0_SIZE                                                                             \
    (offsetof(struct bottle_sidecar, release) + sizeof(((struct bottle_sidecar *)NULL)->release))

static void cleanup_plugin(struct bottle_plugin **plugin)
{
    bottle_plugin_unload(*plugin);
}
#define CLEANUP_PLUGIN __attribute__((cleanup(cleanup_plugin)))

/* The first required field that is missing, or NULL. */
static const char *missing_field(const struct bottle_sidecar *table)
{
    const struct {
        const char *name;
        bool present;
    } required[] = {
        {"name", table->name != NULL},
        {"version", table->version != NULL},
        {"description", table->description != NULL},
        {"backends", table->backends != NULL && table->backends[0] != NULL},
        {"prepare", table->prepare != NULL},
        {"start", table->start != NULL},
        {"stop", table->stop != NULL},
        {"release", table->release != NULL},
    };
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (!required[i].present)
            return required[i].name;
    return NULL;
}

/* Checks the plugin's table and keeps what this version of the header knows of it. */
static enum bottle_result adopt_table(struct bottle_plugin *plugin,
                                      const struct bottle_sidecar *theirs, char **message)
{
    if (theirs == NULL)
        return loader_fail(message, BOTTLE_INVALID,
                           "%s: " BOTTLE_SIDECAR_ENTRY "() returned NULL: it must return its table",
                           plugin->path);
    if (BOTTLE_HAS(theirs, abi_minor) && theirs->abi_major != BOTTLE_SIDECAR_ABI_MAJOR)
        return loader_fail(
            message, BOTTLE_INVALID,
            "%s speaks sidecar ABI %u.%u, this launcher speaks %u.x: use a plugin built for "
            "%u.x, or %s launcher",
            plugin->path, theirs->abi_major, theirs->abi_minor, BOTTLE_SIDECAR_ABI_MAJOR,
            BOTTLE_SIDECAR_ABI_MAJOR,
            theirs->abi_major > BOTTLE_SIDECAR_ABI_MAJOR ? "a newer" : "an older");
    if (!BOTTLE_HAS(theirs, release))
        return loader_fail(
            message, BOTTLE_INVALID,
            "%s has a table of %zu bytes, sidecar ABI 1.0 has %zu: set struct_size to "
            "sizeof(struct bottle_sidecar)",
            plugin->path, theirs->struct_size, TABLE_1_0_SIZE);

    size_t size = theirs->struct_size;
    if (size > sizeof(plugin->table))
        size = sizeof(plugin->table);
    memcpy(&plugin->table, theirs, size);
    plugin->table.struct_size = sizeof(plugin->table);

    const char *missing = missing_field(&plugin->table);
    if (missing != NULL)
        return loader_fail(message, BOTTLE_INVALID,
                           "%s has a table without %s, which every sidecar needs", plugin->path,
                           missing);
    return BOTTLE_OK;
}

static enum bottle_result open_plugin(struct bottle_plugin *plugin, char **message)
{
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (plugin->handle == NULL) {
        const char *reason = dlerror();
        return loader_fail(message, BOTTLE_INVALID, "cannot load plugin %s: %s", plugin->path,
                           reason != NULL ? reason : "the dynamic linker gives no reason");
    }
    void *symbol = dlsym(plugin->handle, BOTTLE_SIDECAR_ENTRY);
    if (symbol == NULL)
        return loader_fail(message, BOTTLE_INVALID,
                           "%s is no sidecar plugin: it does not export " BOTTLE_SIDECAR_ENTRY,
                           plugin->path);

    /* POSIX has functions and objects share one kind of pointer; ISO C has no conversion. */
    bottle_sidecar_entry_function entry;
    _Static_assert(sizeof(entry) == sizeof(symbol), "as POSIX has it");
    memcpy(&entry, &symbol, sizeof(entry));
    return adopt_table(plugin, entry(), message);
}

enum bottle_result bottle_plugin_load(const char *name, struct bottle_plugin **plugin,
                                      char **message)
{
    *plugin = NULL;
    if (message != NULL)
        *message = NULL;

    CLEANUP_PLUGIN struct bottle_plugin *loading = calloc(1, sizeof(*loading));
    if (loading == NULL)
        return BOTTLE_INTERNAL;
    enum bottle_result result = loader_find(name, &loading->path, message);
    if (loading->path == NULL)
        return result;

    result = loader_check(loading->path, message);
    if (result == BOTTLE_OK)
        result = open_plugin(loading, message);
    if (result != BOTTLE_OK)
        return result;

    *plugin = loading;
    loading = NULL;
    return BOTTLE_OK;
}

void bottle_plugin_unload(struct bottle_plugin *plugin)
{
    if (plugin == NULL)
        return;
    if (plugin->handle != NULL)
        (void)dlclose(plugin->handle); /* a failure leaves it mapped, and nobody could do better */
    free(plugin->path);
    free(plugin);
}

const struct bottle_sidecar *bottle_plugin_table(const struct bottle_plugin *plugin)
{
    return &plugin->table;
}

const char *bottle_plugin_path(const struct bottle_plugin *plugin)
{
    return plugin->path;
}
