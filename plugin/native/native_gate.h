/* SPDX-License-Identifier: MIT */
/*
 * native_gate.h: what is done with a gate that runs as a process of this machine, from wherever in it.
 *
 * A target without an instance means a gate of this user.  A gate in another network namespace is reached as
 * far as this process may; one of another user by root, by the long target.  Each returns, with a message,
 * BOTTLE_NOT_FOUND when no relay runs under the target; BOTTLE_UNAVAILABLE when one does, but cannot be
 * reached from here; BOTTLE_DENIED when it is another user's; BOTTLE_TIMEOUT when it does not answer.
 */
#ifndef SSH_GATE_NATIVE_GATE_H
#define SSH_GATE_NATIVE_GATE_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <stdint.h>

/* Ends every relay that runs under the target; returns when their processes have ended. */
enum bottle_result native_gate_stop(const struct target *target, struct failure *failure);
/* Of the relay that serves, or else of one that drains.  text: out: JSON, malloc'ed. */
enum bottle_result native_gate_status(const struct target *target, char **text,
                                      struct failure *failure);
enum bottle_result native_gate_drain(const struct target *target, int64_t grace_ms,
                                     struct failure *failure);
/* Drains without a bound, and lets the slug go. */
enum bottle_result native_gate_yield(const struct target *target, struct failure *failure);
/*
 * Only of a gate of this user and this network namespace, where the name of the slug is.
 * @connected: out: a connection that has asked CONTROL_TAKEOVER and not read the answer (wire/control.h)
 */
enum bottle_result native_gate_request_takeover(const struct target *target, int *connected,
                                                struct failure *failure);
/*
 * BOTTLE_CONFLICT if a gate of this user has the slug in another network namespace.  Of two launchers that
 * start one slug in two of them, each runs its relay and then calls this, so at least one sees the other.
 * @own:        the relay that was just started
 * @timeout_ms: how long a relay of which this user cannot see where it is has to make its control socket
 */
enum bottle_result native_gate_check_slug(const struct target *own, int64_t timeout_ms,
                                          struct failure *failure);

#endif
