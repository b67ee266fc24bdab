/* SPDX-License-Identifier: MIT */
/* launcher.h: the process that the relay ends with. */
#ifndef RELAY_SETUP_LAUNCHER_H
#define RELAY_SETUP_LAUNCHER_H

#include "relay/setup/takeover.h"

#include <stdbool.h>

struct relay;

/* Opens the process that the config names.  False, with reply filled in, on failure. */
bool launcher_follow(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

#endif
