/* SPDX-License-Identifier: MIT */
/* fd_passing.c: see fd_passing.h. */
#include "common/process/fd_passing.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    char space[CMSG_SPACE(FD_PASSING_MAX * sizeof(int))];
    struct cmsghdr align;
};

bool send_with_fds(int socket_fd, const void *packet, size_t length, const int *fds, size_t count)
{
    union control control = {0};
    struct iovec data = {.iov_base = (void *)(uintptr_t)packet, .iov_len = length};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (count > FD_PASSING_MAX) {
        errno = EMSGSIZE;
        return false;
    }
    if (count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == (ssize_t)length;
}

/* Collects the descriptors of all control messages; they are open in this process, so none may be missed. */
static size_t take_fds(struct msghdr *message, int fds[FD_PASSING_MAX])
{
    size_t count = 0;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t more = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds + count, CMSG_DATA(header), more * sizeof(int));
        count += more;
    }
    return count;
}

ssize_t receive_with_fds(int socket_fd, void *packet, size_t size, int fds[FD_PASSING_MAX],
                         size_t *count)
{
    union control control;
    struct iovec data = {.iov_base = packet, .iov_len = size};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t received = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);

    *count = received >= 0 ? take_fds(&message, fds) : 0;
    if (received < 0 || !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return received;
    while (*count > 0)
        (void)close(fds[--*count]);
    /* MSG_CTRUNC means EMFILE, as no sender passes more than FD_PASSING_MAX. */
    errno = (message.msg_flags & MSG_TRUNC) ? EMSGSIZE : EMFILE;
    return -1;
}
