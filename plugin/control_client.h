/* SPDX-License-Identifier: MIT */
/* control_client.h: talking to a running relay over its control socket (relay/protocol.h). */
#ifndef SSH_GATE_CONTROL_CLIENT_H
#define SSH_GATE_CONTROL_CLIENT_H

#include "common/failure.h"
#include "common/target.h"

#include <stdint.h>

/*
 * Each returns BOTTLE_NOT_FOUND, with a message, when no relay runs under the target;
 * BOTTLE_TIMEOUT when it does not answer within some seconds; BOTTLE_DENIED when another user
 * holds the name.
 */

/*
 * Returns when the relay's process has ended; kills it if it does not end by itself.  Without an
 * instance: every relay of the slug, the one that serves and those that were taken over and drain.
 */
enum bottle_result control_stop(const struct target *target, struct failure *failure);
/* connected: out: a connection that has asked CONTROL_TAKEOVER and not read the answer (protocol.h). */
enum bottle_result control_request_takeover(const struct target *target, int *connected,
                                            struct failure *failure);
enum bottle_result control_drain(const struct target *target, int64_t grace_ms,
                                 struct failure *failure);
/* Drains without a bound, and lets the slug go. */
enum bottle_result control_yield(const struct target *target, struct failure *failure);
/* Without an instance: of the relay that serves, or else of one that drains.  text: out: JSON, malloc'ed. */
enum bottle_result control_status(const struct target *target, char **text,
                                  struct failure *failure);

#endif
