/* SPDX-License-Identifier: MIT */
/* wait.h: the time, and waiting with a timeout in a host that may have signal handlers. */
#ifndef SIDECAR_WAIT_H
#define SIDECAR_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC. */
int64_t wait_now_ms(void);

/* Sleeps for that time, or until a signal is handled. */
void wait_pause(int ms);

/* True: within limit_ms fd has become readable, or its other end was closed. */
bool wait_readable(int fd, int limit_ms);

/*
 * Waits until a process, which was told to end, has ended; kills it if it does not end within some seconds.
 * False: it has not ended even then.
 * @process_fd: from pidfd_open(2)
 */
bool wait_process_end(int process_fd);

#endif
