/* SPDX-License-Identifier: MIT */
/*
 * docker.h: what the parts of the docker backend share.
 *
 * docker.c     the backend's operations but start
 * start.c      start, from the options to the target
 * options.c    the start options
 * networks.c   the two networks
 * container.c  the container, as the engine is asked for it, and the relay's image
 * ready.c      waiting until every port accepts
 * gate.c       finding and removing a gate's container
 */
#ifndef SSH_GATE_DOCKER_H
#define SSH_GATE_DOCKER_H

#include "backend.h"

#include "common/json_object.h"
#include "engine/engine.h"
#include "engine/labels.h"
#include "relay_config.h"

#include <stdbool.h>
#include <stdint.h>

#define PAUSE_MS 50 /* between two looks at what the engine has no event for */

/* ---- a gate's container ---- */

#define CONTAINER_PREFIX    "claude-bottle-ssh-gate-"
#define CONTAINER_NAME_SIZE (sizeof CONTAINER_PREFIX + PLAN_SLUG_SIZE)
#define RELAY_PATH          "/ssh-gate-relay" /* in the relay's image */

/* Beside those of engine/labels.h. */
#define LABEL_PROGRAM   "com.claude-bottle.program"   /* PROGRAM_RELAY or PROGRAM_SCRIPT */
#define LABEL_UPSTREAMS "com.claude-bottle.upstreams" /* JSON array; PROGRAM_SCRIPT alone */
#define PROGRAM_RELAY   "relay"
#define PROGRAM_SCRIPT  "script"

void gate_container_name(const char *slug, char name[CONTAINER_NAME_SIZE]);

/* What the engine says of a container; "" where there is no such label. */
const char *gate_label(json_object *container, const char *key);
bool gate_is_running(json_object *container);
bool gate_runs_script(json_object *container);

/*
 * The container of the slug, running or not, if it is ours and of the target's instance, if that
 * names one; else BOTTLE_NOT_FOUND.
 */
enum bottle_result gate_find(struct engine *engine, const struct target *target,
                             json_object **container, struct failure *failure);

/* engine_exec() in a gate's container; BOTTLE_NOT_FOUND: it no longer runs. */
enum bottle_result gate_exec(struct engine *engine, const char *id, const char *const *command,
                             char **output, struct failure *failure);

/* Kills and removes; returns when it is gone.  One that is gone already is BOTTLE_OK. */
enum bottle_result gate_remove_container(struct engine *engine, const char *id,
                                         struct failure *failure);

/* ---- start ---- */

struct docker_options {
    int32_t engine_timeout_ms, start_timeout_ms;
    int32_t memory_limit_mib, pids_limit;
    const char *restart; /* as the engine spells it: "no", "on-failure", … */
    const char *image;   /* NULL: the relay's own */
};

struct docker_start {
    const struct bottle_host *host;
    const struct plan *plan;
    struct engine *engine;
    struct relay_config *config;
    struct docker_options options;
    struct target target;
    json_object *internal, *egress; /* the networks, as the engine describes them */
    char name[CONTAINER_NAME_SIZE];
    char *id;      /* of the container; NULL: there is none yet */
    bool may_come; /* the engine was asked for the container, and has not answered */
};

/* What options point to lives as long as the JSON object and the environment. */
enum bottle_result docker_read_options(json_object *options, struct docker_options *taken,
                                       struct relay_config *config, struct failure *failure);

/* Sets internal and egress. */
enum bottle_result docker_find_networks(struct docker_start *start, struct failure *failure);

/* Makes sure that the engine has the image that the container is to be of. */
enum bottle_result docker_provide_image(const struct docker_start *start, struct failure *failure);

/* The body of POST /containers/create; NULL when memory ran out. */
json_object *docker_describe_container(const struct docker_start *start);

/* Returns when every port accepts, or the program has ended, or start_timeout_ms is over. */
enum bottle_result docker_wait_until_ready(const struct docker_start *start,
                                           struct failure *failure);

enum bottle_result docker_start(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct takeover_from *from,
                                char **target, struct failure *failure);

#endif
