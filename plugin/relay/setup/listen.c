/* SPDX-License-Identifier: MIT */
/* listen.c: see listen.h. */
#include "relay/setup/listen.h"

#include "relay/serve/relay.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

_Static_assert(RELAY_MAX_ADDRESSES <= LISTENERS_PER_UPSTREAM,
               "an upstream has a listener on each address");

bool listener_fail(struct setup_reply *reply, const union address *address,
                   const struct relay_upstream_config *upstream, int error)
{
    char text[ADDRESS_TEXT_SIZE];

    (void)address_text(address, text);
    switch (error) {
    case EADDRINUSE:
        return setup_fail(
            reply, BOTTLE_CONFLICT,
            "%s (entry \"%s\") is taken: stop what listens there, or use another internal_network",
            text, upstream->alias);
    case EACCES:
        return setup_fail(
            reply, BOTTLE_DENIED,
            "%s (entry \"%s\"): this user may not listen on port %u; use a network namespace as "
            "internal_network, or lower the sysctl net.ipv4.ip_unprivileged_port_start",
            text, upstream->alias, upstream->listen_port);
    case EADDRNOTAVAIL:
        return setup_fail(
            reply, BOTTLE_UNAVAILABLE,
            "internal_network: no interface here has the address of %s (entry \"%s\")", text,
            upstream->alias);
    default:
        return setup_fail(reply, BOTTLE_INTERNAL, "cannot listen on %s (entry \"%s\"): %s", text,
                          upstream->alias, strerror(error));
    }
}

/*
 * Binds to the interface, too, as a host accepts packets for any of its addresses on any interface
 * (RFC 1122 §3.3.4.2).  Before Linux 5.7 this needs CAP_NET_RAW; without it only the address is bound.
 */
static bool hear_only(int fd, const char *interface)
{
    return interface[0] == '\0' ||
           !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) ||
           errno == EPERM;
}

int listener_make(const union address *address, const char *interface)
{
    static const int on = 1;
    int fd = tcp_socket(address->any.sa_family);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (address->any.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on)) ||
        !hear_only(fd, interface) || bind(fd, &address->any, address_length(address)) ||
        listen(fd, SOMAXCONN)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The old relay's socket, or a new one. */
static bool listen_on_address(struct relay *relay, struct takeover *takeover,
                              const struct relay_listen_address *listen, struct setup_reply *reply)
{
    for (size_t i = 0; i < relay->upstream_count; i++) {
        const struct relay_upstream_config *upstream = &relay->config.upstreams[i];
        union address address;
        if (!address_from_literal(listen->address, upstream->listen_port, &address))
            return setup_fail(reply, BOTTLE_INVALID, "internal_network: \"%s\" is no IP address",
                              listen->address);
        int fd = takeover_listener(takeover, &address);
        if (fd < 0)
            fd = listener_make(&address, listen->interface);
        if (fd < 0)
            return listener_fail(reply, &address, upstream, errno);
        listener_add(relay, i, &address, fd);
    }
    return true;
}

bool listen_on_addresses(struct relay *relay, struct takeover *takeover, struct setup_reply *reply)
{
    for (size_t i = 0; i < relay->config.listen_address_count; i++)
        if (!listen_on_address(relay, takeover, &relay->config.listen_addresses[i], reply))
            return false;
    return true;
}
