/* SPDX-License-Identifier: MIT */
/*
 * call.c: the operations; see loader.h.
 *
 * They fill the argument structs, call, and copy what comes out into memory of the host,
 * so that a caller needs free(3) only and may keep a text longer than the plugin.
 */
#include "loader.h"

#include <stdlib.h>
#include <string.h>

static void begin(char **output, char **message)
{
    if (output != NULL)
        *output = NULL;
    if (message != NULL)
        *message = NULL;
}

static enum bottle_result unsupported(const struct bottle_plugin *plugin, const char *operation,
                                      char **message)
{
    return loader_fail(message, BOTTLE_UNSUPPORTED, "%s %s has no operation %s", plugin->table.name,
                       plugin->table.version, operation);
}

/*
 * What the plugin returned and put out becomes what the caller gets.
 * @output: the plugin's; copy: the caller's, NULL for an operation that has none
 * @reason: the plugin's message; message: the caller's, which may be NULL
 */
static enum bottle_result translate(const struct bottle_plugin *plugin, const char *operation,
                                    enum bottle_result result, const char *output, char **copy,
                                    const char *reason, char **message)
{
    const char *name = plugin->table.name;
    if ((int)result < BOTTLE_OK || (int)result > BOTTLE_INTERNAL)
        return loader_fail(message, BOTTLE_INTERNAL,
                           "%s: %s returned %d, which this launcher does not know: %s", name,
                           operation, (int)result, reason != NULL ? reason : "no reason given");
    if (result != BOTTLE_OK && reason == NULL)
        return loader_fail(message, result, "%s: %s failed (%s) and gave no reason", name,
                           operation, bottle_result_name(result));
    if (result != BOTTLE_OK)
        return loader_fail(message, result, "%s", reason);
    if (copy == NULL)
        return BOTTLE_OK;
    if (output == NULL)
        return loader_fail(message, BOTTLE_INTERNAL, "%s: %s returned ok without its output", name,
                           operation);
    *copy = strdup(output);
    return *copy != NULL ? BOTTLE_OK : BOTTLE_INTERNAL;
}

/* Translates, and gives back to the plugin what is the plugin's. */
static enum bottle_result finish(const struct bottle_plugin *plugin, const char *operation,
                                 enum bottle_result result, char *output, char **copy, char *reason,
                                 char **message)
{
    result = translate(plugin, operation, result, output, copy, reason, message);
    if (output != NULL)
        plugin->table.release(output);
    if (reason != NULL)
        plugin->table.release(reason);
    return result;
}

enum bottle_result bottle_plugin_prepare(const struct bottle_plugin *plugin,
                                         const struct bottle_host *host, const char *bottle,
                                         const char *slug, const char *stage_dir, char **plan,
                                         char **message)
{
    begin(plan, message);
    struct bottle_prepare arguments = {.struct_size = sizeof(arguments),
                                       .host = host,
                                       .bottle = bottle,
                                       .slug = slug,
                                       .stage_dir = stage_dir};
    enum bottle_result result = plugin->table.prepare(&arguments);
    return finish(plugin, "prepare", result, arguments.plan, plan, arguments.message, message);
}

enum bottle_result bottle_plugin_start(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *plan,
                                       const char *backend, const char *options,
                                       const char *takeover, char **target, char **message)
{
    begin(target, message);
    struct bottle_start arguments = {.struct_size = sizeof(arguments),
                                     .host = host,
                                     .plan = plan,
                                     .backend = backend,
                                     .options = options,
                                     .takeover = takeover};
    enum bottle_result result = plugin->table.start(&arguments);
    return finish(plugin, "start", result, arguments.target, target, arguments.message, message);
}

enum bottle_result bottle_plugin_stop(const struct bottle_plugin *plugin,
                                      const struct bottle_host *host, const char *target,
                                      char **message)
{
    begin(NULL, message);
    struct bottle_stop arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target};
    enum bottle_result result = plugin->table.stop(&arguments);
    return finish(plugin, "stop", result, NULL, NULL, arguments.message, message);
}

enum bottle_result bottle_plugin_drain(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *target,
                                       int64_t grace_ms, char **message)
{
    begin(NULL, message);
    if (plugin->table.drain == NULL)
        return unsupported(plugin, "drain", message);
    struct bottle_drain arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target, .grace_ms = grace_ms};
    enum bottle_result result = plugin->table.drain(&arguments);
    return finish(plugin, "drain", result, NULL, NULL, arguments.message, message);
}

enum bottle_result bottle_plugin_status(const struct bottle_plugin *plugin,
                                        const struct bottle_host *host, const char *target,
                                        char **status, char **message)
{
    begin(status, message);
    if (plugin->table.status == NULL)
        return unsupported(plugin, "status", message);
    struct bottle_status arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target};
    enum bottle_result result = plugin->table.status(&arguments);
    return finish(plugin, "status", result, arguments.status, status, arguments.message, message);
}
