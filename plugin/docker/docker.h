/* SPDX-License-Identifier: MIT */
/*
 * docker.h: what the parts of the docker backend share.
 *
 * docker.c    the backend's operations but start
 * gate.c      a gate that is there: finding it, asking it
 * start.c     start, from the options to the target
 * options.c   the start options
 * program.c   the program in the container, and the relay's image
 * ready.c     waiting until every port accepts
 * takeover.c  taking over from another gate
 *
 * What is not a gate's alone is in container/container.h.
 */
#ifndef SSH_GATE_DOCKER_H
#define SSH_GATE_DOCKER_H

#include "backend.h"

#include "common/text/json_object.h"
#include "container/container.h"
#include "container/labels.h"
#include "wire/relay_config.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- a gate's container ---- */

#define CONTAINER_PREFIX    "claude-bottle-ssh-gate-"
#define CONTAINER_NAME_SIZE (sizeof CONTAINER_PREFIX + SLUG_SIZE + TARGET_INSTANCE_SIZE)
#define RELAY_PATH          "/ssh-gate-relay" /* in the relay's image */

/* Beside those of container/labels.h. */
#define LABEL_PROGRAM   "com.claude-bottle.program"   /* PROGRAM_RELAY or PROGRAM_SCRIPT */
#define LABEL_UPSTREAMS "com.claude-bottle.upstreams" /* JSON array; PROGRAM_SCRIPT alone */
#define PROGRAM_RELAY   "relay"
#define PROGRAM_SCRIPT  "script"

/*
 * The container that a gate starts as, whose name the agent dials.
 * @target: lives as long as what is returned
 * @name:   out: of CONTAINER_NAME_SIZE
 */
struct container gate_container(struct engine *engine, const struct target *target, char *name);
/* The name of the container of a gate that takes over. */
void gate_name_successor(const struct target *target, char *name);

bool gate_runs_script(json_object *found);
/* The ID of the container whose network it is in; its own, if that was made for it. */
const char *gate_network_holder(json_object *found);

/*
 * A container of the gate, running or not: that of the target's instance, if it has one, else the one
 * that it started as.  BOTTLE_NOT_FOUND.
 */
enum bottle_result gate_find(struct engine *engine, const struct target *target,
                             json_object **found, struct failure *failure);
/* BOTTLE_NOT_FOUND if it does not run, too. */
enum bottle_result gate_find_running(struct engine *engine, const struct target *target,
                                     json_object **found, struct failure *failure);
/* All containers of the slug, as GET /containers/json has them. */
enum bottle_result gate_list(struct engine *engine, const char *slug, json_object **list,
                             struct failure *failure);

/*
 * Runs the relay's program as a client of the target's relay: of the one that serves, if the target has no
 * instance.
 * @found: a container of the gate that runs
 * @said:  out: what it said; malloc'ed
 */
enum bottle_result gate_ask(struct engine *engine, json_object *found, const struct target *target,
                            const char *operation, const char *argument, char **said,
                            struct failure *failure);
/* status: out: as the relay says it. */
enum bottle_result gate_status(struct engine *engine, json_object *found,
                               const struct target *target, json_object **status,
                               struct failure *failure);

const char *gate_restart_policy(json_object *found);
/* BOTTLE_UNSUPPORTED: the engine, which is Podman, cannot. */
enum bottle_result gate_set_restart_policy(struct engine *engine, json_object *found,
                                           const char *policy, struct failure *failure);

/* ---- start ---- */

struct docker_start {
    const struct bottle_host *host;
    const struct plan *plan;
    struct relay_config *config;
    struct container_options options;
    struct container container;
    json_object *internal, *egress; /* the networks, as the engine describes them */
    json_object *holder;            /* in a takeover: the container whose network is shared */
};

/* What options point to lives as long as the JSON object and the environment. */
enum bottle_result docker_read_options(json_object *options, struct container_options *taken,
                                       struct relay_config *config, struct failure *failure);

/* Makes sure that the engine has the image that the container is to be of. */
enum bottle_result docker_provide_image(const struct docker_start *start, struct failure *failure);

/* The body of POST /containers/create; NULL when memory ran out. */
json_object *docker_describe_container(const struct docker_start *start);

/*
 * Returns when every port accepts, or the program has ended, or start_timeout_ms is over.  In a takeover:
 * when the relay is ready to.
 */
enum bottle_result docker_wait_until_ready(const struct docker_start *start,
                                           struct failure *failure);
/* Returns when the relay has written that event line, or has ended, or start_timeout_ms is over. */
enum bottle_result docker_wait_for_relay(const struct docker_start *start, const char *event,
                                         struct failure *failure);

/* Sets holder and config->takeover_instance; refuses what cannot be taken over. */
enum bottle_result docker_find_predecessor(struct docker_start *start, const struct target *from,
                                           struct failure *failure);
/* The agent's files lead to address, and the relay that is ready takes over; or all is as it was. */
enum bottle_result docker_take_over(const struct docker_start *start, int stage_fd,
                                    const char *address, struct failure *failure);

enum bottle_result docker_start(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct target *from, char **target,
                                struct failure *failure);

#endif
