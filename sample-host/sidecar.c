/* SPDX-License-Identifier: MIT */
/*
 * sidecar.c: one sidecar of a bottle.
 *
 * Calls the operations of the sidecar's plugin (bottle/sidecar.h), and keeps in its record, which goes into
 * state.json, what another process needs to find, stop and swap it: the plugin, the backend, the networks,
 * the start options, the target, and whether start has returned.
 */
#include "sidecar.h"

#include "fail.h"
#include "members.h"
#include "networks.h"
#include "request.h"

#include "common/cleanup.h"
#include "common/text/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void log_line(void *log_context, enum bottle_log_level level, const char *text)
{
    (void)log_context;
    /* A person at a terminal is told what takes time, such as an image that is being pulled. */
    if (level >= BOTTLE_LOG_WARNING || (level == BOTTLE_LOG_INFO && isatty(STDERR_FILENO) == 1))
        (void)fail("%s", text);
}

static const struct bottle_host HOST = {.struct_size = sizeof HOST, .log = log_line};

/* Reports the message of a plugin, and frees it. */
static bool report(const struct sidecar *sidecar, char *message)
{
    (void)fail("%s: %s", bottle_plugin_table(sidecar->plugin)->name,
               message ? message : "out of memory");
    free(message);
    return false;
}

void sidecar_clear(struct sidecar *sidecar)
{
    (void)json_object_put(sidecar->plan);
    (void)json_object_put(sidecar->record);
}

/* ---- what is known of it ---- */

bool sidecar_is_idle(const struct sidecar *sidecar)
{
    return json_object_array_length(json_object_object_get(sidecar->plan, "upstreams")) == 0;
}

bool sidecar_is_started(const struct sidecar *sidecar)
{
    const char *state = text_member(sidecar->record, "state");

    return state && strcmp(state, "started") == 0;
}

/* Where a backend has its networks. */
static enum bottle_networks networks_of(const struct sidecar *sidecar, const char *backend)
{
    const struct bottle_sidecar *table = bottle_plugin_table(sidecar->plugin);

    for (size_t i = 0; table->backend_networks && table->backends[i]; i++)
        if (strcmp(table->backends[i], backend) == 0)
            return (enum bottle_networks)table->backend_networks[i];
    return BOTTLE_NETWORKS_UNKNOWN;
}

bool sidecar_is_in_engine(const struct sidecar *sidecar)
{
    return networks_of(sidecar, text_member(sidecar->record, "backend")) == BOTTLE_NETWORKS_ENGINE;
}

bool sidecar_ends_with_launcher(const struct sidecar *sidecar)
{
    const char *text = text_member(sidecar->record, "options");
    CLEANUP_JSON json_object *options = text ? json_tokener_parse(text) : NULL;

    return json_object_get_boolean(json_object_object_get(options, "exit_with_launcher"));
}

/* ---- prepare ---- */

bool sidecar_prepare(struct sidecar *sidecar, const char *slug, const char *bottle_text,
                     const char *stage_dir)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    CLEANUP_FREE char *plan = NULL;
    char *message = NULL;
    struct failure failure;

    if (bottle_plugin_prepare(sidecar->plugin, &HOST, bottle_text, slug, stage_dir, &plan,
                              &message) != BOTTLE_OK)
        return report(sidecar, message);
    if (json_text_parse("plan", plan, &sidecar->plan, &failure) != BOTTLE_OK)
        return fail("%s: %s", name, failure.message);
    if (!json_object_is_type(json_object_object_get(sidecar->plan, "upstreams"), json_type_array))
        return fail("%s: its plan has no array \"upstreams\"", name);
    sidecar->record = json_object_new_object();
    return set_text(sidecar->record, "sidecar", name) &&
           set_text(sidecar->record, "plugin", bottle_plugin_path(sidecar->plugin)) &&
           set_text(sidecar->record, "state", "starting");
}

/* ---- configure ---- */

/* A network that is NULL becomes the backend's default, if it has one. */
static bool set_networks(struct sidecar *sidecar, const char *slug, const char *backend,
                         const char *internal_network, const char *egress_network)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    enum bottle_networks networks = networks_of(sidecar, backend);
    bool in_engine = networks == BOTTLE_NETWORKS_ENGINE;
    char own_internal[NETWORK_NAME_SIZE];
    char own_egress[NETWORK_NAME_SIZE];

    network_name(own_internal, true, slug);
    network_name(own_egress, false, slug);
    if (!internal_network && in_engine)
        internal_network = own_internal;
    if (!egress_network && in_engine)
        egress_network = own_egress;
    if (!egress_network && networks == BOTTLE_NETWORKS_MACHINE)
        egress_network = "host";
    if (!internal_network || *internal_network == '\0')
        return fail("%s: backend %s needs --internal-network: an IP address of this machine, or "
                    "the path of a network namespace, such as /proc/PID/ns/net",
                    name, backend);
    if (!egress_network || *egress_network == '\0')
        return fail("%s: backend %s needs --egress-network: the network to dial from", name,
                    backend);
    return set_text(sidecar->plan, "internal_network", internal_network) &&
           set_text(sidecar->plan, "egress_network", egress_network) &&
           set_text(sidecar->record, "internal_network", internal_network) &&
           set_text(sidecar->record, "egress_network", egress_network);
}

bool sidecar_set_short_target(struct sidecar *sidecar, const char *slug)
{
    char target[256];

    (void)snprintf(target, sizeof target, "%s:%s", text_member(sidecar->record, "backend"), slug);
    return set_text(sidecar->record, "target", target);
}

/* The plugin's own string of the backend; NULL after an error.  wanted: NULL: the first one. */
static const char *find_backend(const struct bottle_sidecar *table, const char *wanted)
{
    char list[256] = "";
    size_t i = 0;

    for (; wanted && table->backends[i]; i++) {
        size_t length = strlen(list);
        if (strcmp(table->backends[i], wanted) == 0)
            break;
        (void)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "",
                       table->backends[i]);
    }
    if (!table->backends[i])
        (void)fail("%s has no backend \"%s\"; it has: %s", table->name, wanted, list);
    return table->backends[i];
}

bool sidecar_configure(struct sidecar *sidecar, const char *slug, const char *backend,
                       const char *internal_network, const char *egress_network)
{
    const char *found = find_backend(bottle_plugin_table(sidecar->plugin), backend);

    return found && set_networks(sidecar, slug, found, internal_network, egress_network) &&
           set_text(sidecar->record, "backend", found) && sidecar_set_short_target(sidecar, slug);
}

bool sidecar_set_options(struct sidecar *sidecar, const struct request *request,
                         bool exit_with_launcher)
{
    json_object *options = NULL;

    if (!json_object_object_get_ex(request->start_options,
                                   bottle_plugin_table(sidecar->plugin)->name, &options))
        options = json_object_new_object();
    else
        options = json_object_get(options);
    bool recorded =
        (!exit_with_launcher || json_object_object_get_ex(options, "exit_with_launcher", NULL) ||
         set_member(options, "exit_with_launcher", json_object_new_boolean(true))) &&
        set_text(sidecar->record, "options", json_object_to_json_string(options));
    (void)json_object_put(options);
    return recorded;
}

/* ---- the operations of what runs ---- */

enum bottle_result sidecar_start(struct sidecar *sidecar, const char *takeover)
{
    CLEANUP_FREE char *target = NULL;
    char *message = NULL;
    enum bottle_result result =
        bottle_plugin_start(sidecar->plugin, &HOST, json_object_to_json_string(sidecar->plan),
                            text_member(sidecar->record, "backend"),
                            text_member(sidecar->record, "options"), takeover, &target, &message);

    if (result != BOTTLE_OK)
        (void)report(sidecar, message);
    else if (!set_text(sidecar->record, "target", target) ||
             !set_text(sidecar->record, "state", "started"))
        result = BOTTLE_INTERNAL;
    return result;
}

/*
 * A slug is each user's own: if only another user's sidecar runs under it, none of this user's does.  A long
 * target, with two colons, names one run, which BOTTLE_DENIED then concerns.
 */
static bool is_of_another_user(const struct sidecar *sidecar, enum bottle_result result)
{
    const char *target = text_member(sidecar->record, "target");

    return result == BOTTLE_DENIED && strchr(target, ':') == strrchr(target, ':');
}

enum bottle_result sidecar_status(const struct sidecar *sidecar, json_object **status)
{
    CLEANUP_FREE char *text = NULL;
    char *message = NULL;
    struct failure failure;
    enum bottle_result result = bottle_plugin_status(
        sidecar->plugin, &HOST, text_member(sidecar->record, "target"), &text, &message);

    if (is_of_another_user(sidecar, result))
        result = BOTTLE_NOT_FOUND;
    if (result == BOTTLE_NOT_FOUND) {
        free(message);
    } else if (result != BOTTLE_OK) {
        (void)report(sidecar, message);
    } else if ((result = json_text_parse("status", text, status, &failure)) != BOTTLE_OK) {
        (void)fail("%s", failure.message);
    }
    return result;
}

bool sidecar_stop(const struct sidecar *sidecar)
{
    char *message = NULL;
    enum bottle_result result = bottle_plugin_stop(
        sidecar->plugin, &HOST, text_member(sidecar->record, "target"), &message);

    if (result != BOTTLE_OK && !is_of_another_user(sidecar, result))
        return report(sidecar, message);
    free(message);
    return true;
}

bool sidecar_drain(const struct sidecar *sidecar, const char *target, int64_t grace_ms)
{
    char *message = NULL;
    enum bottle_result result =
        bottle_plugin_drain(sidecar->plugin, &HOST, target, grace_ms, &message);

    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return report(sidecar, message);
    free(message);
    return true;
}
