/* SPDX-License-Identifier: MIT */
/*
 * swap.c: moves a running sidecar to another build of its plugin, or to another backend.
 *
 * The new run takes over from the old one, which serves the connections that it has until they end.
 *
 * Before the start, state.json gets the sidecar's short target, and keeps it: that finds whichever of the
 * two runs serves, at whatever moment this program is killed, and stops an old one that still drains.  On
 * its way to another backend, the sidecar has an entry for each of the two backends, until the old run has
 * ended.
 */
#include "swap.h"

#include "bottle.h"
#include "directory.h"
#include "fail.h"
#include "members.h"
#include "networks.h"
#include "path.h"
#include "print.h"
#include "request.h"
#include "sidecar.h"
#include "state.h"

#include "common/cleanup.h"

#include <stdio.h>
#include <string.h>

/* What the sidecar has now; NULL if it is to move to another backend, which has no use for that. */
static const char *recorded_text(const struct request *request, const struct sidecar *sidecar,
                                 const char *key)
{
    const char *backend = request->value[OPTION_BACKEND];

    if (backend && strcmp(backend, text_member(sidecar->record, "backend")) != 0)
        return NULL;
    return text_member(sidecar->record, key);
}

static const char *requested_or_recorded(const struct request *request, enum option_index option,
                                         const struct sidecar *sidecar, const char *key)
{
    const char *given = request->value[option];

    return given ? given : recorded_text(request, sidecar, key);
}

/* Prepares and configures the new run, in the stage dir that the old one still uses. */
static bool prepare_successor(struct sidecar *successor, const struct sidecar *sidecar,
                              const struct bottle *bottle, const struct request *request,
                              const char *text, const struct directory *directory)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    const char *options = recorded_text(request, sidecar, "options");
    char stage_dir[PATH_MAX];

    if (!recorded_text(request, sidecar, "backend") && sidecar_ends_with_launcher(sidecar))
        return fail("%s of bottle %s is in the network of a \"run\" and ends with it "
                    "(exit_with_launcher): it cannot move to backend %s",
                    name, bottle->name, request->value[OPTION_BACKEND]);
    if (!make_path(stage_dir, "%s/%s", directory->path, name) ||
        !sidecar_prepare(successor, bottle->slug, text, stage_dir))
        return false;
    if (sidecar_is_idle(successor))
        return fail("%s: the bottle asks nothing of it any more: \"sample-host down %s\"", name,
                    bottle->name);
    if (!sidecar_configure(
            successor, bottle->slug,
            requested_or_recorded(request, OPTION_BACKEND, sidecar, "backend"),
            requested_or_recorded(request, OPTION_INTERNAL_NETWORK, sidecar, "internal_network"),
            requested_or_recorded(request, OPTION_EGRESS_NETWORK, sidecar, "egress_network")))
        return false;
    if (!options || json_object_object_get_ex(request->start_options, name, NULL))
        return sidecar_set_options(successor, request, sidecar_ends_with_launcher(sidecar));
    return set_text(successor->record, "options", options);
}

/* The long target of the old run, which keeps naming it when the short one finds the new run. */
static bool running_target(const struct sidecar *sidecar, const struct bottle *bottle,
                           char **target)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result = sidecar_status(sidecar, &status);
    const char *text = text_member(status, "target");

    if (result == BOTTLE_NOT_FOUND)
        return fail("%s of bottle %s does not run: \"sample-host down %s\", then \"up\"",
                    text_member(sidecar->record, "sidecar"), bottle->name, bottle->name);
    if (result != BOTTLE_OK)
        return false;
    *target = text ? strdup(text) : NULL;
    return *target || fail("%s: its status has no target", text_member(sidecar->record, "sidecar"));
}

/* Successor gets what sidecar was, for its caller to clear. */
static void exchange(struct sidecar *sidecar, struct sidecar *successor)
{
    const struct sidecar old = *sidecar;

    *sidecar = *successor;
    *successor = old;
}

/* Swaps within the backend that the sidecar has. */
static enum bottle_result swap_in_place(struct bottle *bottle, struct sidecar *sidecar,
                                        struct sidecar *successor, const char *old_target,
                                        const struct directory *directory)
{
    if (!state_save(directory, bottle))
        return BOTTLE_INTERNAL;
    enum bottle_result result = sidecar_start(successor, old_target);
    if (result == BOTTLE_OK)
        exchange(sidecar, successor);
    return result;
}

/* Swaps to another backend, where there may be an entry of an older run that still drains. */
static enum bottle_result swap_across(struct bottle *bottle, struct sidecar *sidecar,
                                      struct sidecar *successor, const char *old_target,
                                      const struct directory *directory)
{
    const bool was_in_engine = bottle->in_engine;
    struct sidecar *twin = bottle_twin(bottle, sidecar);
    const bool is_new = !twin;

    if (is_new) {
        twin = &bottle->sidecars[bottle->count++];
        *twin = (struct sidecar){.plugin = successor->plugin,
                                 .record = json_object_get(successor->record)};
    }
    if (!sidecar_set_short_target(twin, bottle->slug) || !state_save(directory, bottle))
        return BOTTLE_INTERNAL;
    enum bottle_result result = bottle_provide_networks(bottle, successor)
                                    ? sidecar_start(successor, old_target)
                                    : BOTTLE_UNAVAILABLE;
    if (result == BOTTLE_OK) {
        exchange(twin, successor);
        return BOTTLE_OK;
    }
    if (is_new)
        bottle_drop(bottle, twin);
    if (bottle->in_engine && !was_in_engine)
        (void)networks_remove(bottle->slug); /* has reported why not; "down" tries again */
    return result;
}

enum bottle_result swap_sidecar(struct bottle *bottle, struct sidecar **swapped,
                                const struct request *request, const char *text,
                                const struct directory *directory)
{
    struct sidecar *sidecar = *swapped;
    CLEANUP_SIDECAR struct sidecar successor = {.plugin = sidecar->plugin};
    CLEANUP_FREE char *old_target = NULL;
    CLEANUP_FREE char *recorded = strdup(text_member(sidecar->record, "target"));

    if (!recorded || !running_target(sidecar, bottle, &old_target) ||
        !prepare_successor(&successor, sidecar, bottle, request, text, directory) ||
        !sidecar_set_short_target(sidecar, bottle->slug))
        return BOTTLE_INTERNAL;
    bool moves = strcmp(text_member(successor.record, "backend"),
                        text_member(sidecar->record, "backend")) != 0;
    enum bottle_result result =
        (moves ? swap_across : swap_in_place)(bottle, sidecar, &successor, old_target, directory);
    if (result != BOTTLE_OK)
        return set_text(sidecar->record, "target", recorded) && state_save(directory, bottle)
                   ? result
                   : BOTTLE_INTERNAL;
    if (moves)
        *swapped = sidecar = bottle_twin(bottle, sidecar);
    print_line(stdout, "%s swapped: %s took over from %s", text_member(sidecar->record, "sidecar"),
               text_member(sidecar->record, "target"), old_target);
    return sidecar_set_short_target(sidecar, bottle->slug) && state_save(directory, bottle) &&
                   (request->grace_ms < 0 || sidecar_drain(sidecar, old_target, request->grace_ms))
               ? BOTTLE_OK
               : BOTTLE_INTERNAL;
}
