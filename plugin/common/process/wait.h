/* SPDX-License-Identifier: MIT */
/* wait.h: time, and waiting for a time, in a host that may have signal handlers. */
#ifndef SSH_GATE_WAIT_H
#define SSH_GATE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* CLOCK_MONOTONIC. */
int64_t wait_now_ms(void);

/* A signal may make it shorter. */
void wait_pause(int ms);

/* True when fd has become readable, or its other end has gone, within limit_ms. */
bool wait_readable(int fd, int limit_ms);

/*
 * Waits until a relay, which was told to go, has ended, and kills it if it does not by itself.
 * False: not even then.
 * @process_fd: from pidfd_open(2)
 */
bool wait_process_end(int process_fd);

#endif
