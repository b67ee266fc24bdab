/* SPDX-License-Identifier: MIT */
/*
 * limits.c: how many connections and dials there may be, to each upstream and in all.
 *
 * An accepted connection is counted, unless a limit is reached; then it is refused, with an SSH message that
 * says so, like any other refusal (connection.c).  Refused connections are not counted, so a flood of clients
 * does not reduce the connections of the others.
 *
 * Dials per second are limited by a token bucket.  Its unit is a thousandth of a dial, so that each millisecond
 * adds as many units as the limit has dials per second.  It holds the dials of ten seconds, which is the
 * largest burst.  The time is that of the loop.
 *
 * A flood must not fill the event log.  A limit writes one line when it begins to refuse, and one, with the
 * count, when it has refused nobody for a while; the refused connections get no lines of their own.
 */
#include "relay/serve/limits.h"

#include "relay/serve/connection.h"
#include "relay/serve/events.h"
#include "relay/serve/relay.h"

#include <stdio.h>

#define BURST_MS  10000
#define ONE_DIAL  1000 /* thousandths */
#define PER_SCOPE (RELAY_LIMITS / 2)

_Static_assert((int64_t)RELAY_LIMIT_HIGHEST *BURST_MS < INT64_MAX / 2,
               "a full bucket does not overflow");

static enum relay_limit name_of(const struct limits *limits, size_t kind)
{
    return (enum relay_limit)(kind + (limits->upstream ? PER_SCOPE : 0));
}

static int32_t value_of(const struct limits *limits, size_t kind)
{
    return limits->relay->config.limits[name_of(limits, kind)];
}

void limits_init(struct limits *limits, struct relay *relay, const struct upstream *upstream)
{
    limits->relay = relay;
    limits->upstream = upstream;
    limits->credit = (int64_t)value_of(limits, MAX_DIALS_PER_SECOND) * BURST_MS;
    limits->credit_ms = relay->loop.now_ms;
    for (size_t kind = 0; kind < PER_SCOPE; kind++) {
        limits->limit[kind].limits = limits;
        timer_init(&limits->limit[kind].quiet);
    }
}

static void refill(struct limits *limits)
{
    int64_t now_ms = limits->relay->loop.now_ms, elapsed_ms = now_ms - limits->credit_ms;
    int64_t rate = value_of(limits, MAX_DIALS_PER_SECOND);

    limits->credit += (elapsed_ms < BURST_MS ? elapsed_ms : BURST_MS) * rate;
    if (limits->credit > rate * BURST_MS)
        limits->credit = rate * BURST_MS;
    limits->credit_ms = now_ms;
}

/* The limit that is reached; PER_SCOPE: none. */
static size_t find_reached(struct limits *limits)
{
    refill(limits);
    if (limits->connections >= (uint64_t)value_of(limits, MAX_CONNECTIONS))
        return MAX_CONNECTIONS;
    if (limits->pending_dials >= (uint64_t)value_of(limits, MAX_PENDING_DIALS))
        return MAX_PENDING_DIALS;
    return limits->credit < ONE_DIAL ? MAX_DIALS_PER_SECOND : PER_SCOPE;
}

static void describe(const struct limits *limits, size_t kind, char message[RELAY_MESSAGE_SIZE])
{
    static const char *const WHAT[PER_SCOPE] = {
        [MAX_CONNECTIONS] = "too many connections",
        [MAX_PENDING_DIALS] = "too many connections that wait for an answer",
        [MAX_DIALS_PER_SECOND] = "too many new connections a second",
    };
    const char *name = RELAY_LIMIT[name_of(limits, kind)].key;
    int32_t value = value_of(limits, kind);

    if (limits->upstream)
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "%s to %s:%u: the limit %s is %d", WHAT[kind],
                       limits->upstream->destination->config->host,
                       limits->upstream->destination->config->port, name, value);
    else
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "%s: the limit %s is %d", WHAT[kind], name,
                       value);
}

static void limit_end_refusing(struct limit *limit)
{
    const struct limits *limits = limit->limits;
    int64_t last_ms = limit->quiet.due_ms - limits->relay->limit_timers.duration_ms;

    timer_stop(&limit->quiet);
    event_limit_over(limits, name_of(limits, (size_t)(limit - limits->limit)), limit->refused,
                     last_ms - limit->since_ms);
}

static void quiet_for_a_while(struct timer *timer)
{
    limit_end_refusing(container_of(timer, struct limit, quiet));
}

static void limit_begin_refusing(struct limits *limits, size_t kind, const char *message)
{
    struct relay *relay = limits->relay;
    struct limit *limit = &limits->limit[kind];

    if (!timer_is_running(&limit->quiet)) {
        limit->refused = 0;
        limit->since_ms = relay->loop.now_ms;
        event_limit_reached(limits, name_of(limits, kind), message);
    }
    limit->refused++;
    timer_start(&relay->loop, &relay->limit_timers, &limit->quiet, quiet_for_a_while);
}

bool limits_admit(struct connection *connection, char message[RELAY_MESSAGE_SIZE])
{
    struct limits *scopes[] = {&connection->upstream->limits, &connection->relay->limits};

    for (size_t i = 0; i < 2; i++) {
        size_t kind = find_reached(scopes[i]);
        if (kind == PER_SCOPE)
            continue;
        describe(scopes[i], kind, message);
        limit_begin_refusing(scopes[i], kind, message);
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        scopes[i]->connections++;
        scopes[i]->pending_dials++;
        scopes[i]->credit -= ONE_DIAL;
    }
    connection->admitted = true;
    return true;
}

void limits_dial_ended(const struct connection *connection)
{
    connection->upstream->limits.pending_dials--;
    connection->relay->limits.pending_dials--;
}

void limits_leave(struct connection *connection)
{
    if (!connection->admitted)
        return;
    connection->admitted = false;
    connection->upstream->limits.connections--;
    connection->relay->limits.connections--;
}

static void close_scope(struct limits *limits)
{
    for (size_t kind = 0; kind < PER_SCOPE; kind++)
        if (timer_is_running(&limits->limit[kind].quiet))
            limit_end_refusing(&limits->limit[kind]);
}

void limits_close(struct relay *relay)
{
    for (size_t i = 0; i < relay->upstream_count; i++)
        close_scope(&relay->upstreams[i].limits);
    close_scope(&relay->limits);
}
