/* SPDX-License-Identifier: MIT */
/* relay_process.h: running the embedded relay as a process that is nobody's child. */
#ifndef SSH_GATE_RELAY_PROCESS_H
#define SSH_GATE_RELAY_PROCESS_H

#include "common/text/failure.h"

#include <stdbool.h>

/*
 * Runs the relay.  Its parent is init, or the nearest subreaper.
 * @target:       the long form, shown in the process list
 * @stage_fd:     where the relay's file goes for a moment, if the system forbids running it from
 * memory
 * @event_log_fd: becomes its standard error
 * @setup_fd:     out: the plugin's end of the set-up socket (wire/setup_reply.h)
 * @process_fd:   out: the process (pidfd_open(2))
 */
enum bottle_result relay_process_run(const char *target, int stage_fd, int event_log_fd,
                                     int *setup_fd, int *process_fd, struct failure *failure);

#endif
