/* SPDX-License-Identifier: MIT */
/*
 * setup_reply.h: how a relay that is a process of the launcher's machine is set up, and what it answers.
 *
 * Set-up, over a socket pair that the relay inherits as descriptor SETUP_FD:
 *
 *     plugin → relay   struct relay_config, with the descriptors that it announces (SCM_RIGHTS)
 *     relay → plugin   struct setup_reply: every port listens, or why not
 *     plugin → relay   one byte: go on.  End of file instead: the launcher died or gave up; leave
 *                      nothing
 *     relay → plugin   struct setup_reply: it serves; or, of a takeover, why it could not complete
 *
 * The config comes from the plugin that carries this very relay inside itself, so it has no
 * version.  A relay in a container gets the same struct as command-line arguments (arguments.c), in
 * plain text, so that the engine shows to anybody what the gate may reach; its event line "started"
 * is the word that it serves, "start-failed" says why not, and is followed by some seconds in which the
 * log can be read: engines remove a container together with its log.  One that takes over says "ready"
 * first, and waits for the signal SIGUSR1: go on.
 */
#ifndef WIRE_SETUP_REPLY_H
#define WIRE_SETUP_REPLY_H

#include "wire/message_size.h"

#include <bottle/sidecar.h>

#include <stdbool.h>
#include <stdint.h>

/* Descriptors that the relay starts with, beside 0 and 1 (/dev/null) and 2 (event lines). */
#define SETUP_FD 3

struct setup_reply {
    int32_t result;                   /* enum bottle_result */
    char message[RELAY_MESSAGE_SIZE]; /* with BOTTLE_OK: a warning, or empty */
};

/* Returns false, for the caller to return. */
bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's text; EPERM and EACCES are BOTTLE_DENIED. */
bool setup_fail_errno(struct setup_reply *reply, const char *what);

#endif
