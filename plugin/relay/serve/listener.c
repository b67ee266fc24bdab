/* SPDX-License-Identifier: MIT */
/*
 * listener.c: accepting clients, and pausing.
 *
 * When descriptors or memory run out, or the connections reach what the descriptors allow, the
 * relay stops watching its listeners instead of spinning on them.  Clients then wait in the
 * kernel's queue.  It resumes when a connection has ended, or after a while.
 */
#include "relay/serve/listener.h"

#include "relay/serve/connection.h"
#include "relay/serve/relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ACCEPT_BATCH 32
#define NOTICE_AFTER_MS                                                                            \
    10000 /* a pause within this time of the last one gets no event of its own */

/* Returns false when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
    struct relay *relay = listener->relay;
    union address client;
    socklen_t length = sizeof client;

    if (relay->paused)
        return false;
    if (relay->connections_now >= relay->connections_max) {
        listeners_pause(relay, "the descriptor limit allows no more connections");
        return false;
    }
    memset(&client, 0, sizeof client);
    int fd = accept4(listener->watch.fd, &client.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        connection_open(relay, listener->upstream, fd, &client);
        return true;
    }
    if (errno == EAGAIN)
        return false;
    /* accept(2) may report an error of the pending connection, which does not concern the next one. */
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO || errno == ENETDOWN ||
        errno == ENETUNREACH || errno == EHOSTDOWN || errno == EHOSTUNREACH || errno == ENOPROTOOPT)
        return true;
    listeners_pause(relay, strerror(errno));
    return false;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
    struct listener *listener = container_of(watch, struct listener, watch);

    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && accept_one(listener); i++)
        ;
}

void listeners_watch(struct relay *relay)
{
    for (size_t i = 0; i < relay->listener_count; i++) {
        relay->listeners[i].watch.ready = listener_ready;
        if (loop_add(&relay->loop, &relay->listeners[i].watch, EPOLLIN) && errno != EEXIST) {
            listeners_pause(relay, strerror(errno));
            return; /* in a pause the listener is not watched, as it would be ready all the time */
        }
    }
}

static void pause_over(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, paused_timer);

    listeners_resume(relay);
}

void listeners_pause(struct relay *relay, const char *reason)
{
    if (relay->paused)
        return;
    relay->paused = true;
    for (size_t i = 0; i < relay->listener_count; i++)
        loop_remove(&relay->loop, &relay->listeners[i].watch);
    timer_start(&relay->loop, &relay->pause_timers, &relay->paused_timer, pause_over);
    if (relay->pause_noticed_ms == 0 ||
        relay->loop.now_ms - relay->pause_noticed_ms > NOTICE_AFTER_MS)
        event_notice(&relay->log, "accepting-paused", reason);
    relay->pause_noticed_ms = relay->loop.now_ms;
}

void listeners_resume(struct relay *relay)
{
    if (!relay->paused || relay->state != RELAY_SERVING)
        return;
    relay->paused = false;
    timer_stop(&relay->paused_timer);
    listeners_watch(relay);
}

void listeners_close(struct relay *relay)
{
    for (size_t i = 0; i < relay->listener_count; i++) {
        struct listener *listener = &relay->listeners[i];
        for (int j = 0; j < SOMAXCONN && relay->state == RELAY_DRAINING && accept_one(listener);
             j++)
            ;
        loop_remove(&relay->loop, &listener->watch); /* another relay may have the socket too */
        (void)close(listener->watch.fd);
        listener->watch.fd = -1;
    }
    relay->listener_count = 0;
    timer_stop(&relay->paused_timer);
}

void listener_add(struct relay *relay, size_t upstream, const union address *address, int fd)
{
    relay->listeners[relay->listener_count++] =
        (struct listener){.watch.fd = fd,
                          .relay = relay,
                          .upstream = &relay->upstreams[upstream],
                          .address = *address};
}

bool listeners_have(const struct relay *relay, const union address *address)
{
    for (size_t i = 0; i < relay->listener_count; i++) {
        const union address *own = &relay->listeners[i].address;
        if (own->any.sa_family != address->any.sa_family)
            continue;
        if (own->any.sa_family == AF_INET && own->v4.sin_port == address->v4.sin_port &&
            own->v4.sin_addr.s_addr == address->v4.sin_addr.s_addr)
            return true;
        if (own->any.sa_family == AF_INET6 && own->v6.sin6_port == address->v6.sin6_port &&
            IN6_ARE_ADDR_EQUAL(&own->v6.sin6_addr, &address->v6.sin6_addr))
            return true;
    }
    return false;
}
