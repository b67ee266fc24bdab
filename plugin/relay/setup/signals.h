/* SPDX-License-Identifier: MIT */
/* signals.h: the signals that the relay handles, before the loop runs and in it. */
#ifndef RELAY_SETUP_SIGNALS_H
#define RELAY_SETUP_SIGNALS_H

#include "wire/setup_reply.h"

#include <stdbool.h>

struct relay;

/* SIGTERM and SIGINT stop it from here on.  False with errno set. */
bool watch_signals(struct relay *relay);

/* For a relay in a container, which waits for signals while it has no loop.  False, with reply filled in. */
bool block_signals(struct setup_reply *reply);
/* Returns the signal that arrived: SIGUSR1, SIGTERM or SIGINT; negative: none. */
int wait_for_signal(int seconds);

#endif
