/* SPDX-License-Identifier: MIT */
/*
 * plugins.c: finds and loads the plugins: those that --plugin names, or those that came with this program.
 */
#include "plugins.h"

#include "fail.h"
#include "path.h"
#include "request.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"

#include <bottle/host.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

/*
 * The plugins that come with this program: their paths in a build, from the program, and their names once
 * installed.
 */
static const struct default_plugin {
    const char *in_build, *name;
    bool optional; /* it may be in a package that is not installed */
} DEFAULT_PLUGINS[] = {{"../plugin/ssh_gate.so", "ssh_gate", false},
                       {"pipelock.so", "pipelock", true}};

const struct bottle_plugin *plugins_find(const struct plugins *plugins, const char *name)
{
    for (size_t i = 0; i < plugins->count; i++) {
        if (strcmp(bottle_plugin_table(plugins->loaded[i])->name, name) == 0)
            return plugins->loaded[i];
    }
    return NULL;
}

/* @optional: a plugin that is not there is no error */
static bool add_plugin(struct plugins *plugins, const char *name, bool optional)
{
    struct bottle_plugin *plugin = NULL;
    CLEANUP_FREE char *message = NULL;

    if (plugins->count == PLUGIN_MAX)
        return fail("%s: more than %d plugins", name, PLUGIN_MAX);
    enum bottle_result result = bottle_plugin_load(name, &plugin, &message);
    if (result == BOTTLE_UNAVAILABLE && optional)
        return true;
    if (result != BOTTLE_OK)
        return fail("%s", message ? message : "out of memory");
    const char *own_name = bottle_plugin_table(plugin)->name;
    if (!grammar_word(own_name, WORD, WORD "-",
                      NAME_MAX)) { /* it becomes the name of a directory */
        (void)fail("%s calls itself \"%s\": the name of a sidecar has letters, digits, '_' and '-'",
                   bottle_plugin_path(plugin), own_name);
        bottle_plugin_unload(plugin);
        return false;
    }
    const struct bottle_plugin *other = plugins_find(plugins, own_name);
    if (other) {
        (void)fail("%s and %s are both plugin %s: give one of them", bottle_plugin_path(other),
                   bottle_plugin_path(plugin), own_name);
        bottle_plugin_unload(plugin);
        return false;
    }
    plugins->loaded[plugins->count++] = plugin;
    return true;
}

bool plugins_add(struct plugins *plugins, const char *name)
{
    return add_plugin(plugins, name, false);
}

static bool add_default_plugins(struct plugins *plugins)
{
    CLEANUP_FREE char *program = realpath("/proc/self/exe", NULL);
    char path[PATH_MAX];
    bool is_build = false;

    if (!program)
        return fail(
            "cannot resolve /proc/self/exe: %s: mount /proc, or name the plugins with --plugin",
            strerror(errno));
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof DEFAULT_PLUGINS / sizeof DEFAULT_PLUGINS[0]; i++) {
        const struct default_plugin *plugin = &DEFAULT_PLUGINS[i];
        if (!make_path(path, "%s/%s", program, plugin->in_build))
            return false;
        is_build |= access(path, F_OK) == 0;
        if (!add_plugin(plugins, is_build ? path : plugin->name, plugin->optional))
            return false;
    }
    return true;
}

bool plugins_check_options(const struct plugins *plugins, const struct request *request)
{
    struct json_object_iter iter;

    json_object_object_foreachC(request->start_options, iter)
    {
        if (!plugins_find(plugins, iter.key))
            return fail(
                "--options %s=…: there is no such sidecar: \"sample-host plugins\" lists them",
                iter.key);
    }
    return true;
}

bool plugins_load(struct plugins *plugins, const struct request *request, bool with_default)
{
    for (size_t i = 0; i < request->plugin_count; i++) {
        if (!plugins_add(plugins, request->plugins[i]))
            return false;
    }
    if (!with_default)
        return true;
    if (plugins->count == 0 && !add_default_plugins(plugins))
        return false;
    return plugins_check_options(plugins, request);
}

void plugins_unload(struct plugins *plugins)
{
    for (size_t i = 0; i < plugins->count; i++)
        bottle_plugin_unload(plugins->loaded[i]);
}
