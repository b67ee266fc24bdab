/* SPDX-License-Identifier: MIT */
/*
 * program.h: a server of this machine that a sidecar runs (detached.h): where it is, whether it accepts
 * connections, what it said last, its end.
 *
 * What belongs in process/: processes and descriptors: starting, waiting, passing, reading what /proc says.
 * Nothing here knows a sidecar.
 */
#ifndef SIDECAR_PROGRAM_H
#define SIDECAR_PROGRAM_H

#include "common/text/failure.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Finds an executable on $PATH, in absolute directories only, and refuses one that others than root and
 * this user may change.
 * @remedy: what to do about one that is not there
 */
enum bottle_result program_find(const char *name, const char *remedy, char path[PATH_MAX],
                                struct failure *failure);

/*
 * Whether a program could listen there, before it is run: if it cannot, what accepts there afterwards
 * would be somebody else.
 * @address: an IPv4 or IPv6 address
 */
enum bottle_result program_check_port(const char *address, uint16_t port, struct failure *failure);

/*
 * Waits until the port accepts connections.
 * @path:       for the message
 * @process_fd: the program (pidfd_open(2)): BOTTLE_UNAVAILABLE, with its last words, if it ends before
 * @timeout_ms: the start option start_timeout_ms: BOTTLE_TIMEOUT after that
 * @log_fd:     what it writes to, for its last words
 */
enum bottle_result program_wait_for_port(const char *path, int process_fd, const char *address,
                                         uint16_t port, int32_t timeout_ms, int log_fd,
                                         struct failure *failure);

/* SIGTERM, and SIGKILL if that does not end it within some seconds.  False: not even then. */
bool program_end(int process_fd);

#endif
