/* SPDX-License-Identifier: MIT */
/* setup_reply.h: fills in what a relay that cannot start tells its plugin (protocol.h). */
#ifndef WIRE_SETUP_REPLY_H
#define WIRE_SETUP_REPLY_H

#include "wire/protocol.h"

#include <bottle/sidecar.h>

#include <stdbool.h>

/* Returns false, for the caller to return. */
bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with errno's text; EPERM and EACCES are BOTTLE_DENIED. */
bool setup_fail_errno(struct setup_reply *reply, const char *what);

#endif
