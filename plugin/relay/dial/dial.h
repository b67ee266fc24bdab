/* SPDX-License-Identifier: MIT */
/* dial.h: from a destination to a connected socket. */
#ifndef RELAY_DIAL_H
#define RELAY_DIAL_H

#include "relay/base/address.h"

struct destination;
struct dial;
struct dialler;

/* How a dial ends: one of the two is called, once, unless the dial is abandoned before.  The dial is over then. */
struct dial_outcome {
    /* fd: a connected TCP socket, in the loop with a watch of the dial's; the caller's from here on */
    void (*connected)(void *context, int fd, const union address *address);
    /* reason: a word for the event; message: for people */
    void (*failed)(void *context, const char *reason, const char *message);
};

/*
 * Starts to resolve and connect.  The outcome may come before this returns.
 * @outcome: must live as long as the dial
 * @dial:    out: set before the outcome comes, for dial_abandon(); NULL where memory ran out
 */
void dial_start(struct dialler *dialler, struct destination *destination,
                const struct dial_outcome *outcome, void *context, struct dial **dial);
/* Nobody wants it any more: no outcome comes. */
void dial_abandon(struct dial *dial);

#endif
