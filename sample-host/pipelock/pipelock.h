/* SPDX-License-Identifier: MIT */
/*
 * pipelock.h: what the parts of pipelock.so share.
 *
 * pipelock.c   the table of operations: read this first
 * plan.c       the bottle's allowlist becomes a plan and pipelock's configuration
 * native.c     the backend that runs pipelock as a process
 * docker.c     the backend that runs it as a container
 */
#ifndef PIPELOCK_H
#define PIPELOCK_H

#include "common/sidecar/operations.h"

#include <json-c/json.h>
#include <stdint.h>

#define SIDECAR_NAME "pipelock"
#define CONFIG_FILE  "pipelock.yaml"
#define PROXY_PORT   8888

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

/* What pipelock reads (its docs/configuration.md); malloc'ed, NULL when memory ran out. */
char *plan_render_config(const struct pipelock_plan *plan);

/*
 * What status has to know of a run, which goes along with it: as an environment variable of the process,
 * as a label of the container.  NULL when memory ran out.
 */
json_object *make_record(const struct pipelock_plan *plan, const char *instance,
                         const char *address);
/* The status of a run, made of its record; as in struct target_operations. */
enum bottle_result make_status(const char *backend, const char *slug, json_object *record,
                               int64_t uptime_ms, json_object **status, struct failure *failure);

struct pipelock_backend {
    struct target_operations of_target;
    /* instance: of this run */
    enum bottle_result (*start)(const struct bottle_host *host, const struct pipelock_plan *plan,
                                json_object *options, const char *instance,
                                struct failure *failure);
};

extern const struct pipelock_backend pipelock_native, pipelock_docker;

#endif
