/* SPDX-License-Identifier: MIT */
/* takeover.h: what a relay that starts takes from the one that it takes over from. */
#ifndef RELAY_SETUP_TAKEOVER_H
#define RELAY_SETUP_TAKEOVER_H

#include "relay/base/address.h"
#include "relay/serve/listener.h"
#include "wire/setup_reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct relay;

struct takeover {
    int fd;          /* the connection to the old relay; -1: nothing is taken over */
    int claim_fd;    /* the old relay's control_of_slug; -1: as above, or taken out */
    int hold_fd;     /* on the network; -1: as above, or there is none */
    int launcher_fd; /* the process that the old relay ends with; -1: as above, or there is none */
    pid_t launcher_pid;
    bool elsewhere; /* the old relay listens in another network namespace */
    size_t count;
    int listeners[MAX_LISTENERS]; /* -1: taken out */
};

/* Receives what the old relay hands over; false, with reply filled in, if it refuses. */
bool takeover_receive(struct takeover *takeover, const struct relay *relay,
                      struct setup_reply *reply);
/* Takes the socket that listens on the address; -1: there is none. */
int takeover_listener(struct takeover *takeover, const union address *address);
/* Closes what was not taken. */
void takeover_drop_rest(struct takeover *takeover);
/* Tells the old relay to stop accepting.  False, with reply filled in: it keeps serving, or has ended. */
bool takeover_commit(struct takeover *takeover, const struct relay *relay,
                     struct setup_reply *reply);

#define NO_TAKEOVER                                                                                \
    {                                                                                              \
        .fd = -1, .claim_fd = -1, .hold_fd = -1, .launcher_fd = -1                                 \
    }

#endif
