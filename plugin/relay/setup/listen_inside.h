/* SPDX-License-Identifier: MIT */
/* listen_inside.h: the listening sockets on the loopback of the agent's network namespace. */
#ifndef RELAY_SETUP_LISTEN_INSIDE_H
#define RELAY_SETUP_LISTEN_INSIDE_H

#include "relay/base/address.h"
#include "relay/setup/takeover.h"
#include "wire/setup_reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;

/* A socket that the helper is to open. */
struct wanted_listener {
    size_t upstream;
    union address address;
    bool may_lack; /* the namespace may have no addresses of this family */
};

/* Opens those on the loopback of a namespace, through a helper that enters it. */
bool listen_inside(struct relay *relay, struct takeover *takeover, int namespace_fd,
                   struct setup_reply *reply);

/* What the helper reports; the table is in listen_inside.c. */
enum { REPORT_ENTERED, REPORT_LOOPBACK, REPORT_LISTENERS };
struct listener_report {
    uint32_t number;
    int32_t error; /* an errno value; 0: done */
};

/* Receives all reports of a helper; for listen_inside and for the fuzz target. */
bool listeners_receive(struct relay *relay, int report_fd, const struct wanted_listener *wanted,
                       size_t count, struct setup_reply *reply);

#endif
