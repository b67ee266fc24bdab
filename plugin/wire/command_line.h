/* SPDX-License-Identifier: MIT */
/*
 * command_line.h: the config of a relay in a container, as the arguments of its program.  command_line_read.c says
 * what they look like.
 */
#ifndef WIRE_COMMAND_LINE_H
#define WIRE_COMMAND_LINE_H

#include "wire/config.h"
#include "wire/message_size.h"

#include <stdbool.h>

struct json_object;

/*
 * In the plugin.
 * @words:   a JSON array, which the arguments are appended to
 * @subnets: a JSON array of texts, ADDRESS/PREFIX: the internal network's, in which the relay finds its address
 * False when memory ran out.
 */
bool arguments_write(struct json_object *words, const struct relay_config *config,
                     struct json_object *subnets);

/* In the relay: those after "serve".  Returns false, with a message. */
bool arguments_read(int count, char **arguments, struct relay_config *config,
                    char message[RELAY_MESSAGE_SIZE]);

#endif
