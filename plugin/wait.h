/* SPDX-License-Identifier: MIT */
/* wait.h: waiting for a descriptor, for a time, in a host that may have signal handlers. */
#ifndef SSH_GATE_WAIT_H
#define SSH_GATE_WAIT_H

#include <stdbool.h>

/* True when fd has become readable, or its other end has gone, within limit_ms. */
bool wait_readable(int fd, int limit_ms);

#endif
