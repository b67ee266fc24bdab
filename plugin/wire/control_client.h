/* SPDX-License-Identifier: MIT */
/*
 * control_client.h: talking to a running relay over its control socket (wire/control.h).
 *
 * A control socket is reached from the network namespace that its relay was started in; a target here
 * means a gate of that namespace and, but for the functions that take an owner, of this user.  native_gate.h
 * goes further.
 */
#ifndef SSH_GATE_CONTROL_CLIENT_H
#define SSH_GATE_CONTROL_CLIENT_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Each returns BOTTLE_NOT_FOUND, with a message, when no relay runs under the target;
 * BOTTLE_TIMEOUT when it does not answer within some seconds; BOTTLE_DENIED when another user
 * holds the name; else the relay's own refusal, with its reason.
 */

/*
 * Returns when the relay's process has ended; kills it if it does not end by itself.  Without an
 * instance: every relay of the slug, the one that serves and those that were taken over and drain.
 */
enum bottle_result control_stop(const struct target *target, struct failure *failure);
/* connected: out: a connection that has asked CONTROL_TAKEOVER and not read the answer (wire/control.h). */
enum bottle_result control_request_takeover(const struct target *target, int *connected,
                                            struct failure *failure);
enum bottle_result control_drain(const struct target *target, int64_t grace_ms,
                                 struct failure *failure);
/* Drains without a bound, and lets the slug go. */
enum bottle_result control_yield(const struct target *target, struct failure *failure);
/* Without an instance: of the relay that serves, or else of one that drains.  text: out: JSON, malloc'ed. */
enum bottle_result control_status(const struct target *target, char **text,
                                  struct failure *failure);

/* ---- by connection: one for each request ---- */

#define CONTROL_GATE_SIZE 128

struct control_link {
    int fd;
    pid_t pid;                    /* who made the socket listen */
    char gate[CONTROL_GATE_SIZE]; /* what messages call it */
};

void control_link_close(const struct control_link *link);
#define NO_CONTROL_LINK      ((struct control_link){.fd = -1})
#define CLEANUP_CONTROL_LINK __attribute__((cleanup(control_link_close)))

/*
 * Connects in the network namespace of the calling thread.  System calls only.
 * @owner: the user who started the gate
 * Returns a socket, or a negative errno value.
 */
int control_socket(const struct target *target, uid_t owner);
/* Whether the socket is the one that a relay listens on under its instance. */
bool control_is_socket_of(int fd, const struct target *target, uid_t owner);

/* connected: what control_socket() returned, taken over; it is refused if it is not the owner's or root's. */
enum bottle_result control_link_open(const struct target *target, uid_t owner, int connected,
                                     struct control_link *link, struct failure *failure);
enum bottle_result control_link_drain(const struct control_link *link, int64_t grace_ms,
                                      struct failure *failure);
enum bottle_result control_link_yield(const struct control_link *link, struct failure *failure);
enum bottle_result control_link_status(const struct control_link *link, char **text,
                                       struct failure *failure);

/* Whether a relay of this user listens under its instance in the network namespace of this thread. */
bool control_is_listed(const struct target *target);

#endif
