/* SPDX-License-Identifier: MIT */
/* no_events.c: in place of the relay's events.c, which writes to standard error. */
#include "relay/relay.h"

void events_write(struct relay *relay)
{
    (void)relay;
}

void event_started(struct relay *relay)
{
    (void)relay;
}

void event_open(const struct connection *connection)
{
    (void)connection;
}

void event_close(const struct connection *connection, const char *ended_by, const char *reason)
{
    (void)connection;
    (void)ended_by;
    (void)reason;
}

void event_refused(const struct connection *connection, const char *reason, const char *message)
{
    (void)connection;
    (void)reason;
    (void)message;
}

void event_limit_reached(const struct limits *limits, enum relay_limit limit, const char *message)
{
    (void)limits;
    (void)limit;
    (void)message;
}

void event_limit_over(const struct limits *limits, enum relay_limit limit, uint64_t refused,
                      int64_t duration_ms)
{
    (void)limits;
    (void)limit;
    (void)refused;
    (void)duration_ms;
}

void event_notice(struct relay *relay, const char *event, const char *message)
{
    (void)relay;
    (void)event;
    (void)message;
}

void event_violation(struct relay *relay, const char *system_call, int number)
{
    (void)relay;
    (void)system_call;
    (void)number;
}

void event_stopped(struct relay *relay)
{
    (void)relay;
}
