/* SPDX-License-Identifier: MIT */
/*
 * plan.h: the plan of a run.
 */
#ifndef PIPELOCK_PLAN_H
#define PIPELOCK_PLAN_H

#include "common/sidecar/operations.h"

#include <json-c/json.h>

#define SIDECAR_NAME "pipelock"
#define CONFIG_FILE  "pipelock.yaml"

struct pipelock_plan {
    char slug[SLUG_SIZE];
    char *stage_dir, *internal_network, *egress_network;
    json_object *upstreams; /* [{"upstream_host": "*.example.com"}, …], every host checked */
};

void plan_clear(struct pipelock_plan *plan);
#define CLEANUP_PLAN __attribute__((cleanup(plan_clear)))

/* The operation prepare of bottle/sidecar.h. */
enum bottle_result plan_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **text, struct failure *failure);

/* *plan must be zeroed. */
enum bottle_result plan_from_json(const char *text, struct pipelock_plan *plan,
                                  struct failure *failure);

/* The configuration file of pipelock (its docs/configuration.md); malloc'ed; NULL when memory ran out. */
char *plan_render_config(const struct pipelock_plan *plan);

#endif
