/* SPDX-License-Identifier: MIT */
/* relay_process.h: running the embedded relay as a detached process. */
#ifndef SSH_GATE_RELAY_PROCESS_H
#define SSH_GATE_RELAY_PROCESS_H

#include "common/text/failure.h"

#include <stdbool.h>

/*
 * Runs the relay.  Its parent is init, or the nearest subreaper.
 * @target:       the long form, shown in the process list
 * @stage_fd:     for a temporary file, if the system forbids executing a memfd
 * @event_log_fd: becomes its standard error
 * @setup_fd:     out: the plugin's end of the set-up socket (wire/setup_reply.h)
 * @process_fd:   out: the process (pidfd_open(2))
 */
enum bottle_result relay_process_run(const char *target, int stage_fd, int event_log_fd,
                                     int *setup_fd, int *process_fd, struct failure *failure);

#endif
