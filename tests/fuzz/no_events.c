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

void event_notice(struct relay *relay, const char *event, const char *message)
{
    (void)relay;
    (void)event;
    (void)message;
}

void event_stopped(struct relay *relay)
{
    (void)relay;
}
