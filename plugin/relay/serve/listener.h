/* SPDX-License-Identifier: MIT */
/* listener.h: accepting clients, and pausing. */
#ifndef RELAY_SERVE_LISTENER_H
#define RELAY_SERVE_LISTENER_H

#include "relay/base/address.h"
#include "relay/base/loop.h"
#include "wire/config.h"

#include <stdbool.h>
#include <stddef.h>

struct relay;
struct upstream;

struct listener {
    struct watch watch;
    struct relay *relay;
    struct upstream *upstream;
    union address address;
};

#define LISTENERS_PER_UPSTREAM 2 /* addresses, or loopbacks of a namespace */
#define MAX_LISTENERS          (LISTENERS_PER_UPSTREAM * RELAY_MAX_UPSTREAMS)

/* Adds a listener, and owns fd.  The caller adds at most MAX_LISTENERS. */
void listener_add(struct relay *relay, size_t upstream, const union address *address, int fd);
void listeners_watch(struct relay *relay);
void listeners_pause(struct relay *relay, const char *reason);
void listeners_resume(struct relay *relay);
/* Closes them; when draining, first accepts the connections in the kernel's queue. */
void listeners_close(struct relay *relay);
/* Whether one of them listens on just this address. */
bool listeners_have(const struct relay *relay, const union address *address);

#endif
