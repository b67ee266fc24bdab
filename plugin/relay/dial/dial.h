/* SPDX-License-Identifier: MIT */
/* dial.h: from a destination to a connected socket. */
#ifndef RELAY_DIAL_H
#define RELAY_DIAL_H

#include "relay/base/address.h"

struct destination;
struct dial;
struct dialler;

/* How a dial ends: exactly one of these is called, unless the dial is abandoned before; then the dial is over. */
struct dial_outcome {
    /* fd: a connected TCP socket, which the caller owns; still in the loop, with a watch of the dial */
    void (*connected)(void *context, int fd, const union address *address);
    /* reason: a word for the event; message: for people */
    void (*failed)(void *context, const char *reason, const char *message);
};

/*
 * Starts to resolve and connect.  The outcome may come before this returns.
 * @outcome: must live as long as the dial
 * @dial:    out: for dial_abandon(); set before the outcome comes; NULL: out of memory
 */
void dial_start(struct dialler *dialler, struct destination *destination,
                const struct dial_outcome *outcome, void *context, struct dial **dial);
/* Ends the dial without an outcome. */
void dial_abandon(struct dial *dial);

#endif
