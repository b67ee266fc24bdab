/* SPDX-License-Identifier: MIT */
/*
 * pipe_pool.c: pipes for splice(2), borrowed while bytes are in flight.
 *
 * A pipe holds up to 1 MiB of a direction whose destination is slower than its source.  All idle
 * connections share a few spare ones.  Their number is limited, so that clients that read nothing
 * cannot make the kernel hold more than PIPES_MAX MiB; further bytes wait in the sockets, where TCP's
 * flow control stops the sender.  Descriptors are reserved for them, so that they do not use up those of
 * connections.
 *
 * One spare pipe is always kept, if possible, as flow.c reads bytes from a socket only when there is
 * room for those that the other side does not take.
 */
#include "relay/base/pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PIPE_CAPACITY                                                                              \
    (1                                                                                             \
     << 20) /* /proc/sys/fs/pipe-max-size of an unprivileged user, by default                    \
               */
#define PIPES_MAX       64
#define PIPES_SHARE     8 /* of the descriptors, at two a pipe: a quarter */
#define PIPES_MAX_SPARE 8

uint64_t pipe_pool_init(struct pipe_pool *pool, uint64_t descriptors)
{
    uint64_t share = descriptors / PIPES_SHARE;

    list_init(&pool->spare);
    pool->spare_count = pool->count = 0;
    pool->max = share < 1 ? 1 : share < PIPES_MAX ? (size_t)share : PIPES_MAX;
    return 2 * pool->max;
}

static void close_pipe(struct pipe_pool *pool, struct pipe *pipe)
{
    (void)close(pipe->read_fd);
    (void)close(pipe->write_fd);
    free(pipe);
    pool->count--;
}

static void add_spare(struct pipe_pool *pool, struct pipe *pipe)
{
    list_append(&pool->spare, &pipe->node);
    pool->spare_count++;
}

bool pipe_pool_reserve(struct pipe_pool *pool)
{
    if (pool->spare_count > 0)
        return true;
    if (pool->count >= pool->max)
        return false;

    struct pipe *pipe = malloc(sizeof *pipe);
    int fds[2];
    if (!pipe || pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
        free(pipe);
        return false;
    }
    /* Over the user's soft limit (pipe-user-pages-soft) the kernel grants less; use what there is.
     */
    (void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_CAPACITY);
    int capacity = fcntl(fds[0], F_GETPIPE_SZ);
    *pipe = (struct pipe){
        .read_fd = fds[0], .write_fd = fds[1], .capacity = capacity > 0 ? (size_t)capacity : 0};
    pool->count++;
    if (pipe->capacity < IO_BUFFER_SIZE) {
        close_pipe(pool, pipe);
        return false;
    }
    add_spare(pool, pipe);
    return true;
}

struct pipe *pipe_borrow(struct pipe_pool *pool)
{
    if (!pipe_pool_reserve(pool))
        return NULL;
    struct pipe *pipe = container_of(pool->spare.next, struct pipe, node);
    list_remove(&pipe->node);
    pool->spare_count--;
    return pipe;
}

void pipe_return(struct pipe_pool *pool, struct pipe *pipe, size_t in_flight)
{
    if (in_flight > 0 || pool->spare_count >= PIPES_MAX_SPARE)
        close_pipe(pool, pipe);
    else
        add_spare(pool, pipe);
}

void pipe_pool_trim(struct pipe_pool *pool)
{
    while (pool->spare_count > 1) {
        struct pipe *pipe = pipe_borrow(pool);
        close_pipe(pool, pipe);
    }
}
