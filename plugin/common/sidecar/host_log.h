/* SPDX-License-Identifier: MIT */
/* host_log.h: saying something to the host, through its callback (bottle/sidecar.h). */
#ifndef SIDECAR_HOST_LOG_H
#define SIDECAR_HOST_LOG_H

#include <bottle/sidecar.h>

/* host may be NULL, and may have no callback; it was checked (arguments.h). */
void host_log(const struct bottle_host *host, enum bottle_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
