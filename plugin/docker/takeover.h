/* SPDX-License-Identifier: MIT */
/* takeover.h: taking over from a gate in another container. */
#ifndef DOCKER_TAKEOVER_H
#define DOCKER_TAKEOVER_H

#include "common/sidecar/target.h"
#include "docker/start_context.h"

/* Sets start->holder and start->config->takeover_instance.  Fails if that gate cannot be taken over from. */
enum bottle_result docker_find_predecessor(struct docker_start *start, const struct target *from,
                                           struct failure *failure);

/* Writes the agent's files for address and lets the relay, which is ready, take over.  On failure it undoes both. */
enum bottle_result docker_take_over(const struct docker_start *start, int stage_fd,
                                    const char *address, struct failure *failure);

#endif
