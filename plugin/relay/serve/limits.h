/* SPDX-License-Identifier: MIT */
/* limits.h: how many connections and dials there may be, to each upstream and in all. */
#ifndef RELAY_SERVE_LIMITS_H
#define RELAY_SERVE_LIMITS_H

#include "relay/base/loop.h"
#include "wire/limit_names.h"
#include "wire/message_size.h"

#include <stdbool.h>
#include <stdint.h>

struct connection;
struct limits;
struct relay;
struct upstream;

struct limit {
    struct limits *limits; /* to which it belongs */
    struct timer quiet;    /* restarted by each refusal */
    uint64_t refused;      /* since it began to refuse */
    int64_t since_ms;
};

/* The limits of one upstream, or of all together. */
struct limits {
    struct relay *relay;
    const struct upstream *upstream; /* NULL: all together */
    uint64_t connections, pending_dials;
    int64_t credit, credit_ms; /* dials, in thousandths, that may begin at once; when it was that */
    struct limit limit[RELAY_LIMITS / 2];
};

void limits_init(struct limits *limits, struct relay *relay, const struct upstream *upstream);
/* Counts a new connection.  False: it is refused, and the message is for its client. */
bool limits_admit(struct connection *connection, char message[RELAY_MESSAGE_SIZE]);
/* For a connection that was counted: its dial has ended; it has closed. */
void limits_dial_ended(const struct connection *connection);
void limits_leave(struct connection *connection);
/* Writes the pending events of limits that are refusing. */
void limits_close(struct relay *relay);

#endif
