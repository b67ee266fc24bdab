/* SPDX-License-Identifier: MIT */
/* setup.h: what setup.c and the files that open the listening sockets for it share. */
#ifndef RELAY_SETUP_H
#define RELAY_SETUP_H

#include "relay/relay.h"

/* setup_fail (relay.h) with errno's text; EPERM and EACCES are BOTTLE_DENIED. */
bool setup_fail_errno(struct setup_reply *reply, const char *what);

/*
 * Enters a network namespace; if that needs it, the user namespace that owns it first (setns(2),
 * ioctl_ns(2)).  False with errno set, of which setup_fail_enter makes the message.
 */
bool setup_enter_network(int fd);
/* what: "internal_network" or "egress_network" */
bool setup_fail_enter(struct setup_reply *reply, const char *what, int error);

/* ---- listen.c ---- */

/* A listening TCP socket.  interface: hear only what comes in through it; empty: whichever.  -1 with errno set. */
int listener_make(const union address *address, const char *interface);
/* error: the errno value of listener_make */
bool listener_fail(struct setup_reply *reply, const union address *address,
                   const struct relay_upstream_config *upstream, int error);
/* fd is the relay's from here on.  There are never more than MAX_LISTENERS of them. */
void listener_add(struct relay *relay, size_t upstream, const union address *address, int fd);
/* Opens those of config.listen_addresses. */
bool listen_on_addresses(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

/* ---- listen_inside.c ---- */

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
