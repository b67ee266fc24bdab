/* SPDX-License-Identifier: MIT */
/* listen.h: the listening sockets on addresses of this machine. */
#ifndef RELAY_SETUP_LISTEN_H
#define RELAY_SETUP_LISTEN_H

#include "relay/base/address.h"
#include "relay/setup/takeover.h"
#include "wire/config.h"
#include "wire/setup_reply.h"

#include <stdbool.h>

struct relay;

/* A listening TCP socket.  interface: "": any; -1, with errno set, on failure. */
int listener_make(const union address *address, const char *interface);
/* error: the errno value of listener_make */
bool listener_fail(struct setup_reply *reply, const union address *address,
                   const struct relay_upstream_config *upstream, int error);
/* Opens those of config.listen_addresses. */
bool listen_on_addresses(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

#endif
