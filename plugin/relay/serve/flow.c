/* SPDX-License-Identifier: MIT */
/*
 * flow.c: one direction of a connection, the data path.
 *
 * Small reads, which is what an interactive session makes, go through the relay's one buffer:
 * recv(2) and send(2), two system calls, no copy kept.  A read that fills the buffer means bulk:
 * from there on bytes go from socket to socket through a borrowed pipe with splice(2), without
 * entering user space, until the source runs dry.  The pipe is also where the rest of a small read
 * waits if the destination takes only a part; there is no other buffer, so a connection never
 * holds bytes in user space.
 *
 * If there is no pipe, bytes are peeked at, and then read from the source as far as the destination took
 * them.  That is slower, but needs no storage and always makes progress.
 *
 * The watches are edge-triggered: `readable` and `writable` are true until the kernel has said
 * EAGAIN, or a read came back short (epoll(7), question 9), unless the peer has hung up: then the
 * end of file is still to be read.
 *
 * SSH does not use urgent data (tcp(7)), and the urgent byte is not forwarded.  But reads stop where it was:
 * recv(2) returns less there, and splice(2) returns EAGAIN, or, once the end of file has arrived, 0.  So a 0
 * is confirmed with recv(2), and after a source has sent urgent data everything is read with recv(2) until
 * EAGAIN.
 */
#include "relay/serve/flow.h"

#include "relay/serve/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The bytes that a direction may move in one turn. */
#define TURN_BYTES ((size_t)512 << 10)

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

void flow_drop(struct relay *relay, struct flow *flow)
{
    if (flow->pipe)
        pipe_return(&relay->pipes, flow->pipe, flow->in_pipe);
    flow->pipe = NULL;
    flow->in_pipe = 0;
}

static void count(struct flow *flow, uint64_t *bytes_of_upstream, size_t bytes, size_t *budget)
{
    flow->bytes += bytes;
    *bytes_of_upstream += bytes;
    *budget -= bytes < *budget ? bytes : *budget;
}

/* Handles the result of a read: bytes, or a change of the flow's state.  False: the source failed. */
static bool note_read(struct flow *flow, struct endpoint *source, ssize_t result, size_t wanted)
{
    if (result > 0) {
        if ((size_t)result < wanted && !source->hangup && !source->urgent && !flow->bulk)
            source->readable = false;
        return true;
    }
    if (result == 0) {
        flow->ended = true;
        return source->error == 0;
    }
    if (would_block(errno)) {
        source->readable = false;
        flow->bulk = false;
        return true;
    }
    if (errno != EINTR && source->error == 0)
        source->error = errno;
    return errno == EINTR;
}

/* wanted: bytes that were offered, when taking fewer means that the socket is full; it does not
 * with splice. */
static bool note_write(struct endpoint *destination, ssize_t result, size_t wanted)
{
    if (result >= 0) {
        if ((size_t)result < wanted)
            destination->writable = false;
        return true;
    }
    if (would_block(errno)) {
        destination->writable = false;
        return true;
    }
    if (errno != EINTR && destination->error == 0)
        destination->error = errno;
    return errno == EINTR;
}

static bool spill(struct relay *relay, struct flow *flow, const char *bytes, size_t length)
{
    flow->pipe = pipe_borrow(&relay->pipes);
    if (!flow->pipe || write(flow->pipe->write_fd, bytes, length) != (ssize_t)length)
        return false; /* cannot happen after pipe_pool_reserve: an empty pipe has this room */
    flow->in_pipe = length;
    return true;
}

/* One small read, passed on.  Returns FLOW_HAS_MORE to go on. */
static enum flow_result pass_small(struct relay *relay, struct flow *flow, struct endpoint *source,
                                   struct endpoint *destination, uint64_t *bytes_of_upstream,
                                   size_t *budget)
{
    bool take = pipe_pool_reserve(&relay->pipes);
    ssize_t received =
        recv(source->watch.fd, relay->buffer.bytes, IO_BUFFER_SIZE, take ? 0 : MSG_PEEK);

    if (!note_read(flow, source, received, IO_BUFFER_SIZE))
        return FLOW_SOURCE_RESET;
    if (received <= 0)
        return FLOW_HAS_MORE;

    ssize_t sent = send(destination->watch.fd, relay->buffer.bytes, (size_t)received, MSG_NOSIGNAL);
    if (!note_write(destination, sent, (size_t)received))
        return FLOW_DESTINATION_RESET;
    size_t passed = sent > 0 ? (size_t)sent : 0;

    count(flow, bytes_of_upstream, passed, budget);
    identification_scan(&flow->identification, relay->buffer.bytes,
                        take ? (size_t)received : passed);
    if (take) {
        flow->bulk = (size_t)received == IO_BUFFER_SIZE && flow->identification.done;
        if (passed < (size_t)received &&
            !spill(relay, flow, relay->buffer.bytes + passed, (size_t)received - passed)) {
            source->error = EIO;
            return FLOW_SOURCE_RESET;
        }
    } else {
        source->readable = true; /* the bytes are still there, as they were only peeked at */
        if (passed > 0 && recv(source->watch.fd, NULL, passed, MSG_TRUNC) != (ssize_t)passed) {
            source->error = EIO; /* cannot happen: the bytes that were peeked at are there */
            return FLOW_SOURCE_RESET;
        }
    }
    return FLOW_HAS_MORE;
}

/* Fills the pipe from the source. */
static enum flow_result fill_pipe(struct relay *relay, struct flow *flow, struct endpoint *source)
{
    if (!flow->pipe)
        flow->pipe = pipe_borrow(&relay->pipes);
    if (!flow->pipe) {
        flow->bulk = false;
        return FLOW_HAS_MORE;
    }
    ssize_t moved = splice(source->watch.fd, NULL, flow->pipe->write_fd, NULL, flow->pipe->capacity,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved == 0) {
        moved = recv(source->watch.fd, relay->buffer.bytes, 1, MSG_PEEK);
        flow->bulk = false;
        if (moved > 0) /* not the end of file, but the place of urgent data */
            return FLOW_HAS_MORE;
    }
    if (!note_read(flow, source, moved, flow->pipe->capacity))
        return FLOW_SOURCE_RESET;
    if (moved > 0)
        flow->in_pipe = (size_t)moved;
    return FLOW_HAS_MORE;
}

static enum flow_result empty_pipe(struct flow *flow, struct endpoint *destination,
                                   uint64_t *bytes_of_upstream, size_t *budget)
{
    ssize_t moved = splice(flow->pipe->read_fd, NULL, destination->watch.fd, NULL, flow->in_pipe,
                           SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (!note_write(destination, moved, 0))
        return FLOW_DESTINATION_RESET;
    if (moved > 0) {
        flow->in_pipe -= (size_t)moved;
        count(flow, bytes_of_upstream, (size_t)moved, budget);
    }
    return FLOW_HAS_MORE;
}

static enum flow_result move(struct relay *relay, struct flow *flow, struct endpoint *source,
                             struct endpoint *destination, uint64_t *bytes_of_upstream)
{
    size_t budget = TURN_BYTES;
    enum flow_result result = FLOW_HAS_MORE;

    while (result == FLOW_HAS_MORE && budget > 0) {
        if (flow->in_pipe > 0 && destination->writable)
            result = empty_pipe(flow, destination, bytes_of_upstream, &budget);
        else if (flow->in_pipe > 0)
            return FLOW_WAITS;
        else if (flow->ended)
            return FLOW_ENDED;
        else if (!source->readable || !destination->writable)
            return FLOW_WAITS;
        else if (flow->bulk && !source->urgent)
            result = fill_pipe(relay, flow, source);
        else
            result = pass_small(relay, flow, source, destination, bytes_of_upstream, &budget);
    }
    return result;
}

enum flow_result flow_move(struct relay *relay, struct flow *flow, struct endpoint *source,
                           struct endpoint *destination, uint64_t *bytes_of_upstream)
{
    enum flow_result result = move(relay, flow, source, destination, bytes_of_upstream);

    if (flow->in_pipe == 0)
        flow_drop(relay, flow);
    return result;
}
