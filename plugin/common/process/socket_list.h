/* SPDX-License-Identifier: MIT */
/* socket_list.h: the kernel's list of unix sockets. */
#ifndef SIDECAR_SOCKET_LIST_H
#define SIDECAR_SOCKET_LIST_H

#define SOCKET_LIST "/proc/thread-self/net/unix" /* of this thread's network namespace: proc(5) */

/*
 * The whole list, malloc'ed; NULL, with errno set, on failure.  The kernel produces the list in pieces, and
 * may omit a socket if others are closed meanwhile.
 */
char *socket_list_read(void);

#endif
