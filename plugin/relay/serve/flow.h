/* SPDX-License-Identifier: MIT */
/* flow.h: one direction of a connection, the data path. */
#ifndef RELAY_SERVE_FLOW_H
#define RELAY_SERVE_FLOW_H

#include "relay/base/loop.h"
#include "relay/base/pipe_pool.h"
#include "relay/serve/ssh_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay;

struct endpoint {
    struct watch watch;
    bool readable, writable; /* until the kernel says EAGAIN; the watches are edge-triggered */
    bool urgent;             /* the peer has sent urgent data, where reads stop */
    bool hangup;             /* the peer's end of file or error may be waiting behind the bytes */
    int error;               /* from SO_ERROR: a reset, or a failure of the network */
};

/* One direction. */
struct flow {
    struct pipe *pipe; /* borrowed while bytes are in it */
    size_t in_pipe;
    uint64_t bytes;
    bool bulk;  /* the last read filled the buffer: splice */
    bool ended; /* the source's end of file was read */
    bool shut;  /* … and passed on */
    struct identification identification;
};

enum flow_result {
    FLOW_WAITS,    /* for its source or its destination */
    FLOW_HAS_MORE, /* its turn is over before all was moved */
    FLOW_ENDED,    /* all bytes up to the source's end of file were passed on */
    FLOW_SOURCE_RESET,
    FLOW_DESTINATION_RESET,
};

/* Moves bytes until one side waits or the turn is over; flow.c. */
enum flow_result flow_move(struct relay *relay, struct flow *flow, struct endpoint *source,
                           struct endpoint *destination, uint64_t *bytes_of_upstream);
/* Gives back what the flow holds. */
void flow_drop(struct relay *relay, struct flow *flow);

#endif
