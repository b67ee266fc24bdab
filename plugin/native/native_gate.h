/* SPDX-License-Identifier: MIT */
/*
 * native_gate.h: the operations on a gate that runs as a process on this machine, in any network namespace.
 *
 * A target without an instance means a gate of this user.  A gate in another network namespace is reached if
 * this process may enter that; a gate of another user only by root, with the long target.  Results:
 * BOTTLE_NOT_FOUND: no such relay runs; BOTTLE_UNAVAILABLE: it runs but cannot be reached from here;
 * BOTTLE_DENIED: it is another user's; BOTTLE_TIMEOUT: it does not answer.
 */
#ifndef SSH_GATE_NATIVE_GATE_H
#define SSH_GATE_NATIVE_GATE_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <stdint.h>

/* Ends every relay of the target, and returns when their processes have ended. */
enum bottle_result native_gate_stop(const struct target *target, struct failure *failure);
/* The status of the relay that serves, or else of one that drains.  text: out: JSON, malloc'ed. */
enum bottle_result native_gate_status(const struct target *target, char **text,
                                      struct failure *failure);
enum bottle_result native_gate_drain(const struct target *target, int64_t grace_ms,
                                     struct failure *failure);
/* Drains without a time limit and releases the slug. */
enum bottle_result native_gate_yield(const struct target *target, struct failure *failure);
/*
 * Only for a gate of this user in this network namespace.
 * @connected: out: a connection on which CONTROL_TAKEOVER was sent, and the answer not read (wire/control.h)
 */
enum bottle_result native_gate_request_takeover(const struct target *target, int *connected,
                                                struct failure *failure);
/*
 * BOTTLE_CONFLICT if a gate of this user holds the slug in another network namespace.  It is called after the
 * new relay runs, so that of two launchers that start the same slug at once, in two namespaces, at least one
 * sees the other's relay.
 * @own:        the relay that was just started
 * @timeout_ms: how long to wait for a relay's control socket, if its namespace cannot be read
 */
enum bottle_result native_gate_check_slug(const struct target *own, int64_t timeout_ms,
                                          struct failure *failure);

#endif
