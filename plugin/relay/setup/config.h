/* SPDX-License-Identifier: MIT */
/* config.h: the config of a relay that is a process of the machine, and what comes with it. */
#ifndef RELAY_SETUP_CONFIG_H
#define RELAY_SETUP_CONFIG_H

#include "relay/setup/takeover.h"
#include "wire/setup_reply.h"

#include <stdbool.h>

struct relay;

/* Descriptors for DNS, control clients, a few attempts of a dial at once. */
#define RESERVED_DESCRIPTORS 32

/* What comes with the config. */
struct given {
    int listen_fd, egress_fd; /* namespaces; -1: where the relay was started */
    struct takeover takeover;
};
#define NOTHING_GIVEN ((struct given){.listen_fd = -1, .egress_fd = -1, .takeover = NO_TAKEOVER})

/* Each returns false with reply filled in. */

/* Raises the limit of descriptors, before any is received. */
bool raise_descriptor_limit(struct setup_reply *reply);
/* For the listeners, and one connection. */
bool check_descriptor_limit(const struct relay *relay, struct setup_reply *reply);
/* Receives the config over SETUP_FD into relay.config. */
bool receive_config(struct relay *relay, struct given *given, struct setup_reply *reply);

/* Lets the parts of the relay point into relay.config, which was received or read from arguments. */
void use_config(struct relay *relay);

#endif
