/* SPDX-License-Identifier: MIT */
/*
 * gate.h: a gate that exists, in its containers: finding it, asking its relay.
 *
 * What is not specific to a gate is in container/existing.h.
 */
#ifndef DOCKER_GATE_H
#define DOCKER_GATE_H

#include "common/sidecar/target.h"
#include "container/container.h"

#define CONTAINER_PREFIX    "claude-bottle-ssh-gate-"
#define CONTAINER_NAME_SIZE (sizeof CONTAINER_PREFIX + SLUG_SIZE + TARGET_INSTANCE_SIZE)
#define RELAY_PATH          "/ssh-gate-relay" /* in the relay's image */

/* The labels of a gate's container, in addition to those of container/labels.h. */
#define LABEL_PROGRAM   "com.claude-bottle.program"   /* PROGRAM_RELAY or PROGRAM_SCRIPT */
#define LABEL_UPSTREAMS "com.claude-bottle.upstreams" /* JSON array; only with PROGRAM_SCRIPT */
#define PROGRAM_RELAY   "relay"
#define PROGRAM_SCRIPT  "script"

/*
 * The first container of a gate, whose name is also the host name that the agent dials.
 * @target: must outlive the result
 * @name:   out: of CONTAINER_NAME_SIZE
 */
struct container gate_container(struct engine *engine, const struct target *target, char *name);
/* The name of the container of a gate that takes over; name: out: of CONTAINER_NAME_SIZE. */
void gate_name_successor(const struct target *target, char *name);

/* From the engine's description of a container. */
bool gate_runs_script(json_object *found);
/* The ID of the container that owns the network namespace; its own, unless it shares that of another. */
const char *gate_network_holder(json_object *found);
const char *gate_restart_policy(json_object *found);

/*
 * Finds a container of the gate, running or not: that of the target's instance, or without an instance the
 * gate's first container, or else any.  BOTTLE_NOT_FOUND.
 */
enum bottle_result gate_find(struct engine *engine, const struct target *target,
                             json_object **found, struct failure *failure);
/* The same, but also BOTTLE_NOT_FOUND if that container does not run. */
enum bottle_result gate_find_running(struct engine *engine, const struct target *target,
                                     json_object **found, struct failure *failure);
/* Lists all containers of the slug, as GET /containers/json describes them. */
enum bottle_result gate_list(struct engine *engine, const char *slug, json_object **list,
                             struct failure *failure);

/*
 * Runs the relay's program in the container, as a client of the relay with the target's instance, or without
 * an instance of the one that serves.
 * @found:  a running container of the gate
 * @output: out: what the program wrote; malloc'ed
 */
enum bottle_result gate_ask(struct engine *engine, json_object *found, const struct target *target,
                            const char *operation, const char *argument, char **output,
                            struct failure *failure);
/* status: out: the relay's answer. */
enum bottle_result gate_status(struct engine *engine, json_object *found,
                               const struct target *target, json_object **status,
                               struct failure *failure);

/* BOTTLE_UNSUPPORTED: the engine, which is Podman, cannot do that. */
enum bottle_result gate_set_restart_policy(struct engine *engine, json_object *found,
                                           const char *policy, struct failure *failure);

#endif
