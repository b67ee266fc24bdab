/* SPDX-License-Identifier: MIT */
/*
 * command_line_read.c: the relay's end of its command line in a container.
 *
 *     ssh-gate-relay serve --slug SLUG --instance INSTANCE --listen SUBNET [--listen SUBNET]...
 *         --upstream ALIAS,LISTEN_PORT,HOST,PORT [--upstream ...]... [--dns-server ADDRESS]...
 *         --resolve-timeout-ms N --dial-timeout-ms N --identification-timeout-ms N
 *         --limit NAME=N ... (each of limit_names.h)
 *         [--sandbox required] [--forwarding refused] [--takeover INSTANCE]
 *
 * The arguments are plain text, so that an engine's `inspect` shows what the gate may reach.  The plugin
 * has checked the values; here it is only checked that they fit into struct relay_config.
 *
 * With --takeover the container shares its network with the container of INSTANCE.  Without it the
 * network was made for this container and ends with it.
 *
 * The engine chooses a container's addresses, and may choose others when it restarts the container.  So
 * --listen names a subnet of the internal network, in which the relay finds its own address and the
 * interface.  It listens only there, so that nobody on another network of the container can use the gate.
 */
#include "wire/command_line.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
    SLUG,
    INSTANCE,
    LISTEN,
    UPSTREAM_ENTRY,
    DNS_SERVER,
    RESOLVE_TIMEOUT,
    DIAL_TIMEOUT,
    IDENTIFICATION_TIMEOUT,
    LIMIT,
    SANDBOX,
    FORWARDING,
    TAKEOVER,
    OPTION_COUNT,
};

static const char *const OPTIONS[OPTION_COUNT] = {
    [SLUG] = ARGUMENT_SLUG,
    [INSTANCE] = ARGUMENT_INSTANCE,
    [LISTEN] = ARGUMENT_LISTEN,
    [UPSTREAM_ENTRY] = ARGUMENT_UPSTREAM,
    [DNS_SERVER] = ARGUMENT_DNS_SERVER,
    [RESOLVE_TIMEOUT] = ARGUMENT_RESOLVE_TIMEOUT,
    [DIAL_TIMEOUT] = ARGUMENT_DIAL_TIMEOUT,
    [IDENTIFICATION_TIMEOUT] = ARGUMENT_IDENTIFICATION_TIMEOUT,
    [LIMIT] = ARGUMENT_LIMIT,
    [SANDBOX] = ARGUMENT_SANDBOX,
    [FORWARDING] = ARGUMENT_FORWARDING,
    [TAKEOVER] = ARGUMENT_TAKEOVER,
};

static bool fail(char message[RELAY_MESSAGE_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool fail(char message[RELAY_MESSAGE_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    /* clang-tidy 14 errs from the second time on that it reads one source, here for its test. */
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    (void)vsnprintf(message, RELAY_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* Copies length bytes of text; false: there are none, or they do not fit. */
static bool take_text(char *to, size_t size, const char *text, size_t length)
{
    if (length == 0 || length >= size)
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

static bool take_number(const char *text, long minimum, long maximum, long *number)
{
    char *end;

    errno = 0;
    *number = strtol(text, &end, 10);
    return !errno && end != text && *end == '\0' && *number >= minimum && *number <= maximum;
}

static bool take_timeout(const char *text, int32_t *timeout_ms)
{
    long number;

    if (!take_number(text, 1, INT32_MAX, &number))
        return false;
    *timeout_ms = (int32_t)number;
    return true;
}

static bool take_port(const char *text, uint16_t *port)
{
    long number;

    if (!take_number(text, 1, UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

/* ALIAS,LISTEN_PORT,HOST,PORT: none of them can contain a comma. */
static bool take_upstream(struct relay_config *config, const char *text)
{
    char copy[UPSTREAM_TEXT_SIZE];
    char *rest = copy;

    if (config->upstream_count == RELAY_MAX_UPSTREAMS ||
        !take_text(copy, sizeof copy, text, strlen(text)))
        return false;
    const char *alias = strsep(&rest, ",");
    const char *listen_port = strsep(&rest, ",");
    const char *host = strsep(&rest, ",");
    struct relay_upstream_config *upstream = &config->upstreams[config->upstream_count++];
    return rest && take_text(upstream->alias, sizeof upstream->alias, alias, strlen(alias)) &&
           take_port(listen_port, &upstream->listen_port) &&
           take_text(upstream->host, sizeof upstream->host, host, strlen(host)) &&
           take_port(rest, &upstream->port);
}

static bool take_dns_server(struct relay_config *config, const char *text)
{
    return config->dns_server_count < RELAY_MAX_DNS_SERVERS &&
           take_text(config->dns_servers[config->dns_server_count++], RELAY_DNS_SERVER_SIZE, text,
                     strlen(text));
}

/* NAME=N */
static bool take_limit(struct relay_config *config, const char *text)
{
    size_t length = strcspn(text, "=");
    long number;

    for (size_t i = 0; i < RELAY_LIMITS && text[length] == '='; i++) {
        if (strlen(RELAY_LIMIT[i].key) != length || strncmp(RELAY_LIMIT[i].key, text, length) != 0)
            continue;
        if (!take_number(text + length + 1, 1, RELAY_LIMIT_HIGHEST, &number))
            return false;
        config->limits[i] = (int32_t)number;
        return true;
    }
    return false;
}

/* ---- --listen ---- */

struct subnet {
    int family; /* AF_INET or AF_INET6 */
    unsigned char base[sizeof(struct in6_addr)];
    unsigned prefix;
};

static bool parse_subnet(const char *text, struct subnet *subnet)
{
    char address[RELAY_ADDRESS_SIZE];
    const char *slash = strchr(text, '/');
    long prefix;

    if (!slash || !take_text(address, sizeof address, text, (size_t)(slash - text)))
        return false;
    subnet->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(subnet->family, address, subnet->base) != 1 ||
        !take_number(slash + 1, 1, subnet->family == AF_INET ? 32 : 128, &prefix))
        return false;
    subnet->prefix = (unsigned)prefix;
    return true;
}

static bool is_in(const struct subnet *subnet, const unsigned char *address)
{
    unsigned whole = subnet->prefix / 8, bits = subnet->prefix % 8;

    return memcmp(subnet->base, address, whole) == 0 &&
           (bits == 0 || (subnet->base[whole] ^ address[whole]) >> (8 - bits) == 0);
}

static bool add_address(struct relay_config *config, int family, const unsigned char *address,
                        const char *interface)
{
    if (config->listen_address_count == RELAY_MAX_ADDRESSES)
        return false;
    struct relay_listen_address *listen = &config->listen_addresses[config->listen_address_count++];
    return inet_ntop(family, address, listen->address, sizeof listen->address) &&
           take_text(listen->interface, sizeof listen->interface, interface, strlen(interface));
}

/* Adds the first address that this container has in the subnet, if it has one. */
static bool take_subnet(struct relay_config *config, const char *text,
                        const struct ifaddrs *own_addresses)
{
    struct subnet subnet;

    if (!parse_subnet(text, &subnet))
        return false;
    for (const struct ifaddrs *own = own_addresses; own; own = own->ifa_next) {
        unsigned char address[sizeof(struct in6_addr)];
        if (!own->ifa_addr || own->ifa_addr->sa_family != subnet.family)
            continue;
        if (subnet.family == AF_INET)
            memcpy(address, (const char *)own->ifa_addr + offsetof(struct sockaddr_in, sin_addr),
                   sizeof(struct in_addr));
        else
            memcpy(address, (const char *)own->ifa_addr + offsetof(struct sockaddr_in6, sin6_addr),
                   sizeof(struct in6_addr));
        if (is_in(&subnet, address))
            return add_address(config, subnet.family, address, own->ifa_name);
    }
    return true;
}

/* ---- all arguments ---- */

static bool take(struct relay_config *config, enum option_kind option, const char *value,
                 const struct ifaddrs *own_addresses)
{
    switch (option) {
    case SLUG:
        return take_text(config->slug, sizeof config->slug, value, strlen(value));
    case INSTANCE:
        return take_text(config->instance, sizeof config->instance, value, strlen(value));
    case LISTEN:
        return take_subnet(config, value, own_addresses);
    case UPSTREAM_ENTRY:
        return take_upstream(config, value);
    case DNS_SERVER:
        return take_dns_server(config, value);
    case RESOLVE_TIMEOUT:
        return take_timeout(value, &config->resolve_timeout_ms);
    case DIAL_TIMEOUT:
        return take_timeout(value, &config->dial_timeout_ms);
    case IDENTIFICATION_TIMEOUT:
        return take_timeout(value, &config->identification_timeout_ms);
    case LIMIT:
        return take_limit(config, value);
    case SANDBOX:
        config->sandbox_required = strcmp(value, "required") == 0;
        return config->sandbox_required;
    case FORWARDING:
        config->refuses_forwarding = strcmp(value, "refused") == 0;
        return config->refuses_forwarding;
    case TAKEOVER:
        return take_text(config->takeover_instance, sizeof config->takeover_instance, value,
                         strlen(value));
    default:
        return false;
    }
}

static enum option_kind find_option(const char *text)
{
    enum option_kind option = 0;

    while (option < OPTION_COUNT && strcmp(text, OPTIONS[option]) != 0)
        option++;
    return option;
}

static bool read_all(int count, char **arguments, struct relay_config *config,
                     const struct ifaddrs *own_addresses, char message[RELAY_MESSAGE_SIZE])
{
    for (int i = 0; i < count; i += 2) {
        const char *value = i + 1 < count ? arguments[i + 1] : "";
        if (!take(config, find_option(arguments[i]), value, own_addresses))
            return fail(message, "argument %s: \"%s\" is not what it takes", arguments[i], value);
    }
    return true;
}

static bool is_complete(const struct relay_config *config)
{
    for (size_t i = 0; i < RELAY_LIMITS; i++)
        if (config->limits[i] == 0)
            return false;
    return config->slug[0] && config->instance[0] && config->upstream_count > 0 &&
           config->resolve_timeout_ms > 0 && config->dial_timeout_ms > 0 &&
           config->identification_timeout_ms > 0;
}

bool arguments_read(int count, char **arguments, struct relay_config *config,
                    char message[RELAY_MESSAGE_SIZE])
{
    struct ifaddrs *own_addresses;

    config->event_log_max_bytes = INT32_MAX; /* the engine limits the size of its log itself */
    if (getifaddrs(&own_addresses))
        return fail(message, "getifaddrs: %s", strerror(errno));
    bool read = read_all(count, arguments, config, own_addresses, message);
    freeifaddrs(own_addresses);
    if (!read)
        return false;
    config->holds_network = config->takeover_instance[0] == '\0';
    if (!is_complete(config))
        return fail(message, "an argument is missing: slug, instance, upstream, a timeout or a "
                             "limit");
    if (config->listen_address_count == 0)
        return fail(message, "this container has no address in any subnet of the internal network");
    return true;
}
