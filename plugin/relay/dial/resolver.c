/* SPDX-License-Identifier: MIT */
/*
 * resolver.c: c-ares inside the relay's loop.
 *
 * c-ares writes the questions, tries the servers in turn, repeats lost questions, switches to TCP and parses
 * the answers.  It says which of its sockets it wants watched (ares_init_options(3),
 * ARES_OPT_SOCK_STATE_CB) and when it wants to be called for its own timeouts (ares_timeout(3)).
 * The rest is done by the relay, so that all versions of c-ares behave alike, and none makes calls that the sandbox
 * forbids:
 *
 *   - files: it reads none; dns_files.c does
 *   - names: it is asked for whole names; lookup.c has the search list
 *   - servers: it knows them by number alone, as addresses that stand for them, and says which one a
 *     socket is for when it connects it.  So a server may have a zone, which c-ares has come to know only
 *     lately and by calls that the sandbox forbids
 *   - sockets: their calls are the functions below, which see the servers' answers as they come.  What
 *     c-ares reports when all servers have failed is another thing in each version
 *   - the cache: dial.c has one, of a second; that of c-ares 1.31 and later is off
 */

/* For ares_set_socket_functions(3): its successor exists only since c-ares 1.34, and it is kept there, too. */
#define CARES_NO_DEPRECATED

#include "relay/dial/resolver.h"

#include "relay/dial/dialler.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define TRIES 3 /* a server; c-ares doubles the wait each time (ares_init_options(3)) */

/* ---- which sockets are watched ---- */

/* The socket of fd; with -1 a free place; NULL if there is none. */
static struct resolver_socket *find_socket(struct dialler *dialler, ares_socket_t fd)
{
    for (size_t i = 0; i < RESOLVER_MAX_SOCKETS; i++)
        if (dialler->resolver.sockets[i].fd == fd)
            return &dialler->resolver.sockets[i];
    return NULL;
}

static void socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
    struct dialler *dialler = context;
    struct resolver_socket *of = find_socket(dialler, fd);
    uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);

    if (!of)
        return;
    bool was_watched = of->watch.fd >= 0;
    if (events == 0) {
        if (was_watched)
            loop_remove(dialler->loop, &of->watch);
        of->watch.fd = -1;
        return;
    }
    of->watch.fd = fd;
    if (was_watched ? loop_change(dialler->loop, &of->watch, events)
                    : loop_add(dialler->loop, &of->watch, events))
        of->watch.fd = -1; /* out of memory: that query times out */
}

static void socket_ready(struct watch *watch, uint32_t events)
{
    struct resolver_socket *ready = container_of(watch, struct resolver_socket, watch);
    ares_channel channel = ready->dialler->resolver.channel;
    ares_socket_t fd = watch->fd;
    bool failed = events & (EPOLLERR | EPOLLHUP);

    ares_process_fd(channel, failed || (events & EPOLLIN) ? fd : ARES_SOCKET_BAD,
                    failed || (events & EPOLLOUT) ? fd : ARES_SOCKET_BAD);
}

/* ---- what c-ares calls in place of socket(2) and so on ---- */

static ares_socket_t open_socket(int family, int type, int protocol, void *context)
{
    struct dialler *dialler = context;
    struct resolver_socket *place = find_socket(dialler, -1);

    if (!place) { /* there are more places than the servers can need */
        errno = EMFILE;
        return ARES_SOCKET_BAD;
    }
    place->fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    return place->fd;
}

static int close_socket(ares_socket_t fd, void *context)
{
    struct resolver_socket *of = find_socket(context, fd);

    if (of)
        of->fd = of->watch.fd = -1;
    return close(fd);
}

/*
 * The addresses that stand for the servers: 10.0.0.0 and fd00:: with the server's number as the last
 * byte.  The byte before it makes those of one list others than those of the list before, so that
 * c-ares keeps nothing of these.
 */
static int server_of(const struct sockaddr *stand_in)
{
    const union address *address = (const union address *)(const void *)stand_in;

    return stand_in->sa_family == AF_INET6 ? address->v6.sin6_addr.s6_addr[15]
                                           : (int)(ntohl(address->v4.sin_addr.s_addr) & 0xff);
}

static void make_stand_in(const struct resolver *resolver, int server, union address *address)
{
    memset(address, 0, sizeof *address);
    address->any.sa_family = (sa_family_t)resolver->conf.servers[server].family;
    if (address->any.sa_family == AF_INET6) {
        address->v6.sin6_addr.s6_addr[0] = 0xfd;
        address->v6.sin6_addr.s6_addr[14] = (uint8_t)resolver->generation;
        address->v6.sin6_addr.s6_addr[15] = (uint8_t)server;
    } else {
        address->v4.sin_addr.s_addr =
            htonl(10u << 24 | (resolver->generation & 0xff) << 8 | (uint32_t)server);
    }
    address_set_port(address, DNS_SERVER_PORT);
}

/* The number of an interface, which may be another one whenever it comes and goes; 0: there is none. */
static uint32_t find_zone(int fd, const char *zone)
{
    struct ifreq request = {0};

    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", zone);
    if (!ioctl(fd, SIOCGIFINDEX, &request))
        return (uint32_t)request.ifr_ifindex;
    return strspn(zone, "0123456789") == strlen(zone) ? (uint32_t)strtoul(zone, NULL, 10) : 0;
}

static int connect_to_server(int fd, const struct dns_server *server)
{
    union address address;

    memset(&address, 0, sizeof address);
    address.any.sa_family = (sa_family_t)server->family;
    if (server->family == AF_INET6)
        address.v6.sin6_addr = server->address.v6;
    else
        address.v4.sin_addr = server->address.v4;
    address_set_port(&address, server->port);
    if (server->zone[0]) {
        address.v6.sin6_scope_id = find_zone(fd, server->zone);
        if (address.v6.sin6_scope_id == 0) {
            errno = ENODEV;
            return -1;
        }
    }
    return connect(fd, &address.any, address_length(&address));
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *stand_in, ares_socklen_t length,
                          void *context)
{
    struct dialler *dialler = context;
    struct resolver_socket *of = find_socket(dialler, fd);
    int server = server_of(stand_in);

    (void)length;
    if (!of || (size_t)server >= dialler->resolver.conf.server_count) {
        errno = EINVAL;
        return -1;
    }
    of->server = server;
    if (!connect_to_server(fd, &dialler->resolver.conf.servers[server]))
        return 0;
    int error = errno;
    if (error != EINPROGRESS)
        dialler->resolver.user->unreachable(dialler, server, error);
    errno = error;
    return -1;
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *from, ares_socklen_t *from_length, void *context)
{
    struct dialler *dialler = context;
    const struct resolver_socket *of = find_socket(dialler, fd);
    ssize_t received = recvfrom(fd, buffer, size, flags, NULL, NULL);
    int error = errno;

    if (!of)
        return received;
    if (received > 0)
        dialler->resolver.user->answered(dialler, of->server, buffer, (size_t)received);
    else if (received < 0 && error != EAGAIN)
        dialler->resolver.user->unreachable(dialler, of->server, error);
    if (from && received >= 0) { /* the socket is connected, so nobody else sent it */
        union address stand_in;
        make_stand_in(&dialler->resolver, of->server, &stand_in);
        socklen_t length = address_length(&stand_in);
        memcpy(from, &stand_in, length < *from_length ? length : *from_length);
        *from_length = length;
    }
    errno = error;
    return received;
}

static ares_ssize_t send_to_server(ares_socket_t fd, const struct iovec *data, int count,
                                   void *context)
{
    struct dialler *dialler = context;
    const struct resolver_socket *of = find_socket(dialler, fd);
    const struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)data,
                                   .msg_iovlen = (size_t)count};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    int error = errno;

    if (of && sent < 0 && error != EAGAIN)
        dialler->resolver.user->unreachable(dialler, of->server, error);
    errno = error;
    return sent;
}

static const struct ares_socket_functions SOCKET_FUNCTIONS = {.asocket = open_socket,
                                                              .aclose = close_socket,
                                                              .aconnect = connect_socket,
                                                              .arecvfrom = receive,
                                                              .asendv = send_to_server};

/* ---- servers ---- */

static bool set_servers(struct dialler *dialler, char message[RELAY_MESSAGE_SIZE])
{
    struct resolver *resolver = &dialler->resolver;
    char servers[RESOLVER_MAX_SERVERS * ADDRESS_TEXT_SIZE];
    size_t length = 0;

    resolver->generation++;
    for (size_t i = 0; i < resolver->conf.server_count; i++) {
        union address stand_in;
        char text[ADDRESS_TEXT_SIZE];
        make_stand_in(resolver, (int)i, &stand_in);
        length += (size_t)snprintf(servers + length, sizeof servers - length, "%s%s",
                                   i > 0 ? "," : "", address_text(&stand_in, text));
    }
    int error = ares_set_servers_ports_csv(resolver->channel, servers);
    resolver->servers_pending = error != 0;
    if (error) {
        resolver->generation--;
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "c-ares does not take the DNS servers: %s",
                       ares_strerror(error));
    }
    return error == 0;
}

void resolver_use_servers(struct dialler *dialler)
{
    char message[RELAY_MESSAGE_SIZE];
    bool was_pending = dialler->resolver.servers_pending;

    /* c-ares changes its servers only while it asks nothing. */
    dialler->resolver.restarting = true;
    ares_cancel(dialler->resolver.channel);
    dialler->resolver.restarting = false;
    if (!set_servers(dialler, message) && !was_pending)
        event_notice(dialler->log, "resolver-unchanged", message);
    dialler->resolver.user->restarted(dialler);
}

bool resolver_configure(struct dialler *dialler, char message[RELAY_MESSAGE_SIZE])
{
    const struct relay_config *config = dialler->config;

    for (uint32_t i = 0; i < config->dns_server_count; i++) {
        if (!dns_server_read(config->dns_servers[i], &dialler->resolver.conf.servers[i])) {
            (void)snprintf(message, RELAY_MESSAGE_SIZE, "\"%s\" is no DNS server",
                           config->dns_servers[i]);
            return false;
        }
    }
    dialler->resolver.conf.server_count = config->dns_server_count;
    return true;
}

/* ---- the channel ---- */

/* Sets all that c-ares would otherwise read from the machine's configuration. */
static int make_channel(struct dialler *dialler)
{
    struct resolver *resolver = &dialler->resolver;
    char dns_only[] = "b", no_file[] = "/dev/null";
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES |
                                            (resolver->conf.use_vc ? ARES_FLAG_USEVC : 0),
                                   .timeout = dialler->config->resolve_timeout_ms / 5 + 1,
                                   .tries = TRIES,
                                   .lookups = dns_only,
                                   .resolvconf_path = no_file,
                                   .sock_state_cb = socket_state,
                                   .sock_state_cb_data = dialler};
    int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB |
                (resolver->conf.rotate ? ARES_OPT_ROTATE : ARES_OPT_NOROTATE);

#ifdef ARES_OPT_QUERY_CACHE
    given |= ARES_OPT_QUERY_CACHE; /* .qcache_max_ttl is 0: off */
#endif
    int error = ares_init_options(&resolver->channel, &options, given);
    if (!error)
        ares_set_socket_functions(resolver->channel, &SOCKET_FUNCTIONS, dialler);
    return error;
}

bool resolver_init(struct dialler *dialler, char message[RELAY_MESSAGE_SIZE])
{
    struct resolver *resolver = &dialler->resolver;

    for (size_t i = 0; i < RESOLVER_MAX_SOCKETS; i++)
        resolver->sockets[i] = (struct resolver_socket){
            .watch = {.fd = -1, .ready = socket_ready}, .dialler = dialler, .fd = -1};
    int error = make_channel(dialler);
    if (error) {
        (void)snprintf(message, RELAY_MESSAGE_SIZE, "c-ares cannot start: %s",
                       ares_strerror(error));
        return false;
    }
    return set_servers(dialler, message);
}

void resolver_ask(struct dialler *dialler, const char *name, int family,
                  ares_addrinfo_callback answer, void *context)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT, .ai_family = family, .ai_socktype = SOCK_STREAM};
    char whole[RELAY_HOST_SIZE + 1];

    (void)snprintf(whole, sizeof whole, "%s.", name);
    ares_getaddrinfo(dialler->resolver.channel, whole, NULL, &hints, answer, context);
}

int64_t resolver_wait_ms(struct dialler *dialler, int64_t limit_ms)
{
    struct timeval wait;

    if (!ares_timeout(dialler->resolver.channel, NULL, &wait))
        return limit_ms;
    int64_t wait_ms = (int64_t)wait.tv_sec * 1000 + (wait.tv_usec + 999) / 1000;
    return limit_ms < 0 || wait_ms < limit_ms ? wait_ms : limit_ms;
}

void resolver_run_timeouts(struct dialler *dialler)
{
    ares_process_fd(dialler->resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/*
 * c-ares refers to these for service names, which the relay does not use; which of them depends on its
 * version.  Without them here, the static executable would take in the C library's, which load the
 * machine's NSS modules.
 */
struct servent *getservbyname(const char *name, const char *protocol)
{
    (void)name;
    (void)protocol;
    return NULL;
}

int getservbyname_r(const char *name, const char *protocol, struct servent *entry, char *buffer,
                    size_t size, struct servent **result)
{
    (void)name;
    (void)protocol;
    (void)entry;
    (void)buffer;
    (void)size;
    *result = NULL;
    return ENOENT;
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
