/* SPDX-License-Identifier: MIT */
/*
 * sidecar.h: one sidecar of a bottle.
 */
#ifndef SAMPLE_HOST_SIDECAR_H
#define SAMPLE_HOST_SIDECAR_H

#include <bottle/host.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct request;

struct sidecar {
    const struct bottle_plugin *plugin;
    json_object *plan;   /* NULL for one that an earlier process started */
    json_object *record; /* what state.json says of it: members that are strings only */
};
#define CLEANUP_SIDECAR __attribute__((cleanup(sidecar_clear)))

void sidecar_clear(struct sidecar *sidecar);

/* A sidecar whose plan has no upstreams is idle: the bottle asks nothing of it. */
bool sidecar_is_idle(const struct sidecar *sidecar);
/* By its record: start has returned. */
bool sidecar_is_started(const struct sidecar *sidecar);
/* By its record: it runs in an engine, or is to run there. */
bool sidecar_is_in_engine(const struct sidecar *sidecar);
/* By its record: it was asked to end with the process that started it. */
bool sidecar_ends_with_launcher(const struct sidecar *sidecar);

/*
 * Calls the operation prepare and begins the record.
 * @bottle_text: the bottle's JSON
 */
bool sidecar_prepare(struct sidecar *sidecar, const char *slug, const char *bottle_text,
                     const char *stage_dir);

/*
 * Chooses the backend and fills in the networks.
 * @backend: NULL: the plugin's first
 * @internal_network, @egress_network: NULL: for a backend in an engine the slug's own (networks.h); else
 *           the egress network "host", and an error for the internal one
 */
bool sidecar_configure(struct sidecar *sidecar, const char *slug, const char *backend,
                       const char *internal_network, const char *egress_network);

/* Records the target BACKEND:SLUG, which finds whichever run serves under the slug. */
bool sidecar_set_short_target(struct sidecar *sidecar, const char *slug);

/*
 * Records the start options that the request has for the sidecar.
 * @exit_with_launcher: has the option of that name as well, unless the request sets it
 */
bool sidecar_set_options(struct sidecar *sidecar, const struct request *request,
                         bool exit_with_launcher);

/*
 * Starts it as its record says, and records the target.  An error was reported.
 * @takeover: the target of the run to take over from, or NULL
 */
enum bottle_result sidecar_start(struct sidecar *sidecar, const char *takeover);

/* Stops it; one that does not run is no error. */
bool sidecar_stop(const struct sidecar *sidecar);

/* Lets the connections of another run of it end, for at most grace_ms; one that has ended is no error. */
bool sidecar_drain(const struct sidecar *sidecar, const char *target, int64_t grace_ms);

/*
 * What it says of itself.  BOTTLE_NOT_FOUND: it does not run.  Any other error was reported.
 * @status: out: for the caller to release
 */
enum bottle_result sidecar_status(const struct sidecar *sidecar, json_object **status);

#endif
