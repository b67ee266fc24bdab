/* SPDX-License-Identifier: MIT */
/* address.h: IPv4 and IPv6 addresses with ports, their text, and the sockets that use them. */
#ifndef RELAY_ADDRESS_H
#define RELAY_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv4 or IPv6 address with its port, a quarter of a sockaddr_storage. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
#define ADDRESS_TEXT_SIZE 56 /* "[IPv6]:port" */

socklen_t address_length(const union address *address);
void address_set_port(union address *address, uint16_t port);
/* "127.0.0.1:22", "[::1]:22" */
const char *address_text(const union address *address, char text[ADDRESS_TEXT_SIZE]);
/* False: text is not an IP address. */
bool address_from_literal(const char *text, uint16_t port, union address *address);
/* Whether the socket is bound to exactly this address. */
bool address_is_of(int fd, const union address *address);
/*
 * Makes a socket with TCP_NODELAY and keepalive, which ends an idle connection two minutes after its peer has
 * vanished (see serve/vanished.c for others).  Sockets accepted from a listening one inherit both (tcp(7)).
 * -1, with errno set, on failure.
 */
int tcp_socket(int family);

#endif
