/* SPDX-License-Identifier: MIT */
/*
 * bottle.c: a bottle's sidecars together: prepare, configure, start, stop.
 *
 * A bottle has one sidecar of each plugin that is loaded; it is idle if its plan has no upstreams.
 *
 * state.json is written before the first start, with short targets (bottle/sidecar.h), and again after each
 * start, with the target that start returned.  So whenever this program is killed, what it started can be
 * found and stopped.
 */
#include "bottle.h"

#include "directory.h"
#include "fail.h"
#include "members.h"
#include "networks.h"
#include "plugins.h"
#include "request.h"
#include "sidecar.h"
#include "state.h"

#include "common/cleanup.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

void bottle_clear(struct bottle *bottle)
{
    for (size_t i = 0; i < bottle->count; i++)
        sidecar_clear(&bottle->sidecars[i]);
    free(bottle->name);
    free(bottle->slug);
    *bottle = (struct bottle){0};
}

struct sidecar *bottle_twin(struct bottle *bottle, const struct sidecar *sidecar)
{
    for (size_t i = 0; i < bottle->count; i++) {
        struct sidecar *other = &bottle->sidecars[i];
        if (other != sidecar && strcmp(text_member(other->record, "sidecar"),
                                       text_member(sidecar->record, "sidecar")) == 0)
            return other;
    }
    return NULL;
}

void bottle_drop(struct bottle *bottle, struct sidecar *sidecar)
{
    size_t after = bottle->count - (size_t)(sidecar - bottle->sidecars) - 1;

    sidecar_clear(sidecar);
    memmove(sidecar, sidecar + 1, after * sizeof *sidecar);
    bottle->count--;
}

/* ---- prepare ---- */

bool bottle_prepare(struct bottle *bottle, const char *text, const struct plugins *plugins,
                    const struct directory *directory)
{
    for (size_t i = 0; i < plugins->count; i++) {
        struct sidecar *sidecar = &bottle->sidecars[bottle->count++];
        char stage_dir[PATH_MAX];
        *sidecar = (struct sidecar){.plugin = plugins->loaded[i]};
        if (!directory_add(directory, bottle_plugin_table(sidecar->plugin)->name, stage_dir) ||
            !sidecar_prepare(sidecar, bottle->slug, text, stage_dir))
            return false;
    }
    return true;
}

void bottle_drop_idle(struct bottle *bottle)
{
    for (size_t i = bottle->count; i > 0; i--) {
        if (sidecar_is_idle(&bottle->sidecars[i - 1]))
            bottle_drop(bottle, &bottle->sidecars[i - 1]);
    }
}

/* ---- start and stop ---- */

bool bottle_configure(struct bottle *bottle, const struct request *request,
                      const char *internal_network, const char *egress_network)
{
    for (size_t i = 0; i < bottle->count; i++) {
        if (!sidecar_configure(&bottle->sidecars[i], bottle->slug, request->value[OPTION_BACKEND],
                               internal_network, egress_network))
            return false;
    }
    return true;
}

bool bottle_provide_networks(struct bottle *bottle, const struct sidecar *sidecar)
{
    return !sidecar_is_in_engine(sidecar) ||
           networks_provide(bottle->slug, text_member(sidecar->plan, "internal_network"),
                            text_member(sidecar->plan, "egress_network"), &bottle->in_engine);
}

bool bottle_start(struct bottle *bottle, const struct request *request, bool for_run,
                  const struct directory *directory)
{
    if (!state_save(directory, bottle))
        return false;
    for (size_t i = 0; i < bottle->count;) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        if (!sidecar_set_options(sidecar, request, for_run) ||
            !bottle_provide_networks(bottle, sidecar))
            return false;
        enum bottle_result result = sidecar_start(sidecar, NULL);
        if (result == BOTTLE_UNSUPPORTED && for_run) {
            (void)fail("%s is not started: the command runs without it",
                       text_member(sidecar->record, "sidecar"));
            bottle_drop(bottle, sidecar);
        } else if (result == BOTTLE_OK) {
            i++;
        } else {
            return false;
        }
        if (!state_save(directory, bottle))
            return false;
    }
    return true;
}

bool bottle_stop(const struct bottle *bottle)
{
    bool stopped = true;

    for (size_t i = bottle->count; i > 0; i--)
        stopped &= sidecar_stop(&bottle->sidecars[i - 1]);
    return stopped;
}

bool bottle_end(const struct bottle *bottle, const struct directory *directory)
{
    return bottle_stop(bottle) && (!bottle->in_engine || networks_remove(bottle->slug)) &&
           directory_remove(directory);
}

void bottle_abandon(struct bottle *bottle, const struct directory *directory)
{
    for (size_t i = bottle->count; i > 0; i--) {
        if (!sidecar_is_started(&bottle->sidecars[i - 1]))
            bottle_drop(bottle, &bottle->sidecars[i - 1]);
    }
    if (!bottle_end(bottle, directory))
        (void)state_save(directory, bottle); /* has reported what it could not do */
}

/* ---- what an earlier process started ---- */

bool bottle_attach(struct bottle *bottle, const struct request *request, struct plugins *plugins)
{
    if (!plugins_load(plugins, request, false))
        return false;
    for (size_t i = 0; i < bottle->count; i++) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        const char *name = text_member(sidecar->record, "sidecar");
        const char *path = text_member(sidecar->record, "plugin");
        sidecar->plugin = plugins_find(plugins, name);
        if (!sidecar->plugin && plugins_add(plugins, path))
            sidecar->plugin = plugins_find(plugins, name);
        if (!sidecar->plugin)
            return fail(
                "cannot reach %s of slug %s: %s is not its plugin now: name one with --plugin",
                name, bottle->slug, path);
        bottle->in_engine |= sidecar_is_in_engine(sidecar);
    }
    return true;
}

static bool has_ended(const struct sidecar *sidecar)
{
    CLEANUP_JSON json_object *status = NULL;

    return sidecar_status(sidecar, &status) == BOTTLE_NOT_FOUND;
}

void bottle_drop_ended_twins(struct bottle *bottle)
{
    for (size_t i = 0; i < bottle->count;) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        const struct sidecar *twin = bottle_twin(bottle, sidecar);
        if (twin && has_ended(sidecar) && (twin > sidecar || !has_ended(twin)))
            bottle_drop(bottle, sidecar);
        else
            i++;
    }
}
