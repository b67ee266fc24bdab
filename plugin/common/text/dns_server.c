/* SPDX-License-Identifier: MIT */
/* dns_server.c: see dns_server.h. */
#include "common/text/dns_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name or number of an interface; stricter than the kernel. */
static bool is_zone(const char *text)
{
    size_t length =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && length < IF_NAMESIZE && text[length] == '\0';
}

/* host: without brackets and port; changed. */
static bool read_v6(char *host, struct dns_server *server)
{
    char *zone = strchr(host, '%');

    server->family = AF_INET6;
    if (zone) {
        *zone++ = '\0';
        if (!is_zone(zone))
            return false;
        (void)snprintf(server->zone, sizeof server->zone, "%s", zone);
    }
    return inet_pton(AF_INET6, host, &server->address.v6) == 1 &&
           (zone || !IN6_IS_ADDR_LINKLOCAL(&server->address.v6));
}

static bool read_port(const char *text, uint16_t *port)
{
    size_t length = strlen(text);
    long number = length <= 5 ? strtol(text, NULL, 10) : 0;

    *port = (uint16_t)number;
    return strspn(text, "0123456789") == length && number >= 1 && number <= UINT16_MAX;
}

bool dns_server_read(const char *text, struct dns_server *server)
{
    char copy[DNS_SERVER_TEXT_SIZE], *host = copy, *port = NULL;

    *server = (struct dns_server){.family = AF_INET, .port = DNS_SERVER_PORT};
    if (strlen(text) >= sizeof copy)
        return false;
    memcpy(copy, text, strlen(text) + 1);
    if (*host == '[') {
        char *end = strchr(++host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        return (!port || read_port(port, &server->port)) && read_v6(host, server);
    }
    char *colon = strchr(host, ':');
    if (colon && strchr(colon + 1, ':'))
        return read_v6(host, server);
    if (colon) {
        *colon = '\0';
        port = colon + 1;
    }
    return (!port || read_port(port, &server->port)) &&
           inet_pton(AF_INET, host, &server->address.v4) == 1;
}

bool dns_server_is(const struct dns_server *server, const struct dns_server *other)
{
    return server->family == other->family && server->port == other->port &&
           strcmp(server->zone, other->zone) == 0 &&
           memcmp(&server->address, &other->address,
                  server->family == AF_INET6 ? sizeof server->address.v6
                                             : sizeof server->address.v4) == 0;
}

const char *dns_server_text(const struct dns_server *server, char text[DNS_SERVER_TEXT_SIZE])
{
    bool has_port = server->port != DNS_SERVER_PORT, is_v6 = server->family == AF_INET6;
    char address[INET6_ADDRSTRLEN], port[sizeof ":65535"] = "";

    (void)inet_ntop(server->family, &server->address, address, sizeof address);
    if (has_port)
        (void)snprintf(port, sizeof port, ":%u", server->port);
    (void)snprintf(text, DNS_SERVER_TEXT_SIZE, "%s%s%s%s%s%s", is_v6 && has_port ? "[" : "",
                   address, server->zone[0] ? "%" : "", server->zone, is_v6 && has_port ? "]" : "",
                   port);
    return text;
}
