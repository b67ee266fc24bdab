/* SPDX-License-Identifier: MIT */
/*
 * resolver.c: c-ares inside the relay's loop.
 *
 * c-ares says which of its sockets it wants watched (ares_init_options(3), ARES_OPT_SOCK_STATE_CB)
 * and when it wants to be called for its own timeouts (ares_timeout(3)).  It asks the servers of
 * /etc/resolv.conf, or those that the start options name, and nothing but DNS: /etc/hosts is read
 * by dns_files.c, because the sandbox lets c-ares open no file.
 */
#include "relay.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define TRIES 3 /* a server; c-ares doubles the wait each time (ares_init_options(3)) */

struct query {
    struct relay *relay;
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

static void socket_ready(struct watch *watch, uint32_t events);

static bool set_servers(struct relay *relay, char message[RELAY_MESSAGE_SIZE])
{
    struct resolver *resolver = &relay->resolver;
    int error = ares_set_servers_ports_csv(resolver->channel, resolver->servers);

    if (error)
        (void)snprintf(message, RELAY_MESSAGE_SIZE,
                       "c-ares does not take the DNS servers %.256s: %s", resolver->servers,
                       ares_strerror(error));
    return error == 0;
}

static void add_server_port(struct resolver *resolver, uint16_t port)
{
    if (resolver->server_port_count < RESOLVER_MAX_SERVERS)
        resolver->server_ports[resolver->server_port_count++] = port;
}

static bool use_configured_servers(struct relay *relay, char message[RELAY_MESSAGE_SIZE])
{
    struct resolver *resolver = &relay->resolver;
    struct ares_addr_port_node *servers;
    size_t length = 0;

    for (uint32_t i = 0; i < relay->config.dns_server_count; i++)
        length += (size_t)snprintf(resolver->servers + length, sizeof resolver->servers - length,
                                   "%s%s", i > 0 ? "," : "", relay->config.dns_servers[i]);
    if (!set_servers(relay, message))
        return false;
    if (ares_get_servers_ports(resolver->channel, &servers)) {
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "c-ares: out of memory");
        return false;
    }
    for (const struct ares_addr_port_node *server = servers; server; server = server->next)
        add_server_port(resolver, server->tcp_port ? (uint16_t)server->tcp_port : NAMESERVER_PORT);
    ares_free_data(servers);
    return true;
}

bool resolver_init(struct relay *relay, char message[RELAY_MESSAGE_SIZE])
{
    struct resolver *resolver = &relay->resolver;
    char dns_only[] = "b";
    struct ares_options options = {.timeout = relay->config.resolve_timeout_ms / 5 + 1,
                                   .tries = TRIES,
                                   .lookups = dns_only,
                                   .sock_state_cb = socket_state,
                                   .sock_state_cb_data = relay};
    int error = ares_init_options(&resolver->channel, &options,
                                  ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                      ARES_OPT_SOCK_STATE_CB);

    if (error) {
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "c-ares cannot start: %s",
                       ares_strerror(error));
        return false;
    }
    for (size_t i = 0; i < RESOLVER_MAX_SOCKETS; i++)
        resolver->sockets[i] =
            (struct resolver_socket){.watch = {.fd = -1, .ready = socket_ready}, .relay = relay};
    dns_file_open(&resolver->hosts, "/etc/hosts");
    resolver->resolv_conf.fd = -1;
    if (relay->config.dns_server_count > 0)
        return use_configured_servers(relay, message);
    dns_file_open(&resolver->resolv_conf, "/etc/resolv.conf");
    (void)dns_file_changed(relay, &resolver->resolv_conf); /* c-ares has just read it */
    add_server_port(resolver, NAMESERVER_PORT);
    return true;
}

void resolver_follow_files(struct relay *relay)
{
    struct resolver *resolver = &relay->resolver;
    char message[RELAY_MESSAGE_SIZE];

    if (dns_file_changed(relay, &resolver->hosts))
        dns_files_read_hosts(relay);
    if (dns_file_changed(relay, &resolver->resolv_conf)) {
        dns_files_read_servers(relay);
        resolver->servers_changed = resolver->servers[0] != '\0';
    }
    if (resolver->servers_changed && resolver->queries == 0) {
        resolver->servers_changed = false;
        if (!set_servers(relay, message))
            event_notice(relay, "resolver-unchanged", message);
    }
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
    query->relay->resolver.queries--;
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
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM};
    struct query *query = malloc(sizeof *query);

    if (!query) {
        answer(context, family, NULL, 0, 0, "out of memory");
        return;
    }
    *query = (struct query){
        .relay = relay, .port = port, .family = family, .answer = answer, .context = context};
    relay->resolver.queries++;
    ares_getaddrinfo(relay->resolver.channel, name, NULL, &hints, answer_from_ares, query);
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
