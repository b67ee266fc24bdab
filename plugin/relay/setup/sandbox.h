/* SPDX-License-Identifier: MIT */
/* sandbox.h: what the relay gives up once it is set up. */
#ifndef RELAY_SETUP_SANDBOX_H
#define RELAY_SETUP_SANDBOX_H

#include "wire/setup_reply.h"

#include <stdbool.h>

struct relay;

/*
 * Gives up what the loop does not need.  False, with reply filled in, on failure; otherwise reply->message and
 * relay.sandbox_missing name the stages that the system lacks.
 */
bool sandbox_enter(struct relay *relay, struct setup_reply *reply);

/* In the process of dial/dns_opener.c; false: it must not go on. */
bool sandbox_enter_opener(bool required);

#endif
