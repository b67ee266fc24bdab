/* SPDX-License-Identifier: MIT */
/* config.c: see config.h. */
#include "relay/setup/config.h"

#include "common/process/fd_passing.h"
#include "relay/serve/relay.h"
#include "wire/setup_reply.h"

#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

bool raise_descriptor_limit(struct setup_reply *reply)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        if (!setrlimit(RLIMIT_NOFILE, &limit))
            return true;
    }
    return setup_fail_errno(reply, "the limit of descriptors");
}

bool check_descriptor_limit(const struct relay *relay, struct setup_reply *reply)
{
    size_t addresses = relay->config.has_listen_namespace ? 2 : relay->config.listen_address_count;
    size_t needed = RESERVED_DESCRIPTORS + relay->upstream_count * addresses + 2;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return setup_fail_errno(reply, "the limit of descriptors");
    return limit.rlim_cur >= needed ||
           setup_fail(
               reply, BOTTLE_UNAVAILABLE,
               "the hard limit of descriptors is %ju, and a gate for %zu upstreams needs %zu: "
               "raise it (ulimit -Hn) for the launcher",
               (uintmax_t)limit.rlim_cur, relay->upstream_count, needed);
}

bool receive_config(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    struct relay_config *config = &relay->config;
    int fds[FD_PASSING_MAX];
    size_t announced, count;

    ssize_t received = receive_with_fds(SETUP_FD, config, sizeof *config, fds, &count);
    if (received < 0)
        return setup_fail_errno(reply, "the config of the relay");
    if (received < (ssize_t)RELAY_CONFIG_LENGTH(1) ||
        config->upstream_count > RELAY_MAX_UPSTREAMS ||
        config->listen_address_count > RELAY_MAX_ADDRESSES ||
        received != (ssize_t)RELAY_CONFIG_LENGTH(config->upstream_count) ||
        config->dns_server_count > RELAY_MAX_DNS_SERVERS)
        return setup_fail(reply, BOTTLE_INTERNAL, "the relay was started without a config");

    announced = (config->has_listen_namespace ? 1u : 0u) +
                (config->has_egress_namespace ? 1u : 0u) + (config->has_takeover ? 1u : 0u);
    if (count != announced)
        return setup_fail(reply, BOTTLE_INTERNAL, "the relay got %zu descriptors in place of %zu",
                          count, announced);
    count = 0;
    given->listen_fd = config->has_listen_namespace ? fds[count++] : -1;
    given->egress_fd = config->has_egress_namespace ? fds[count++] : -1;
    given->takeover.fd = config->has_takeover ? fds[count] : -1;
    return true;
}

static bool is_own(const struct dialler *dialler, const union address *address)
{
    const struct relay *relay = container_of(dialler, struct relay, dialler);

    return relay->listens_where_it_dials && listeners_have(relay, address);
}

void use_config(struct relay *relay)
{
    const struct relay_config *config = &relay->config;
    struct dialler *dialler = &relay->dialler;

    dialler->loop = &relay->loop;
    dialler->log = &relay->log;
    dialler->buffer = relay->log.buffer = &relay->buffer;
    dialler->is_own = is_own;
    dialler_init(dialler, config);
    relay->upstream_count = config->upstream_count;
    for (size_t i = 0; i < relay->upstream_count; i++)
        relay->upstreams[i].destination = &dialler->destinations[i];
    relay->network_hold_fd = relay->network_users.fd = relay->launcher.fd = -1;
    relay->uid = geteuid();
    relay->log.max_bytes = config->event_log_max_bytes;
    relay->log.bytes_checked =
        (size_t)config->event_log_max_bytes; /* the log may have lines of an earlier run */
}
