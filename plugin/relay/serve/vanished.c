/* SPDX-License-Identifier: MIT */
/*
 * vanished.c: ends connections with a peer that has vanished while bytes were in flight to it.
 *
 * Keepalive (base/address.c) only works while no bytes are in flight.  Otherwise TCP retransmits, for a quarter
 * of an hour (tcp(7), tcp_retries2).  TCP_USER_TIMEOUT would shorten that, but would also end a connection
 * whose peer is there and does not read, such as a suspended client.  So the relay checks itself: a
 * peer has vanished if it leaves retransmissions or probes unanswered, and nothing has come from it for as
 * long as keepalive would take.
 *
 * It checks every few seconds while bytes move or are in flight, and not at all on idle connections.
 */
#include "relay/serve/vanished.h"

#include "relay/serve/connection.h"
#include "relay/serve/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

static bool get_number(int fd, int name, int64_t *value)
{
    int found = 0;
    socklen_t length = sizeof found;

    if (getsockopt(fd, IPPROTO_TCP, name, &found, &length))
        return false;
    *value = found;
    return true;
}

/* How long keepalive takes on this socket; INT64_MAX if the system does not say. */
static int64_t patience_ms(int fd)
{
    int64_t idle_s, interval_s, probes;

    if (!get_number(fd, TCP_KEEPIDLE, &idle_s) || !get_number(fd, TCP_KEEPINTVL, &interval_s) ||
        !get_number(fd, TCP_KEEPCNT, &probes))
        return INT64_MAX;
    return (idle_s + interval_s * probes) * 1000;
}

/* in_flight: out: set to true if any bytes are in flight */
static bool has_vanished(int fd, bool *in_flight)
{
    struct tcp_info info;
    socklen_t length = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
        return false;
    if (info.tcpi_unacked == 0 && info.tcpi_probes == 0)
        return false;
    *in_flight = true;
    /* The last probe of a closed window may have been sent just now, and the one before it been lost. */
    if (info.tcpi_retransmits == 0 && info.tcpi_probes < 3)
        return false;
    int64_t silent_ms = info.tcpi_last_ack_recv < info.tcpi_last_data_recv
                            ? info.tcpi_last_ack_recv
                            : info.tcpi_last_data_recv;
    return silent_ms >= patience_ms(fd);
}

static void look(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, vanished_timer);
    bool in_flight = false;

    for (struct list_node *node = relay->connections.next, *next; node != &relay->connections;
         node = next) {
        struct connection *connection = container_of(node, struct connection, node);
        next = node->next;
        if (connection->state != CONNECTION_IDENTIFICATION &&
            connection->state != CONNECTION_ESTABLISHED)
            continue;
        for (int side = CLIENT; side <= UPSTREAM; side++)
            if (has_vanished(connection->endpoints[side].watch.fd, &in_flight)) {
                connection_peer_vanished(connection, (enum side)side);
                break;
            }
    }
    if (in_flight)
        vanished_watch(relay);
}

void vanished_watch(struct relay *relay)
{
    if (!timer_is_running(&relay->vanished_timer))
        timer_start(&relay->loop, &relay->vanished_timers, &relay->vanished_timer, look);
}
