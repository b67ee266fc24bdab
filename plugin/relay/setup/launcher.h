/* SPDX-License-Identifier: MIT */
/* launcher.h: the process that the relay ends with. */
#ifndef RELAY_SETUP_LAUNCHER_H
#define RELAY_SETUP_LAUNCHER_H

#include "relay/setup/takeover.h"

#include <stdbool.h>

struct relay;

/* Ends with the process that the config wants; false, with reply filled in. */
bool launcher_follow(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

#endif
