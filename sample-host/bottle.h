/* SPDX-License-Identifier: MIT */
/*
 * bottle.h: the sidecars of a bottle.
 */
#ifndef SAMPLE_HOST_BOTTLE_H
#define SAMPLE_HOST_BOTTLE_H

#include "request.h"
#include "sidecar.h"

#include <stdbool.h>
#include <stddef.h>

struct directory;
struct plugins;

struct bottle {
    char *name;
    char *slug;
    /* A sidecar that moved to another backend is there twice, as the one it left may still drain. */
    struct sidecar sidecars[2 * PLUGIN_MAX];
    size_t count;
    bool in_engine; /* there may be networks of the slug's own (networks.h) */
};
#define CLEANUP_BOTTLE __attribute__((cleanup(bottle_clear)))

void bottle_clear(struct bottle *bottle);

/*
 * Prepares a sidecar of every plugin, each with a stage dir of its own in the directory.
 * @text: the bottle's JSON
 */
bool bottle_prepare(struct bottle *bottle, const char *text, const struct plugins *plugins,
                    const struct directory *directory);

/* Drops the sidecars that are idle. */
void bottle_drop_idle(struct bottle *bottle);

/*
 * Configures every sidecar, with the request's backend or its own first one.
 * @internal_network, @egress_network: as for sidecar_configure()
 */
bool bottle_configure(struct bottle *bottle, const struct request *request,
                      const char *internal_network, const char *egress_network);

/* Makes those of the slug's own networks that the sidecar is to run in and that are missing. */
bool bottle_provide_networks(struct bottle *bottle, const struct sidecar *sidecar);

/*
 * Starts the sidecars, in order, up to the first that fails; keeps state.json up to date.
 * @for_run: they end with this program; and one that cannot serve in a network namespace
 *           (BOTTLE_UNSUPPORTED) is reported and dropped
 */
bool bottle_start(struct bottle *bottle, const struct request *request, bool for_run,
                  const struct directory *directory);

/* Stops the sidecars, last one first; goes on after an error. */
bool bottle_stop(const struct bottle *bottle);

/* Stops the sidecars and, when all are stopped, removes the slug's own networks and the directory. */
bool bottle_end(const struct bottle *bottle, const struct directory *directory);

/* Ends a bottle that did not come up.  What could not be ended stays in state.json, for "down". */
void bottle_abandon(struct bottle *bottle, const struct directory *directory);

/*
 * Finds the plugins of the sidecars that an earlier process started: among those that --plugin names, else
 * where they were loaded from then; what is loaded for this is added to plugins.
 */
bool bottle_attach(struct bottle *bottle, const struct request *request, struct plugins *plugins);

/* The other entry of a sidecar that is there twice; NULL if there is none. */
struct sidecar *bottle_twin(struct bottle *bottle, const struct sidecar *sidecar);

/* Drops one sidecar. */
void bottle_drop(struct bottle *bottle, struct sidecar *sidecar);

/* Of a sidecar that is there twice, drops the entry that has ended; of two that have, the first. */
void bottle_drop_ended_twins(struct bottle *bottle);

#endif
