/* SPDX-License-Identifier: MIT */
/*
 * config.h: the config of a relay, sent as a struct by the plugin that starts it (setup_reply.h), or in a container
 * passed as the arguments of its program (command_line.h).
 *
 * The struct is in host byte order, as both ends run on one machine.  It has no version, as the plugin that sends it
 * carries this relay inside itself.  It is not JSON, so the relay needs no JSON parser.
 *
 * In wire/ belongs each end of the protocols between our own processes, and the relay's program as the plugin
 * carries it.  What knows a bottle or a connection does not belong here.
 */
#ifndef WIRE_CONFIG_H
#define WIRE_CONFIG_H

#include "wire/limit_names.h"
#include "wire/message_size.h"

#include <stddef.h>
#include <stdint.h>

#define RELAY_MAX_UPSTREAMS   128
#define RELAY_MAX_DNS_SERVERS 4
#define RELAY_HOST_SIZE       254
#define RELAY_SLUG_SIZE       41
#define RELAY_INSTANCE_SIZE   32
#define RELAY_ADDRESS_SIZE    46  /* INET6_ADDRSTRLEN */
#define RELAY_INTERFACE_SIZE  16  /* IFNAMSIZ */
#define RELAY_MAX_ADDRESSES   2   /* one of each family */
#define RELAY_DNS_SERVER_SIZE 72  /* DNS_SERVER_TEXT_SIZE */
#define RELAY_NETNS_NAME_SIZE 256 /* NAME_MAX */

/* The launcher process with which the relay ends, by the option exit_with_launcher, which may be absent. */
enum relay_launcher {
    LAUNCHER_AS_BEFORE = 0, /* that of the relay that is taken over; else none */
    LAUNCHER_FOLLOWED =
        1, /* that of the relay that is taken over, if it has one; else who started this one */
    LAUNCHER_IGNORED = 2,
};

struct relay_upstream_config {
    char alias[RELAY_HOST_SIZE];
    char host[RELAY_HOST_SIZE];
    uint16_t listen_port;
    uint16_t port;
};

struct relay_listen_address {
    char address[RELAY_ADDRESS_SIZE];
    /* Only connections through this interface are accepted; "": through any. */
    char interface[RELAY_INTERFACE_SIZE];
};

struct relay_config {
    char slug[RELAY_SLUG_SIZE];
    char instance[RELAY_INSTANCE_SIZE];
    /* Where to listen; none: loopback of the namespace that comes as a descriptor. */
    uint32_t listen_address_count;
    struct relay_listen_address listen_addresses[RELAY_MAX_ADDRESSES];
    uint8_t has_listen_namespace; /* the three descriptors, if sent, come in this order */
    uint8_t has_egress_namespace;
    char egress_netns
        [RELAY_NETNS_NAME_SIZE]; /* ip-netns(8): its files in /etc/netns are used; "": none */
    uint8_t has_takeover;        /* a control connection on which CONTROL_TAKEOVER was sent */
    /* In a container: the instance to take over from; empty: none. */
    char takeover_instance[RELAY_INSTANCE_SIZE];
    uint8_t holds_network; /* the network ends with this relay: it was made for its container */
    uint8_t launcher;      /* enum relay_launcher */
    uint8_t sandbox_required;
    uint8_t
        refuses_forwarding; /* in a container: refuses to serve if the kernel forwards packets */
    int32_t resolve_timeout_ms;
    int32_t dial_timeout_ms;
    int32_t identification_timeout_ms;
    int32_t event_log_max_bytes;
    int32_t limits[RELAY_LIMITS]; /* by enum relay_limit */
    uint32_t dns_server_count;    /* 0: as /etc/resolv.conf says */
    char dns_servers[RELAY_MAX_DNS_SERVERS][RELAY_DNS_SERVER_SIZE];
    uint32_t upstream_count;
    struct relay_upstream_config
        upstreams[RELAY_MAX_UPSTREAMS]; /* only upstream_count of them are sent */
};

#define RELAY_CONFIG_LENGTH(upstream_count)                                                        \
    (offsetof(struct relay_config, upstreams) +                                                    \
     (upstream_count) * sizeof(struct relay_upstream_config))

#endif
