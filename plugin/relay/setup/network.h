/* SPDX-License-Identifier: MIT */
/* network.h: the network namespaces that the relay listens in and dials from. */
#ifndef RELAY_SETUP_NETWORK_H
#define RELAY_SETUP_NETWORK_H

#include "relay/setup/config.h"
#include "wire/setup_reply.h"

#include <stdbool.h>

struct relay;

/*
 * Enters a network namespace; if that needs it, the user namespace that owns it first (setns(2),
 * ioctl_ns(2)).  False with errno set, of which setup_fail_enter makes the message.
 */
bool setup_enter_network(int fd);
/* what: "internal_network" or "egress_network" */
bool setup_fail_enter(struct setup_reply *reply, const char *what, int error);

/* Records the namespace that it listens in.  False, with reply filled in, on failure. */
bool note_listen_network(struct relay *relay, const struct given *given, struct setup_reply *reply);
/* Enters the namespace to dial from, and closes both descriptors.  False, with reply filled in, on failure. */
bool enter_egress(struct relay *relay, struct given *given, struct setup_reply *reply);

#endif
