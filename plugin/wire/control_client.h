/* SPDX-License-Identifier: MIT */
/*
 * control_client.h: talking to a running relay over its control socket (wire/control.h).
 *
 * A control socket is reachable only in the network namespace in which its relay was started.  So a target
 * here means a gate in the caller's namespace and, except for functions with an owner, of this user.
 * native_gate.h reaches other gates, too.
 */
#ifndef SSH_GATE_CONTROL_CLIENT_H
#define SSH_GATE_CONTROL_CLIENT_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Results: BOTTLE_NOT_FOUND: no such relay runs; BOTTLE_TIMEOUT: it does not answer within some seconds;
 * BOTTLE_DENIED: another user has bound the name; others: the relay's refusal, with its reason.
 */

/*
 * Stops the relay and returns when its process has ended; kills it if it does not end by itself.  Without an
 * instance, stops every relay of the slug: the one that serves and those that drain.
 */
enum bottle_result control_stop(const struct target *target, struct failure *failure);
/* connected: out: a connection on which CONTROL_TAKEOVER was sent, and the answer not read (control.h) */
enum bottle_result control_request_takeover(const struct target *target, int *connected,
                                            struct failure *failure);
enum bottle_result control_drain(const struct target *target, int64_t grace_ms,
                                 struct failure *failure);
/* Drains without a time limit and releases the slug. */
enum bottle_result control_yield(const struct target *target, struct failure *failure);
/* Without an instance, asks the relay that serves, or else one that drains.  text: out: JSON, malloc'ed */
enum bottle_result control_status(const struct target *target, char **text,
                                  struct failure *failure);

/* ---- the same over a given connection, which serves one request ---- */

#define CONTROL_GATE_SIZE 128

struct control_link {
    int fd;
    pid_t pid;                    /* the process that called listen(2) */
    char gate[CONTROL_GATE_SIZE]; /* its name in messages */
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

/*
 * Checks that the other end is a process of the owner or root.
 * @connected: what control_socket() returned; owned by the link, or closed on failure
 */
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
