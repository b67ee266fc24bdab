/* SPDX-License-Identifier: MIT */
/* detached.h: running a program as a process that is nobody's child. */
#ifndef SIDECAR_DETACHED_H
#define SIDECAR_DETACHED_H

#include <stddef.h>

#define DETACHED_MAX_FDS 8

/* A program, and what it starts with. */
struct detached {
    int program_fd;   /* an executable that was opened for reading; -1: the file at path */
    const char *path; /* absolute; "" with program_fd */
    char *const *arguments, *const *environment; /* NULL-terminated */
    int fds[DETACHED_MAX_FDS];                   /* become 0, 1, 2, …; it gets no other */
    size_t fd_count;
};

/*
 * Runs it: in a session of its own, with "/" as its working directory, and no signal blocked or ignored.
 * Its parent is init, or the nearest subreaper.
 * @process_fd: out: the process (pidfd_open(2)), CLOEXEC
 *
 * Returns when the program runs, 0, or an errno value of what failed, then without a process.  The
 * descriptors stay the caller's as well.  May be called from any thread.
 */
int detached_run(const struct detached *program, int *process_fd);

#endif
