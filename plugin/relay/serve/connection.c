/* SPDX-License-Identifier: MIT */
/*
 * connection.c: the life of one connection.
 *
 *     accept → DIALLING → IDENTIFICATION → ESTABLISHED → closed
 *                  └──────────┴→ GOODBYE → closed
 *
 * DIALLING: only the dial is watched.  The client's socket is added to the loop when the upstream is
 * connected; the kernel keeps bytes that arrive earlier.
 *
 * IDENTIFICATION and ESTABLISHED: each event on either socket moves what can be moved in both
 * directions. End of file passes through as shutdown(2), a reset as a reset.  When both directions
 * have ended the connection closes.  The two states differ in the timeout only.
 *
 * GOODBYE: the client is sent an SSH message that says why it gets no connection.  Its socket is then shut
 * for sending and read until it hangs up, because closing a socket with unread bytes would reset the
 * connection, and the message could be lost.
 *
 * A connection that ends goes to loop.discarded and is freed after the batch of events it may
 * still be in.
 */
#include "relay/serve/connection.h"

#include "relay/dial/dial.h"
#include "relay/serve/events.h"
#include "relay/serve/limits.h"
#include "relay/serve/relay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define GOODBYE_MAX_BYTES ((size_t)1 << 20)
#define ENDPOINT_EVENTS   (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET)

static void close_endpoint(struct endpoint *endpoint, bool reset)
{
    if (endpoint->watch.fd < 0)
        return;
    if (reset) {
        const struct linger no_linger = {.l_onoff = 1, .l_linger = 0};
        /* On failure the peer sees end of file instead of a reset. */
        (void)setsockopt(endpoint->watch.fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    }
    (void)close(endpoint->watch.fd);
    endpoint->watch.fd = -1;
}

static void end_dial(struct connection *connection)
{
    connection->dial = NULL;
    limits_dial_ended(connection);
}

static void free_connection(struct connection *connection, bool reset)
{
    struct relay *relay = connection->relay;

    if (connection->dial) {
        dial_abandon(connection->dial);
        end_dial(connection);
    }
    limits_leave(connection);
    flow_drop(relay, &connection->up);
    flow_drop(relay, &connection->down);
    close_endpoint(&connection->endpoints[CLIENT], reset);
    close_endpoint(&connection->endpoints[UPSTREAM], reset);
    timer_stop(&connection->timer);
    list_remove(&connection->turn);
    connection->state = CONNECTION_CLOSED;
    list_remove(&connection->node);
    loop_discard(&relay->loop, &connection->node);

    connection->upstream->connections_now--;
    if (--relay->connections_now == 0)
        pipe_pool_trim(&relay->pipes);
    relay->has_ended = true;
}

static void close_connection(struct connection *connection, bool reset, const char *ended_by,
                             const char *reason)
{
    if (connection->state == CONNECTION_IDENTIFICATION ||
        connection->state == CONNECTION_ESTABLISHED)
        event_close(connection, ended_by, reason);
    free_connection(connection, reset);
}

static const char *reason_of_error(int error)
{
    if (error == ECONNRESET || error == EPIPE || error == ENOTCONN)
        return "reset";
    if (error == ETIMEDOUT)
        return "timeout";
    return strerror(error);
}

static void goodbye_expired(struct timer *timer)
{
    free_connection(container_of(timer, struct connection, timer), true);
}

/* Discards what the client still sends; closes when it hangs up, or sends more than a client would. */
static void await_hangup(struct connection *connection)
{
    struct relay *relay = connection->relay;

    while (connection->up.bytes < GOODBYE_MAX_BYTES) {
        ssize_t received =
            recv(connection->endpoints[CLIENT].watch.fd, relay->buffer.bytes, IO_BUFFER_SIZE, 0);
        if (received < 0 && errno == EAGAIN)
            return;
        if (received <= 0)
            break;
        connection->up.bytes += (size_t)received;
    }
    free_connection(connection, connection->up.bytes >= GOODBYE_MAX_BYTES);
}

static void note_refused(struct connection *connection, const char *message)
{
    struct upstream *upstream = connection->upstream;

    upstream->connections_refused++;
    (void)snprintf(upstream->last_error, sizeof upstream->last_error, "%s", message);
    upstream->last_error_ms = connection->relay->loop.now_ms;
}

/* Tells the client why, in SSH, and waits for it to hang up. */
static void say_goodbye(struct connection *connection, const char *message)
{
    struct relay *relay = connection->relay;
    struct endpoint *client = &connection->endpoints[CLIENT];
    char text[SSH_GOODBYE_MAX_TEXT + 1], goodbye[SSH_GOODBYE_MAX_SIZE];

    (void)snprintf(text, sizeof text, "ssh-gate: %s", message);
    size_t length = ssh_goodbye(goodbye, SSH_DISCONNECT_SERVICE_NOT_AVAILABLE, text);

    close_endpoint(&connection->endpoints[UPSTREAM], false);
    list_remove(&connection->turn);
    limits_leave(connection);
    connection->state = CONNECTION_GOODBYE;
    connection->up.bytes = 0;
    /* The client was sent nothing yet, so its socket takes these few bytes at once or is broken. */
    if (send(client->watch.fd, goodbye, length, MSG_NOSIGNAL) != (ssize_t)length ||
        shutdown(client->watch.fd, SHUT_WR)) {
        free_connection(connection, true);
        return;
    }
    timer_start(&relay->loop, &relay->goodbye_timers, &connection->timer, goodbye_expired);
    await_hangup(connection);
}

static void identification_expired(struct timer *timer)
{
    struct connection *connection = container_of(timer, struct connection, timer);
    const struct relay *relay = connection->relay;
    bool server_is_silent = !connection->down.identification.done;
    char message[RELAY_MESSAGE_SIZE];

    (void)snprintf(
        message, sizeof message, "%s%s:%u sent no SSH identification within %d ms",
        server_is_silent ? "" : "the client of ", connection->upstream->destination->config->host,
        connection->upstream->destination->config->port, relay->config.identification_timeout_ms);
    note_refused(connection, message);
    event_refused(connection, "identification-timeout", message);
    event_close(connection, "gate", "identification-timeout");
    if (connection->down.bytes == 0)
        say_goodbye(connection, message);
    else
        free_connection(connection, true);
}

static bool both_identified(const struct connection *connection)
{
    return connection->up.identification.done && connection->down.identification.done;
}

/* Passes end of file on if the other direction has not ended; otherwise closing the connection does. */
static void pass_end(struct flow *flow, struct endpoint *destination)
{
    if (!flow->shut && shutdown(destination->watch.fd, SHUT_WR))
        destination->error = errno;
    flow->shut = true;
}

/* Moves bytes in both directions, then acts on the results. */
static void run(struct connection *connection)
{
    struct relay *relay = connection->relay;
    struct endpoint *client = &connection->endpoints[CLIENT];
    struct endpoint *upstream = &connection->endpoints[UPSTREAM];

    relay->has_moved = true;
    enum flow_result up =
        flow_move(relay, &connection->up, client, upstream, &connection->upstream->bytes_up);
    enum flow_result down =
        flow_move(relay, &connection->down, upstream, client, &connection->upstream->bytes_down);

    if (up == FLOW_ENDED && down != FLOW_ENDED)
        pass_end(&connection->up, upstream);
    if (down == FLOW_ENDED && up != FLOW_ENDED)
        pass_end(&connection->down, client);
    if (connection->state == CONNECTION_IDENTIFICATION && both_identified(connection)) {
        connection->state = CONNECTION_ESTABLISHED;
        timer_stop(&connection->timer);
    }
    if (up == FLOW_HAS_MORE || down == FLOW_HAS_MORE) {
        if (list_is_empty(&connection->turn))
            list_append(&relay->turns, &connection->turn);
    } else if (client->error) {
        close_connection(connection, true, "client", reason_of_error(client->error));
    } else if (upstream->error) {
        close_connection(connection, true, "upstream", reason_of_error(upstream->error));
    } else if (up == FLOW_ENDED && down == FLOW_ENDED) {
        close_connection(connection, false, connection->up_ended_first ? "client" : "upstream",
                         "eof");
    } else if (up == FLOW_ENDED || down == FLOW_ENDED) {
        connection->up_ended_first = up == FLOW_ENDED;
    }
}

void connection_peer_vanished(struct connection *connection, enum side side)
{
    close_connection(connection, true, side == CLIENT ? "client" : "upstream",
                     reason_of_error(ETIMEDOUT));
}

static void endpoint_ready(struct connection *connection, struct endpoint *endpoint,
                           uint32_t events)
{
    if (events & EPOLLERR) {
        socklen_t length = sizeof endpoint->error;
        /* On failure error keeps its value, for an unknown reason. */
        (void)getsockopt(endpoint->watch.fd, SOL_SOCKET, SO_ERROR, &endpoint->error, &length);
    }
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        endpoint->hangup = true;
    if (events & EPOLLPRI)
        endpoint->urgent = true;
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        endpoint->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        endpoint->writable = true;

    if (connection->state == CONNECTION_GOODBYE)
        await_hangup(connection);
    else
        run(connection);
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct endpoint *endpoint = container_of(watch, struct endpoint, watch);

    endpoint_ready(container_of(endpoint, struct connection, endpoints[CLIENT]), endpoint, events);
}

static void upstream_ready(struct watch *watch, uint32_t events)
{
    struct endpoint *endpoint = container_of(watch, struct endpoint, watch);

    endpoint_ready(container_of(endpoint, struct connection, endpoints[UPSTREAM]), endpoint,
                   events);
}

/* A client whose socket is not in the loop yet. */
static void refuse(struct connection *connection, const char *message)
{
    note_refused(connection, message);
    if (loop_add(&connection->relay->loop, &connection->endpoints[CLIENT].watch, ENDPOINT_EVENTS))
        free_connection(connection, true);
    else
        say_goodbye(connection, message);
}

static void dialled(void *context, int fd, const union address *upstream_address)
{
    struct connection *connection = context;
    struct relay *relay = connection->relay;
    struct endpoint *client = &connection->endpoints[CLIENT];
    struct endpoint *upstream = &connection->endpoints[UPSTREAM];

    end_dial(connection);
    connection->upstream_address = *upstream_address;
    histogram_add(&connection->upstream->dial_times, relay->loop.now_us - connection->opened_us);
    upstream->watch.fd = fd;
    upstream->writable = client->writable = true;
    connection->state = CONNECTION_IDENTIFICATION;
    event_open(connection);
    timer_start(&relay->loop, &relay->identification_timers, &connection->timer,
                identification_expired);
    /* Adding them reports what is ready already. */
    if (loop_change(&relay->loop, &upstream->watch, ENDPOINT_EVENTS) ||
        loop_add(&relay->loop, &client->watch, ENDPOINT_EVENTS))
        close_connection(connection, true, "gate", strerror(errno));
}

static void dial_failed(void *context, const char *reason, const char *message)
{
    struct connection *connection = context;

    end_dial(connection);
    event_refused(connection, reason, message);
    refuse(connection, message);
}

void connection_open(struct relay *relay, struct upstream *upstream, int fd,
                     const union address *client_address)
{
    static const struct dial_outcome OUTCOME = {.connected = dialled, .failed = dial_failed};
    struct connection *connection = calloc(1, sizeof *connection);
    char message[RELAY_MESSAGE_SIZE];

    if (!connection) {
        (void)close(fd);
        event_notice(&relay->log, "out-of-memory", "a client was turned away");
        return;
    }
    connection->relay = relay;
    connection->upstream = upstream;
    connection->number = ++relay->connections_total;
    connection->opened_us = relay->loop.now_us;
    connection->client_address = *client_address;
    connection->endpoints[CLIENT].watch = (struct watch){.fd = fd, .ready = client_ready};
    connection->endpoints[UPSTREAM].watch = (struct watch){.fd = -1, .ready = upstream_ready};
    timer_init(&connection->timer);
    list_init(&connection->turn);
    list_append(&relay->connections, &connection->node);
    relay->connections_now++;
    upstream->connections_now++;
    upstream->connections_total++;
    if (limits_admit(connection, message))
        dial_start(&relay->dialler, upstream->destination, &OUTCOME, connection, &connection->dial);
    else
        refuse(connection, message);
}

void connection_cut_all(struct relay *relay, const char *reason)
{
    while (!list_is_empty(&relay->connections))
        close_connection(container_of(relay->connections.next, struct connection, node), true,
                         "gate", reason);
}

void connection_take_turns(struct relay *relay)
{
    struct list_node turns;

    /* Connections with still more to do go to the end of the list, for the next turn. */
    list_init(&turns);
    while (!list_is_empty(&relay->turns)) {
        struct list_node *node = relay->turns.next;
        list_remove(node);
        list_append(&turns, node);
    }
    while (!list_is_empty(&turns)) {
        struct connection *connection = container_of(turns.next, struct connection, turn);
        list_remove(&connection->turn);
        run(connection);
    }
}
