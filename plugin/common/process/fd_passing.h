/* SPDX-License-Identifier: MIT */
/* fd_passing.h: packets with descriptors over a unix socket (unix(7), SCM_RIGHTS). */
#ifndef SIDECAR_FD_PASSING_H
#define SIDECAR_FD_PASSING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FD_PASSING_MAX 64 /* descriptors in a packet; the kernel allows 253 */

/* The caller still owns the descriptors.  False, with errno set, on failure; never raises SIGPIPE. */
bool send_with_fds(int socket_fd, const void *packet, size_t length, const int *fds, size_t count);

/*
 * @fds, @count: out: the descriptors, CLOEXEC, which the caller must close
 * Returns the length of the packet, or -1 with errno set and no descriptors.  EMSGSIZE: the packet is longer
 * than size.  EMFILE: this process could not get all of its descriptors.
 */
ssize_t receive_with_fds(int socket_fd, void *packet, size_t size, int fds[FD_PASSING_MAX],
                         size_t *count);

#endif
