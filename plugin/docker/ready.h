/* SPDX-License-Identifier: MIT */
/* ready.h: waiting until a gate is ready. */
#ifndef DOCKER_READY_H
#define DOCKER_READY_H

#include "docker/start_context.h"

/*
 * Waits until every port accepts connections; in a takeover, until the relay is ready to take over.  Fails if
 * the program ends first, or after start_timeout_ms.
 */
enum bottle_result docker_wait_until_ready(const struct docker_start *start,
                                           struct failure *failure);

/* Waits until the relay has logged that event.  Fails if the relay ends first, or after start_timeout_ms. */
enum bottle_result docker_wait_for_relay(const struct docker_start *start, const char *event,
                                         struct failure *failure);

#endif
