/* SPDX-License-Identifier: MIT */
/* socket_list.h: the kernel's list of unix sockets. */
#ifndef SIDECAR_SOCKET_LIST_H
#define SIDECAR_SOCKET_LIST_H

#define SOCKET_LIST "/proc/thread-self/net/unix" /* of this thread's network namespace: proc(5) */

/*
 * The whole list; malloc'ed; NULL with errno set.  The kernel makes it in pieces and may leave one out
 * while others go.
 */
char *socket_list_read(void);

#endif
