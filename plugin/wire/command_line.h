/* SPDX-License-Identifier: MIT */
/*
 * command_line.h: the config of a relay in a container, as the arguments of its program.  The form of the
 * arguments is described in command_line_read.c.
 */
#ifndef WIRE_COMMAND_LINE_H
#define WIRE_COMMAND_LINE_H

#include "wire/config.h"
#include "wire/message_size.h"

#include <stdbool.h>
#include <stddef.h>

/* The names, for both ends. */
#define ARGUMENT_SLUG                   "--slug"
#define ARGUMENT_INSTANCE               "--instance"
#define ARGUMENT_LISTEN                 "--listen"
#define ARGUMENT_UPSTREAM               "--upstream"
#define ARGUMENT_DNS_SERVER             "--dns-server"
#define ARGUMENT_RESOLVE_TIMEOUT        "--resolve-timeout-ms"
#define ARGUMENT_DIAL_TIMEOUT           "--dial-timeout-ms"
#define ARGUMENT_IDENTIFICATION_TIMEOUT "--identification-timeout-ms"
#define ARGUMENT_LIMIT                  "--limit"
#define ARGUMENT_SANDBOX                "--sandbox"
#define ARGUMENT_FORWARDING             "--forwarding"
#define ARGUMENT_TAKEOVER               "--takeover"

/* ALIAS,LISTEN_PORT,HOST,PORT */
#define UPSTREAM_TEXT_SIZE ((size_t)2 * RELAY_HOST_SIZE + sizeof ",65535,,65535")

struct json_object;

/*
 * The plugin's end.  False: out of memory.
 * @words:   a JSON array, to which the arguments are appended
 * @subnets: a JSON array of strings, ADDRESS/PREFIX: the internal network's subnets
 */
bool arguments_write(struct json_object *words, const struct relay_config *config,
                     struct json_object *subnets);

/* The relay's end: reads the arguments after "serve".  False: message says why. */
bool arguments_read(int count, char **arguments, struct relay_config *config,
                    char message[RELAY_MESSAGE_SIZE]);

#endif
