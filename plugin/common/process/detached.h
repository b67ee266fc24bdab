/* SPDX-License-Identifier: MIT */
/* detached.h: running a program as a process that is not the caller's child. */
#ifndef SIDECAR_DETACHED_H
#define SIDECAR_DETACHED_H

#include <stddef.h>

#define DETACHED_MAX_FDS 8

/* A program, and what it starts with. */
struct detached {
    int program_fd;   /* the executable, open for reading; -1: it is at path */
    const char *path; /* absolute; "" with program_fd */
    char *const *arguments, *const *environment; /* NULL-terminated */
    int fds[DETACHED_MAX_FDS]; /* become its descriptors 0, 1, 2, …, and it gets no others */
    size_t fd_count;
};

/*
 * Runs the program in its own session, with "/" as its working directory, and no signal blocked or ignored.
 * Its parent is init, or the nearest subreaper.  The caller still owns the descriptors.  May be called from
 * any thread.
 * @process_fd: out: the process (pidfd_open(2)), CLOEXEC
 *
 * Returns 0 when the program runs, or an errno value.
 */
int detached_run(const struct detached *program, int *process_fd);

#endif
