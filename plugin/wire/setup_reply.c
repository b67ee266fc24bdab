/* SPDX-License-Identifier: MIT */
/* setup_reply.c: see setup_reply.h. */
#include "wire/setup_reply.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
{
    va_list arguments;

    reply->result = (int32_t)result;
    va_start(arguments, format);
    (void)vsnprintf(reply->message, sizeof reply->message, format, arguments);
    va_end(arguments);
    return false;
}

bool setup_fail_errno(struct setup_reply *reply, const char *what)
{
    int error = errno;
    bool denied = error == EPERM || error == EACCES;

    return setup_fail(reply, denied ? BOTTLE_DENIED : BOTTLE_INTERNAL, "%s: %s", what,
                      strerror(error));
}
