/* SPDX-License-Identifier: MIT */
/* pipe_pool.h: pipes for splice(2), borrowed while bytes are in flight. */
#ifndef RELAY_PIPE_POOL_H
#define RELAY_PIPE_POOL_H

#include "relay/base/io_buffer.h"
#include "relay/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pipe {
    struct list_node node; /* in pipe_pool.spare while it is not borrowed */
    int read_fd, write_fd;
    size_t capacity;
};

struct pipe_pool {
    struct list_node spare;
    size_t spare_count, count, max;
};

/* descriptors: for pipes and connections together.  Returns how many of them are reserved for pipes. */
uint64_t pipe_pool_init(struct pipe_pool *pool, uint64_t descriptors);
/* False when the pool's limit is reached or the system gives no more: leave the bytes in the socket
   then. After true the next pipe_borrow succeeds, with room for IO_BUFFER_SIZE bytes at least. */
bool pipe_pool_reserve(struct pipe_pool *pool);
struct pipe *pipe_borrow(struct pipe_pool *pool);
/* in_flight: bytes still in the pipe; if there are any it is closed, so that no other connection gets them. */
void pipe_return(struct pipe_pool *pool, struct pipe *pipe, size_t in_flight);
/* Closes all spare pipes but one. */
void pipe_pool_trim(struct pipe_pool *pool);

#endif
