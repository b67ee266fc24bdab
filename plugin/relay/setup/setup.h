/* SPDX-License-Identifier: MIT */
/* setup.h: everything before the loop. */
#ifndef RELAY_SETUP_SETUP_H
#define RELAY_SETUP_SETUP_H

#include <stdbool.h>

struct relay;

/*
 * Sets up over SETUP_FD (wire/setup_reply.h).  False: the relay has to end.
 * @error: 0, or the errno value of an earlier failure, to be reported to the plugin
 */
bool relay_setup(struct relay *relay, int error);
/* The same for a relay that got its config as arguments: those after "serve". */
bool relay_setup_from_arguments(struct relay *relay, int count, char **arguments);

#endif
