/* SPDX-License-Identifier: MIT */
/* command_line.h: the config of a relay in a container, as the arguments of its program. */
#ifndef WIRE_COMMAND_LINE_H
#define WIRE_COMMAND_LINE_H

#include "wire/protocol.h"

#include <stdbool.h>

/* Those after "serve".  Returns false, with a message. */
bool arguments_read(int count, char **arguments, struct relay_config *config,
                    char message[RELAY_MESSAGE_SIZE]);

#endif
