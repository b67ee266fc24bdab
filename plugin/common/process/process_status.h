/* SPDX-License-Identifier: MIT */
/* process_status.h: whose a process is, as /proc shows it (proc(5)). */
#ifndef SIDECAR_PROCESS_STATUS_H
#define SIDECAR_PROCESS_STATUS_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether /proc is that of this process's own PID namespace, so that numbers in it are those of pidfd_open(2). */
bool process_status_is_told(void);

/*
 * @pid:  a name in /proc
 * @user: out: the effective user
 * False: the process is gone, or in a PID namespace below this one, such as a container's.
 */
bool process_status_read(const char *pid, uid_t *user);

#endif
