/* SPDX-License-Identifier: MIT */
/*
 * transfer.c: one transfer, at either end of it.
 *
 * Its sender shuts its sending side behind the last byte.  Its receiver counts up to the end of file and
 * answers with the count.
 */
#include "load.h"

#include <errno.h>
#include <sys/socket.h>

void transfer_begin(struct transfer *transfer, int epoll_fd)
{
    watch(epoll_fd, EPOLL_CTL_ADD, transfer->fd, transfer->sends ? EPOLLOUT : EPOLLIN, transfer);
}

static enum progress transfer_send(struct transfer *transfer, int epoll_fd, const char *buffer)
{
    uint64_t left = transfer->bytes - transfer->done;
    size_t length = left < TRANSFER_BUFFER ? (size_t)left : TRANSFER_BUFFER;
    ssize_t sent = send(transfer->fd, buffer, length, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0)
        return errno == EAGAIN ? UNDER_WAY : BROKEN;
    transfer->done += (uint64_t)sent;
    if (transfer->done < transfer->bytes)
        return UNDER_WAY;
    if (shutdown(transfer->fd, SHUT_WR))
        return BROKEN;
    watch(epoll_fd, EPOLL_CTL_MOD, transfer->fd, EPOLLIN, transfer);
    return UNDER_WAY;
}

static enum progress transfer_receive(struct transfer *transfer, char *buffer)
{
    ssize_t received = recv(transfer->fd, buffer, TRANSFER_BUFFER, MSG_DONTWAIT);

    if (received < 0)
        return errno == EAGAIN ? UNDER_WAY : BROKEN;
    transfer->done += (uint64_t)received;
    if (received > 0)
        return transfer->done <= transfer->bytes ? UNDER_WAY : BROKEN;
    if (send(transfer->fd, &transfer->done, sizeof transfer->done, MSG_NOSIGNAL) !=
        (ssize_t)sizeof transfer->done)
        return BROKEN;
    return transfer->done == transfer->bytes ? COMPLETE : BROKEN;
}

/* The receiver's count. */
static enum progress transfer_check(const struct transfer *transfer)
{
    uint64_t count;

    if (recv(transfer->fd, &count, sizeof count, MSG_DONTWAIT) != (ssize_t)sizeof count)
        return BROKEN;
    return count == transfer->bytes ? COMPLETE : BROKEN;
}

enum progress transfer_go_on(struct transfer *transfer, int epoll_fd, char *buffer)
{
    if (!transfer->sends)
        return transfer_receive(transfer, buffer);
    if (transfer->done < transfer->bytes)
        return transfer_send(transfer, epoll_fd, buffer);
    return transfer_check(transfer);
}
