/* SPDX-License-Identifier: MIT */
/*
 * connection.h: a connection: a client's socket, an upstream's socket, and the bytes between them.
 *
 * A struct connection owns its two sockets, its pipes and, until the upstream answers, its dial; connection.c alone
 * makes and frees it.
 */
#ifndef RELAY_SERVE_CONNECTION_H
#define RELAY_SERVE_CONNECTION_H

#include "relay/base/address.h"
#include "relay/base/list.h"
#include "relay/base/loop.h"
#include "relay/serve/flow.h"

#include <stdbool.h>
#include <stdint.h>

struct listener;
struct relay;
struct upstream;

enum side { CLIENT, UPSTREAM };

enum connection_state {
    CONNECTION_DIALLING,       /* the client waits, unwatched; the dial decides */
    CONNECTION_IDENTIFICATION, /* bytes flow; not both SSH identifications have passed yet */
    CONNECTION_ESTABLISHED,    /* bytes flow; no timeout */
    CONNECTION_GOODBYE,        /* the client was told why not; waiting for it to hang up */
    CONNECTION_CLOSED,         /* in loop.discarded until the batch of events is over */
};

struct connection {
    struct list_node
        node; /* in relay.connections, then in loop.discarded; first, see loop_discard */
    struct list_node turn; /* in relay.turns while it has more to do than one turn allows */
    struct relay *relay;
    struct upstream *upstream;
    uint64_t number;
    enum connection_state state;
    int64_t opened_us;
    struct endpoint endpoints[2]; /* by enum side */
    struct flow up, down;         /* client → upstream, upstream → client */
    bool up_ended_first;
    bool admitted; /* counts in the limits */
    struct dial *dial;
    struct timer timer; /* identification or goodbye, by state */
    union address client_address, upstream_address;
};

/* Takes a connected client, and owns fd, even on failure. */
void connection_open(struct relay *relay, struct upstream *upstream, int fd,
                     const union address *client_address);
/* Closes a connection, one side of which has vanished: the other is reset. */
void connection_peer_vanished(struct connection *connection, enum side side);
/* Resets every connection. */
void connection_cut_all(struct relay *relay, const char *reason);
/* Gives another turn to each connection that has more to do. */
void connection_take_turns(struct relay *relay);

#endif
