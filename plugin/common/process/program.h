/* SPDX-License-Identifier: MIT */
/*
 * program.h: a server that a sidecar runs as a detached process: finding it, waiting for its port, ending it.
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
 * @remedy: for the message if there is none: what to do
 */
enum bottle_result program_find(const char *name, const char *remedy, char path[PATH_MAX],
                                struct failure *failure);

/*
 * Checks that a program could listen there, before it is run.  Otherwise program_wait_for_port() could mistake
 * another program that listens there for it.
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

/*
 * Sends SIGTERM, and SIGKILL if the process does not end within some seconds.  False: it has not ended even then.
 */
bool program_end(int process_fd);

#endif
