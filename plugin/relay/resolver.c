/* SPDX-License-Identifier: MIT */
/*
 * resolver.c: c-ares inside the relay's loop.
 *
 * c-ares says which of its sockets it wants watched (ares_init_options(3), ARES_OPT_SOCK_STATE_CB)
 * and when it wants to be called for its own timeouts (ares_timeout(3)).  It reads /etc/hosts and
 * /etc/resolv.conf like the C library does, or asks the servers that the start options name.
 *
 * When /etc/resolv.conf has changed, the next query makes a new channel and destroys the old one;
 * its open queries come back as ARES_EDESTRUCTION and are asked again of the new one.
 */
#include "relay.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define TRIES       3 /* a server; c-ares doubles the wait each time (ares_init_options(3)) */

struct query {
    struct relay *relay;
    const char *name;
    uint16_t port;
    int family;
    resolver_answer *answer;
    void *context;
};

/* The watch of fd; with -1 a free one; NULL if there is none. */
static struct watch *find_socket(struct relay *relay, ares_socket_t fd)
{
    for (size_t i = 0; i < RESOLVER_MAX_SOCKETS; i++)
        if (relay->resolver.sockets[i].watch.fd == fd)
            return &relay->resolver.sockets[i].watch;
    return NULL;
}

static void socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct relay *relay = context;
    struct watch *watch = find_socket(relay, fd);
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);

    if (events == 0 && watch) {
        loop_remove(&relay->loop, watch);
        watch->fd = -1;
    }
    if (events == 0)
        return;
    if (!watch)
        watch = find_socket(relay, -1);
    if (!watch)
        return; /* more sockets than servers can need: that query times out */
    bool is_new = watch->fd < 0;
    watch->fd = fd;
    if (is_new ? loop_add(&relay->loop, watch, events) : loop_change(&relay->loop, watch, events))
        watch->fd = -1; /* out of memory: that query times out */
}

static bool make_channel(struct relay *relay, ares_channel *channel,
                         char message[RELAY_MESSAGE_SIZE])
{
    struct ares_options options = {.timeout = relay->config.resolve_timeout_ms / 5 + 1,
                                   .tries = TRIES,
                                   .sock_state_cb = socket_state,
                                   .sock_state_cb_data = relay};
    int error = ares_init_options(channel, &options,
                                  ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);

    if (error) {
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "c-ares cannot start: %s",
                       ares_strerror(error));
        return false;
    }
    if (relay->config.dns_server_count == 0)
        return true;

    char list[RELAY_MAX_DNS_SERVERS * RELAY_DNS_SERVER_SIZE];
    size_t length = 0;
    for (uint32_t i = 0; i < relay->config.dns_server_count; i++)
        length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? "," : "",
                                   relay->config.dns_servers[i]);
    error = ares_set_servers_ports_csv(*channel, list);
    if (error) {
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "dns_servers: c-ares does not take %s: %s",
                       list, ares_strerror(error));
        ares_destroy(*channel);
        return false;
    }
    return true;
}

static struct timespec configuration_time(void)
{
    struct stat file;

    return stat(RESOLV_CONF, &file) ? (struct timespec){0} : file.st_mtim;
}

static void socket_ready(struct watch *watch, uint32_t events);

bool resolver_init(struct relay *relay, char message[RELAY_MESSAGE_SIZE])
{
    for (size_t i = 0; i < RESOLVER_MAX_SOCKETS; i++)
        relay->resolver.sockets[i] =
            (struct resolver_socket){.watch = {.fd = -1, .ready = socket_ready}, .relay = relay};
    relay->resolver.configured = configuration_time();
    return make_channel(relay, &relay->resolver.channel, message);
}

static void follow_configuration(struct relay *relay)
{
    struct resolver *resolver = &relay->resolver;
    struct timespec changed = configuration_time();
    ares_channel old = resolver->channel, channel;
    char message[RELAY_MESSAGE_SIZE];

    if (relay->config.dns_server_count > 0 || (changed.tv_sec == resolver->configured.tv_sec &&
                                               changed.tv_nsec == resolver->configured.tv_nsec))
        return;
    resolver->configured = changed;
    if (!make_channel(relay, &channel, message)) {
        event_notice(relay, "resolver-unchanged", message);
        return;
    }
    resolver->channel = channel;
    ares_destroy(old);
}

static void answer_from_ares(void *context, int status, int timeouts, struct ares_addrinfo *result);

static void ask(struct query *query)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = query->family, .ai_socktype = SOCK_STREAM};

    ares_getaddrinfo(query->relay->resolver.channel, query->name, NULL, &hints, answer_from_ares,
                     query);
}

static size_t take_addresses(const struct query *query, const struct ares_addrinfo *result,
                             union address addresses[RESOLVED_MAX_ADDRESSES], int *ttl_s)
{
    size_t count = 0;

    for (const struct ares_addrinfo_node *node = result->nodes;
         node && count < RESOLVED_MAX_ADDRESSES; node = node->ai_next) {
        if (node->ai_family != query->family)
            continue;
        if (node->ai_family == AF_INET6)
            memcpy(&addresses[count].v6, node->ai_addr, sizeof addresses->v6);
        else
            memcpy(&addresses[count].v4, node->ai_addr, sizeof addresses->v4);
        address_set_port(&addresses[count++], query->port);
        if (node->ai_ttl < *ttl_s)
            *ttl_s = node->ai_ttl;
    }
    return count;
}

static void answer_from_ares(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct query *query = context;
    union address addresses[RESOLVED_MAX_ADDRESSES];
    int ttl_s = INT32_MAX;
    size_t count = 0;

    (void)timeouts; /* the dial has its own deadline */
    if (status == ARES_EDESTRUCTION) {
        ask(query);
        return;
    }
    if (status == ARES_SUCCESS)
        count = take_addresses(query, result, addresses, &ttl_s);
    if (result)
        ares_freeaddrinfo(result);
    query->answer(query->context, query->family, addresses, count, ttl_s,
                  status == ARES_SUCCESS ? "no address" : ares_strerror(status));
    free(query);
}

void resolver_query(struct relay *relay, const char *name, uint16_t port, int family,
                    resolver_answer *answer, void *context)
{
    struct query *query = malloc(sizeof *query);

    if (!query) {
        answer(context, family, NULL, 0, 0, "out of memory");
        return;
    }
    *query = (struct query){.relay = relay,
                            .name = name,
                            .port = port,
                            .family = family,
                            .answer = answer,
                            .context = context};
    follow_configuration(relay);
    ask(query);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct resolver_socket *ready = container_of(watch, struct resolver_socket, watch);
    ares_channel channel = ready->relay->resolver.channel;
    ares_socket_t fd = watch->fd;
    bool failed = events & (EPOLLERR | EPOLLHUP);

    ares_process_fd(channel, failed || (events & EPOLLIN) ? fd : ARES_SOCKET_BAD,
                    failed || (events & EPOLLOUT) ? fd : ARES_SOCKET_BAD);
}

int64_t resolver_wait_ms(struct relay *relay, int64_t limit_ms)
{
    struct timeval wait;

    if (!ares_timeout(relay->resolver.channel, NULL, &wait))
        return limit_ms;
    int64_t wait_ms = (int64_t)wait.tv_sec * 1000 + (wait.tv_usec + 999) / 1000;
    return limit_ms < 0 || wait_ms < limit_ms ? wait_ms : limit_ms;
}

void resolver_run_timeouts(struct relay *relay)
{
    ares_process_fd(relay->resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/*
 * c-ares refers to these for service names, which the relay does not use.  Without them here, the
 * static executable would take in the C library's, which load the machine's NSS modules.
 */
struct servent *getservbyname(const char *name, const char *protocol)
{
    (void)name;
    (void)protocol;
    return NULL;
}

int getservbyport_r(int port, const char *protocol, struct servent *entry, char *buffer,
                    size_t size, struct servent **result)
{
    (void)port;
    (void)protocol;
    (void)entry;
    (void)buffer;
    (void)size;
    *result = NULL;
    return ENOENT;
}
