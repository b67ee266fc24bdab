/* SPDX-License-Identifier: MIT */
/* process_status.h: the user of a process, from /proc (proc(5)). */
#ifndef SIDECAR_PROCESS_STATUS_H
#define SIDECAR_PROCESS_STATUS_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether /proc shows this process's PID namespace, so that its PIDs can be passed to pidfd_open(2). */
bool process_status_is_available(void);

/*
 * @pid:  a name in /proc
 * @user: out: the effective user
 * False: the process has ended, or is in a nested PID namespace, such as a container's.
 */
bool process_status_read(const char *pid, uid_t *user);

#endif
