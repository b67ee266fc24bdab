/* SPDX-License-Identifier: MIT */
/* host_log.c: see host_log.h.  The text is made safe to print, as a failure's message. */
#include "common/sidecar/host_log.h"

#include "common/text/failure.h"

#include <stdarg.h>
#include <stdio.h>

void host_log(const struct bottle_host *host, enum bottle_log_level level, const char *format, ...)
{
    char text[FAILURE_MESSAGE_SIZE];
    struct failure safe;
    va_list arguments;

    if (!host || !host->log)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_format(&safe, "%s", text);
    host->log(host->log_context, level, safe.message);
}
