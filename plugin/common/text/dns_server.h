/* SPDX-License-Identifier: MIT */
/*
 * dns_server.h: a DNS server as text, in the form of the start option dns_servers and of resolv.conf(5):
 *
 *     127.0.0.1    127.0.0.1:5353    ::1    [::1]:5353    fe80::1%eth0    [fe80::1%eth0]:5353
 */
#ifndef SIDECAR_DNS_SERVER_H
#define SIDECAR_DNS_SERVER_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define DNS_SERVER_TEXT_SIZE 72 /* "[IPv6%interface]:65535" */
#define DNS_SERVER_PORT      53

struct dns_server {
    int family; /* AF_INET or AF_INET6 */
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } address;
    char zone
        [IF_NAMESIZE]; /* the interface of a link-local address (RFC 4007), by name or number; "": none */
    uint16_t port;
};

/* False: text is not a DNS server; a link-local address must have a zone. */
bool dns_server_read(const char *text, struct dns_server *server);

bool dns_server_is(const struct dns_server *server, const struct dns_server *other);

/* Without the port if it is DNS_SERVER_PORT.  Returns text. */
const char *dns_server_text(const struct dns_server *server, char text[DNS_SERVER_TEXT_SIZE]);

#endif
