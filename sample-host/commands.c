/* SPDX-License-Identifier: MIT */
/*
 * commands.c: the commands plugins, plan, up, swap and down.
 *
 * `up` takes the steps of any launcher: read the manifest; claim the slug; prepare every sidecar; fill in
 * the networks; start the sidecars in order; record in state.json what runs.  `down` reads state.json only;
 * `swap` reads both the manifest and state.json.
 */
#include "commands.h"

#include "bottle.h"
#include "describe.h"
#include "directory.h"
#include "exit_status.h"
#include "fail.h"
#include "manifest.h"
#include "members.h"
#include "orphans.h"
#include "plugins.h"
#include "print.h"
#include "request.h"
#include "sidecar.h"
#include "slugs.h"
#include "state.h"
#include "swap.h"

#include "common/cleanup.h"
#include "common/text/failure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int command_plugins(const struct request *request)
{
    CLEANUP_PLUGINS struct plugins plugins = {0};

    if (!plugins_load(&plugins, request, true))
        return STATUS_FAILED;
    print_line(stdout, "%-16s %-9s %-5s %-16s %s", "NAME", "VERSION", "ABI", "BACKENDS", "PATH");
    for (size_t i = 0; i < plugins.count; i++) {
        const struct bottle_sidecar *table = bottle_plugin_table(plugins.loaded[i]);
        char abi[32];
        char backends[256] = "";
        for (size_t j = 0; table->backends[j]; j++) {
            size_t length = strlen(backends);
            (void)snprintf(backends + length, sizeof backends - length, "%s%s", j > 0 ? "," : "",
                           table->backends[j]);
        }
        (void)snprintf(abi, sizeof abi, "%" PRIu32 ".%" PRIu32, table->abi_major, table->abi_minor);
        print_line(stdout, "%-16s %-9s %-5s %-16s %s", table->name, table->version, abi, backends,
                   bottle_plugin_path(plugins.loaded[i]));
    }
    return STATUS_OK;
}

/* ---- plan ---- */

static bool print_plans(const struct bottle *bottle)
{
    CLEANUP_JSON json_object *plans = json_object_new_object();

    for (size_t i = 0; i < bottle->count; i++) {
        const struct sidecar *sidecar = &bottle->sidecars[i];
        if (!set_member(plans, text_member(sidecar->record, "sidecar"),
                        json_object_get(sidecar->plan)))
            return false;
    }
    return print_json(plans);
}

int command_plan(const struct request *request)
{
    CLEANUP_PLUGINS struct plugins plugins = {0};
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_BOTTLE struct bottle bottle = {0};
    CLEANUP_FREE char *text = NULL;

    if (!plugins_load(&plugins, request, true) || !manifest_find(request, &bottle, &text) ||
        !directory_make_temporary(&directory))
        return STATUS_FAILED;
    bool printed = bottle_prepare(&bottle, text, &plugins, &directory) && print_plans(&bottle);
    return directory_remove(&directory) && printed ? STATUS_OK : STATUS_FAILED;
}

/* ---- up ---- */

static void print_preflight(const struct bottle *bottle)
{
    print_line(stdout, "bottle %s, slug %s", bottle->name, bottle->slug);
    for (size_t i = 0; i < bottle->count; i++) {
        const struct sidecar *sidecar = &bottle->sidecars[i];
        json_object *upstreams = json_object_object_get(sidecar->plan, "upstreams");
        print_line(stdout, "  %s: backend %s, internal network %s, egress network %s",
                   text_member(sidecar->record, "sidecar"), text_member(sidecar->record, "backend"),
                   text_member(sidecar->plan, "internal_network"),
                   text_member(sidecar->plan, "egress_network"));
        for (size_t j = 0; j < json_object_array_length(upstreams); j++) {
            struct failure text;
            describe_upstream(json_object_array_get_idx(upstreams, j), " → ", &text);
            print_line(stdout, "    %s", text.message);
        }
        if (json_object_array_length(upstreams) == 0)
            print_line(stdout, "    nothing: not started");
    }
    (void)fflush(stdout);
}

static void print_started(const struct sidecar *sidecar)
{
    const char *ssh_config = text_member(sidecar->plan, "ssh_config");
    CLEANUP_JSON json_object *status = NULL;

    print_line(stdout, "%s started: %s", text_member(sidecar->record, "sidecar"),
               text_member(sidecar->record, "target"));
    if (ssh_config)
        print_line(stdout, "    for the agent: %s, and known_hosts beside it", ssh_config);
    else if (sidecar_status(sidecar, &status) == BOTTLE_OK && text_member(status, "proxy"))
        print_line(stdout, "    for the agent: HTTPS_PROXY=%s", text_member(status, "proxy"));
}

static bool bring_up(struct bottle *bottle, const struct request *request,
                     const struct directory *directory)
{
    if (!bottle_configure(bottle, request, request->value[OPTION_INTERNAL_NETWORK],
                          request->value[OPTION_EGRESS_NETWORK]))
        return false;
    print_preflight(bottle);
    bottle_drop_idle(bottle);
    return bottle->count > 0 ? bottle_start(bottle, request, false, directory)
                             : directory_remove(directory);
}

int command_up(const struct request *request)
{
    CLEANUP_PLUGINS struct plugins plugins = {0};
    CLEANUP_DIRECTORY struct directory root = NO_DIRECTORY;
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_BOTTLE struct bottle bottle = {0};
    CLEANUP_FREE char *text = NULL;

    if (!plugins_load(&plugins, request, true) || !manifest_find(request, &bottle, &text) ||
        !slugs_open(&root) || !slugs_claim(&root, bottle.slug, request, &directory))
        return STATUS_FAILED;
    if (!bottle_prepare(&bottle, text, &plugins, &directory) ||
        !bring_up(&bottle, request, &directory)) {
        bottle_abandon(&bottle, &directory);
        return STATUS_FAILED;
    }
    for (size_t i = 0; i < bottle.count; i++)
        print_started(&bottle.sidecars[i]);
    return STATUS_OK;
}

/* ---- swap ---- */

struct swap {
    const struct request *request;
    bool found;
};

/* Whether --plugin names the sidecar's plugin: such plugins are loaded before others. */
static bool is_named(const struct plugins *plugins, const struct request *request,
                     const struct sidecar *sidecar)
{
    for (size_t i = 0; i < request->plugin_count; i++) {
        if (plugins->loaded[i] == sidecar->plugin)
            return true;
    }
    return false;
}

/* Refuses --plugin for a sidecar that the bottle does not have. */
static bool check_named(const struct plugins *plugins, const struct request *request,
                        const struct bottle *bottle)
{
    for (size_t i = 0; i < request->plugin_count; i++) {
        const char *name = bottle_plugin_table(plugins->loaded[i])->name;
        size_t j = 0;
        while (j < bottle->count && bottle->sidecars[j].plugin != plugins->loaded[i])
            j++;
        if (j == bottle->count)
            return fail("bottle %s (slug %s) runs no sidecar %s: %s has nothing to take over from",
                        bottle->name, bottle->slug, name, bottle_plugin_path(plugins->loaded[i]));
    }
    return true;
}

static bool print_address(const struct sidecar *sidecar)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result = sidecar_status(sidecar, &status);
    const char *address = text_member(status, "address");

    if (result == BOTTLE_NOT_FOUND)
        return fail("%s has just ended", text_member(sidecar->record, "sidecar"));
    if (result == BOTTLE_OK)
        print_line(stdout, "%s address: %s", text_member(sidecar->record, "sidecar"),
                   address ? address : "-");
    return result == BOTTLE_OK;
}

/* Whether this is what a sidecar left in its former backend, where it serves only its open connections. */
static bool is_left_behind(struct bottle *bottle, const struct sidecar *sidecar)
{
    CLEANUP_JSON json_object *status = NULL;

    if (!bottle_twin(bottle, sidecar) || sidecar_status(sidecar, &status) != BOTTLE_OK)
        return false;
    const char *state = text_member(status, "state");
    return state && strcmp(state, "draining") == 0;
}

/* Swaps the sidecars that --plugin names; without --plugin all that can be swapped, at least one. */
static bool swap_sidecars(struct bottle *bottle, const struct plugins *plugins,
                          const struct request *request, const char *text,
                          const struct directory *directory)
{
    bool is_done[2 * PLUGIN_MAX] = {false};
    bool swapped = false;

    bottle_drop_ended_twins(bottle);
    for (size_t i = 0; i < bottle->count; i++) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        if (is_done[i] || (request->plugin_count > 0 && !is_named(plugins, request, sidecar)) ||
            is_left_behind(bottle, sidecar))
            continue;
        enum bottle_result result = swap_sidecar(bottle, &sidecar, request, text, directory);
        if (result == BOTTLE_UNSUPPORTED && request->plugin_count == 0)
            continue;
        if (result != BOTTLE_OK || !print_address(sidecar))
            return false;
        is_done[sidecar - bottle->sidecars] = swapped = true;
    }
    return swapped;
}

/* A slug_visit.  Reads the state again with the lock held, as it may have changed. */
static bool swap_bottle(void *context, struct directory *directory, struct bottle *bottle)
{
    struct swap *swap = context;
    struct request request = *swap->request;
    CLEANUP_PLUGINS struct plugins plugins = {0};
    CLEANUP_BOTTLE struct bottle wanted = {0};
    CLEANUP_FREE char *text = NULL;

    if (!directory_lock(directory))
        return false;
    if (directory->fd < 0) /* another process took it down meanwhile */
        return true;
    bottle_clear(bottle);
    if (!state_load(directory, bottle))
        return false;
    if (bottle->count == 0) /* of a launcher that was killed, or a run without sidecars */
        return true;
    swap->found = true;
    request.value[OPTION_SLUG] = bottle->slug;
    return bottle_attach(bottle, &request, &plugins) && plugins_check_options(&plugins, &request) &&
           check_named(&plugins, &request, bottle) && manifest_find(&request, &wanted, &text) &&
           swap_sidecars(bottle, &plugins, &request, text, directory);
}

int command_swap(const struct request *request)
{
    CLEANUP_DIRECTORY struct directory root = NO_DIRECTORY;
    struct swap swap = {request, false};

    if (!slugs_open(&root) || !slugs_walk(&root, request, swap_bottle, &swap))
        return STATUS_FAILED;
    if (swap.found)
        return STATUS_OK;
    slugs_say_not_up(&root, request);
    return STATUS_NOT_RUNNING;
}

/* ---- down ---- */

struct takedown {
    const struct request *request;
    bool found;
};

/* A slug_visit.  Reads the state again with the lock held, as it may have changed. */
static bool take_down(void *context, struct directory *directory, struct bottle *bottle)
{
    struct takedown *takedown = context;
    CLEANUP_PLUGINS struct plugins plugins = {0};

    takedown->found = true;
    if (!directory_lock(directory))
        return false;
    if (directory->fd < 0) /* another process took it down meanwhile */
        return true;
    bottle_clear(bottle);
    if (!state_load(directory, bottle) || !bottle_attach(bottle, takedown->request, &plugins) ||
        !bottle_end(bottle, directory))
        return false;
    print_line(stdout, "bottle %s (slug %s) is down", bottle->name, bottle->slug);
    return true;
}

int command_down(const struct request *request)
{
    CLEANUP_DIRECTORY struct directory root = NO_DIRECTORY;
    struct takedown takedown = {request, false};

    if (!slugs_open(&root))
        return STATUS_FAILED;
    if (request->value[OPTION_ORPHANS])
        return orphans_remove(&root, request) ? STATUS_OK : STATUS_FAILED;
    if (!slugs_walk(&root, request, take_down, &takedown))
        return STATUS_FAILED;
    if (!takedown.found)
        slugs_say_not_up(&root, request);
    return STATUS_OK;
}
