/* SPDX-License-Identifier: MIT */
/* control.h: the control socket: status, stop, drain, and the old relay's part of a takeover. */
#ifndef RELAY_SERVE_CONTROL_H
#define RELAY_SERVE_CONTROL_H

#include "relay/base/loop.h"

#include <stdbool.h>

struct relay;

#define MAX_CONTROL_CLIENTS 8

struct control_client {
    struct watch watch;
    struct relay *relay;
    struct timer timer;
};

struct control_listener {
    struct watch watch;
    struct relay *relay;
};

/* Starts to watch the two sockets, which exist already.  False, with errno set, on failure. */
bool control_watch(struct relay *relay);

#endif
