/* SPDX-License-Identifier: MIT */
/*
 * setup_reply.h: the protocol that sets up a relay that is a process on the launcher's machine.
 *
 * Set-up, over a socket pair that the relay inherits as descriptor SETUP_FD:
 *
 *     plugin → relay   struct relay_config, with the descriptors that it announces (SCM_RIGHTS)
 *     relay → plugin   struct setup_reply: every port listens; or why not
 *     plugin → relay   one byte: go on.  End of file instead: the launcher died or gave up; the relay ends
 *     relay → plugin   struct setup_reply: it serves; or why a takeover failed
 *
 * A relay in a container gets the same struct as command-line arguments (command_line.h), as plain text, so
 * that the engine shows what the gate may reach.  Instead of a reply it writes the event "started" when it
 * serves, or "start-failed" with the reason; then it waits some seconds before it ends, because engines
 * remove a container's log together with the container.  A relay that takes over writes "ready" first and
 * waits for SIGUSR1, which means: go on.
 */
#ifndef WIRE_SETUP_REPLY_H
#define WIRE_SETUP_REPLY_H

#include "wire/message_size.h"

#include <bottle/sidecar.h>

#include <stdbool.h>
#include <stdint.h>

/* The relay starts with the descriptors 0 and 1 (/dev/null), 2 (the event log) and SETUP_FD. */
#define SETUP_FD 3

struct setup_reply {
    int32_t result;                   /* enum bottle_result */
    char message[RELAY_MESSAGE_SIZE]; /* with BOTTLE_OK: a warning, or "" */
};

/* Fills in the reply.  Always returns false, so that callers can return the result. */
bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's text; EPERM and EACCES are BOTTLE_DENIED. */
bool setup_fail_errno(struct setup_reply *reply, const char *what);

#endif
