/* SPDX-License-Identifier: MIT */
/*
 * control.c: the control socket: status, stop, drain, and the old relay's part of a takeover.
 *
 * A client connects, sends one struct control_request and reads one answer; wire/control.h has both.
 * Only the user who started the relay, and root, are answered.  A client that sends nothing is dropped after
 * a while, and only a few are accepted at a time, while others wait in the kernel's queue; so no client can
 * block the relay.
 *
 * A client that asks for a takeover stays until it commits or disconnects: it is another relay, which ends when
 * its launcher does.  There is at most one such client.
 */
#include "relay/serve/control.h"

#include "relay/base/json_out.h"
#include "relay/serve/lifecycle.h"
#include "relay/serve/relay.h"
#include "relay/serve/takeover_offer.h"
#include "wire/control.h"
#include "wire/process_name.h"

#include <bottle/sidecar.h>

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* False after the claim was handed to another relay, or released. */
static bool claims_slug(const struct relay *relay)
{
    return relay->control_of_slug.watch.fd >= 0;
}

static void watch_listeners(struct relay *relay, uint32_t events)
{
    relay->control_waits = events == 0;
    /* Cannot fail, as they are watched already. */
    (void)loop_change(&relay->loop, &relay->control_of_slug.watch, events);
    (void)loop_change(&relay->loop, &relay->control_of_instance.watch, events);
}

static void pause_over(struct timer *timer)
{
    watch_listeners(container_of(timer, struct relay, control_paused_timer), EPOLLIN);
}

/* Connections that were not accepted are still ready. */
static void pause_accepting(struct relay *relay)
{
    watch_listeners(relay, 0);
    timer_start(&relay->loop, &relay->pause_timers, &relay->control_paused_timer, pause_over);
}

static void close_client(struct control_client *client)
{
    if (client->relay->successor == client) {
        client->relay->successor = NULL;
        if (claims_slug(client->relay))
            takeover_withdraw(client->relay);
    }
    timer_stop(&client->timer);
    (void)close(client->watch.fd);
    client->watch.fd = -1;
    if (client->relay->control_waits)
        watch_listeners(client->relay, EPOLLIN);
}

static void client_expired(struct timer *timer)
{
    close_client(container_of(timer, struct control_client, timer));
}

static void put_dial_times(struct json_out *out, const struct histogram *times)
{
    if (times->count == 0) {
        json_out_null(out, "dial_time");
        return;
    }
    json_out_begin(out, "dial_time", '{');
    json_out_integer(out, "count", (int64_t)times->count);
    json_out_integer(out, "sum_us", (int64_t)times->sum_us);
    json_out_integer(out, "p50_us", (int64_t)histogram_quantile_us(times, 50));
    json_out_integer(out, "p99_us", (int64_t)histogram_quantile_us(times, 99));
    json_out_end(out, '}');
}

static void put_upstream(struct json_out *out, const struct upstream *upstream, int64_t now_ms)
{
    json_out_begin(out, NULL, '{');
    json_out_string(out, "bottle_host_alias", upstream->destination->config->alias);
    json_out_integer(out, "listen_port", upstream->destination->config->listen_port);
    json_out_string(out, "upstream_host", upstream->destination->config->host);
    json_out_integer(out, "upstream_port", upstream->destination->config->port);
    json_out_integer(out, "connections_now", (int64_t)upstream->connections_now);
    json_out_integer(out, "connections_total", (int64_t)upstream->connections_total);
    json_out_integer(out, "connections_refused", (int64_t)upstream->connections_refused);
    json_out_integer(out, "bytes_up", (int64_t)upstream->bytes_up);
    json_out_integer(out, "bytes_down", (int64_t)upstream->bytes_down);
    put_dial_times(out, &upstream->dial_times);
    if (upstream->last_error[0] == '\0') {
        json_out_null(out, "last_error");
    } else {
        json_out_begin(out, "last_error", '{');
        json_out_string(out, "message", upstream->last_error);
        json_out_integer(out, "ago_ms", now_ms - upstream->last_error_ms);
        json_out_end(out, '}');
    }
    json_out_end(out, '}');
}

/* The plugin adds the other members of the status (bottle/sidecar.h): sidecar, backend, target, address. */
static size_t render_status(const struct relay *relay, char *buffer, size_t size)
{
    struct json_out out;

    json_out_init(&out, buffer, size);
    json_out_begin(&out, NULL, '{');
    json_out_string(&out, "slug", relay->config.slug);
    json_out_string(&out, "instance", relay->config.instance);
    json_out_string(&out, "address",
                    relay->config.listen_address_count > 0
                        ? relay->config.listen_addresses[0].address
                        : "127.0.0.1");
    json_out_string(&out, "state", relay->state == RELAY_SERVING ? "serving" : "draining");
    json_out_integer(&out, "pid", getpid());
    if (relay->launcher.fd >= 0)
        json_out_integer(&out, "launcher_pid", relay->launcher_pid);
    else
        json_out_null(&out, "launcher_pid");
    json_out_integer(&out, "uptime_ms", relay->loop.now_ms - relay->started_ms);
    json_out_integer(&out, "connections_now", (int64_t)relay->connections_now);
    json_out_integer(&out, "connections_total", (int64_t)relay->connections_total);
    json_out_begin(&out, "upstreams", '[');
    for (size_t i = 0; i < relay->upstream_count; i++)
        put_upstream(&out, &relay->upstreams[i], relay->loop.now_ms);
    json_out_end(&out, ']');
    json_out_end(&out, '}');
    return out.overflow ? 0 : out.length;
}

/*
 * Writes the event log first, so that it has the events to which the answer refers.  False: the client has gone or
 * does not read, so the answer is lost.
 */
static bool reply(const struct control_client *client, enum bottle_result result, const char *text,
                  size_t length)
{
    static char packet[sizeof(struct control_reply) + CONTROL_MAX_STATUS];
    const struct control_reply head = {.version = CONTROL_VERSION, .result = (int32_t)result};

    memcpy(packet, &head, sizeof head);
    memcpy(packet + sizeof head, text, length);
    length += sizeof head;
    event_log_write(&client->relay->log);
    return send(client->watch.fd, packet, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

static bool refuse(const struct control_client *client, enum bottle_result result, const char *why)
{
    (void)reply(client, result, why, strlen(why));
    return false;
}

static bool send_status(const struct control_client *client)
{
    static char text[CONTROL_MAX_STATUS];
    size_t length = render_status(client->relay, text, sizeof text);

    (void)reply(client, length > 0 ? BOTTLE_OK : BOTTLE_INTERNAL, text, length);
    return false;
}

static bool start_drain(const struct control_client *client, int64_t grace_ms)
{
    relay_drain(client->relay, grace_ms, "no new connections");
    (void)reply(client, BOTTLE_OK, "", 0);
    return false;
}

static bool offer_takeover(struct control_client *client)
{
    struct relay *relay = client->relay;

    if (relay->state != RELAY_SERVING)
        return refuse(client, BOTTLE_CONFLICT,
                      "it drains already: take over from the gate that serves, or start a new one");
    if (relay->successor)
        return refuse(client, BOTTLE_CONFLICT,
                      "another launcher is just taking it over: try again when that is done");
    if (!takeover_offer(relay, client->watch.fd))
        return refuse(client, BOTTLE_INTERNAL, "its listening sockets cannot be sent");
    relay->successor = client;
    timer_stop(&client->timer);
    return true;
}

static void give_up_claim(struct relay *relay)
{
    loop_remove(&relay->loop, &relay->control_of_slug.watch);
    (void)close(relay->control_of_slug.watch.fd);
    relay->control_of_slug.watch.fd = -1;
    relay->log.may_shorten = false;
    if (relay->process_name && strcmp(relay->process_name, RELAY_NAME) == 0)
        memcpy(relay->process_name, RELAY_NAME_DRAINING, sizeof RELAY_NAME_DRAINING);
}

static bool yield(const struct control_client *client)
{
    struct relay *relay = client->relay;

    if (!claims_slug(relay))
        return refuse(client, BOTTLE_CONFLICT, "it has let the slug go already");
    if (relay->successor)
        return refuse(client, BOTTLE_CONFLICT,
                      "another launcher is just taking it over: try again when that is done");
    give_up_claim(relay);
    return start_drain(client, -1);
}

/* Commits only if the reply was sent; otherwise keeps serving. */
static bool commit_takeover(const struct control_client *client)
{
    struct relay *relay = client->relay;

    if (relay->successor != client)
        return refuse(client, BOTTLE_INVALID, "there is no takeover to commit");
    if (!takeover_yield_network(relay) || !reply(client, BOTTLE_OK, "", 0))
        return false;
    give_up_claim(relay); /* the successor has it, too */
    relay_drain(relay, -1, "taken over: new connections go to another relay");
    return false;
}

/* True: the connection is kept. */
static bool answer(struct control_client *client, const struct control_request *request)
{
    if (request->version != CONTROL_VERSION)
        return refuse(client, BOTTLE_UNSUPPORTED, "");
    switch (request->operation) {
    case CONTROL_STATUS:
        return send_status(client);
    case CONTROL_DRAIN:
        return start_drain(client, request->grace_ms);
    case CONTROL_TAKEOVER:
        return offer_takeover(client);
    case CONTROL_COMMIT:
        return commit_takeover(client);
    case CONTROL_YIELD:
        return yield(client);
    case CONTROL_STOP: /* the answer is the end of the connection, when the relay has ended */
        relay_stop(client->relay, "stop");
        return true;
    default:
        return refuse(client, BOTTLE_UNSUPPORTED, "");
    }
}

static void client_ready(struct watch *watch, uint32_t events)
{
    struct control_client *client = container_of(watch, struct control_client, watch);
    struct control_request request;

    (void)events;
    ssize_t received = recv(watch->fd, &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received != (ssize_t)sizeof request || !answer(client, &request))
        close_client(client);
}

static bool is_allowed(const struct relay *relay, int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;

    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) &&
           (peer.uid == relay->uid || peer.uid == 0);
}

static struct control_client *free_client(struct relay *relay)
{
    for (size_t i = 0; i < MAX_CONTROL_CLIENTS; i++)
        if (relay->control_clients[i].watch.fd < 0)
            return &relay->control_clients[i];
    return NULL;
}

static void control_ready(struct watch *watch, uint32_t events)
{
    struct control_listener *listener = container_of(watch, struct control_listener, watch);
    struct relay *relay = listener->relay;
    struct control_client *client = free_client(relay);

    (void)events;
    if (!client) {
        watch_listeners(relay, 0);
        return;
    }
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            pause_accepting(relay);
        return;
    }
    if (!is_allowed(relay, fd)) {
        (void)close(fd);
        return;
    }
    client->watch = (struct watch){.fd = fd, .ready = client_ready};
    if (loop_add(&relay->loop, &client->watch, EPOLLIN)) {
        close_client(client);
        return;
    }
    timer_start(&relay->loop, &relay->control_timers, &client->timer, client_expired);
}

bool control_watch(struct relay *relay)
{
    for (size_t i = 0; i < MAX_CONTROL_CLIENTS; i++) {
        relay->control_clients[i].watch.fd = -1;
        relay->control_clients[i].relay = relay;
        timer_init(&relay->control_clients[i].timer);
    }
    timer_init(&relay->control_paused_timer);
    relay->log.may_shorten = claims_slug(relay);
    relay->control_of_slug.watch.ready = relay->control_of_instance.watch.ready = control_ready;
    relay->control_of_slug.relay = relay->control_of_instance.relay = relay;
    return !loop_add(&relay->loop, &relay->control_of_slug.watch, EPOLLIN) &&
           !loop_add(&relay->loop, &relay->control_of_instance.watch, EPOLLIN);
}
