/* SPDX-License-Identifier: MIT */
/*
 * bottle/host.h: a loader for launchers written in C.
 *
 * It finds a plugin, refuses what must not be loaded, and calls the operations of bottle/sidecar.h so
 * that the caller sees plain strings: everything put out here, message included, is the caller's and is
 * freed with free(3), also after the plugin is unloaded.
 *
 * Every function may be called from any thread.  A plugin may be used by many threads at once;
 * bottle_plugin_unload() waits for none of them, so call it when the last has returned.
 */
#ifndef BOTTLE_HOST_H
#define BOTTLE_HOST_H

#include <bottle/sidecar.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bottle_plugin;

/*
 * Loads a plugin (dlopen with RTLD_NOW | RTLD_LOCAL) and checks its table.
 * @name:    a path, if it has a '/'; else a name such as "ssh_gate", looked for as NAME.so in each
 *           directory of $BOTTLE_SIDECAR_PATH (colon-separated) and then where sidecars are installed:
 *           in the tree that this library or, if it is static, the program is in, wherever that was moved
 *           to (not for a setuid program), and under the prefix that the build was configured for
 * @plugin:  out: the plugin, NULL on failure; give it back with bottle_plugin_unload()
 * @message: out: on failure, why; may be NULL
 *
 * Refuses, before any code of the file runs: what is not there (BOTTLE_UNAVAILABLE); what is no regular
 * file or no ELF shared object (BOTTLE_INVALID); what somebody other than root and this user owns or may
 * write, or what lies in a directory where they could replace it (BOTTLE_DENIED).  Then: a file without
 * the entry symbol, or with a table of another major version, that is too short, or that lacks a required
 * field (BOTTLE_INVALID).
 */
enum bottle_result bottle_plugin_load(const char *name, struct bottle_plugin **plugin,
                                      char **message);

/* Unloads.  What the plugin started runs on.  NULL is allowed. */
void bottle_plugin_unload(struct bottle_plugin *plugin);

/*
 * The plugin's table as this version of the header knows it: fields that an older plugin lacks are zero.
 * Alive until bottle_plugin_unload().
 */
const struct bottle_sidecar *bottle_plugin_table(const struct bottle_plugin *plugin);

/* The path that was loaded, absolute.  Alive until bottle_plugin_unload(). */
const char *bottle_plugin_path(const struct bottle_plugin *plugin);

/*
 * The operations; bottle/sidecar.h has their contracts.  host may be NULL, message may be NULL.  An
 * operation that the plugin lacks is BOTTLE_UNSUPPORTED.
 */
enum bottle_result bottle_plugin_prepare(const struct bottle_plugin *plugin,
                                         const struct bottle_host *host, const char *bottle,
                                         const char *slug, const char *stage_dir, char **plan,
                                         char **message);
enum bottle_result bottle_plugin_start(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *plan,
                                       const char *backend, const char *options,
                                       const char *takeover, char **target, char **message);
enum bottle_result bottle_plugin_stop(const struct bottle_plugin *plugin,
                                      const struct bottle_host *host, const char *target,
                                      char **message);
enum bottle_result bottle_plugin_drain(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *target,
                                       int64_t grace_ms, char **message);
enum bottle_result bottle_plugin_status(const struct bottle_plugin *plugin,
                                        const struct bottle_host *host, const char *target,
                                        char **status, char **message);

/* The name of a result, for people: "ok", "invalid", "conflict", …  Never NULL; constant. */
const char *bottle_result_name(enum bottle_result result);

#ifdef __cplusplus
}
#endif

#endif
