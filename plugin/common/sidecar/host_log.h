/* SPDX-License-Identifier: MIT */
/* host_log.h: logging through the host's callback (bottle/sidecar.h). */
#ifndef SIDECAR_HOST_LOG_H
#define SIDECAR_HOST_LOG_H

#include <bottle/sidecar.h>

/* Does nothing if host, or its callback, is NULL.  host: checked by arguments_check() */
void host_log(const struct bottle_host *host, enum bottle_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
