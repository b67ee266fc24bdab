/* SPDX-License-Identifier: MIT */
/*
 * protocol.h: what the plugin and the relay say to each other.
 *
 * A relay that runs as a process of the launcher's machine has two conversations, both over
 * SOCK_SEQPACKET, one struct a packet, in host byte order: both ends run on one machine.  No JSON comes
 * into the relay, so it has no parser for it; what it puts out is JSON.
 *
 * Set-up, over a socket pair that the relay inherits as descriptor SETUP_FD:
 *
 *     plugin → relay   struct relay_config, with the descriptors that it announces (SCM_RIGHTS)
 *     relay → plugin   struct setup_reply: every port listens, or why not
 *     plugin → relay   one byte: go on.  End of file instead: the launcher died or gave up; leave
 *                      nothing
 *     relay → plugin   struct setup_reply: it serves; or, of a takeover, why it could not complete
 *
 * The config comes from the plugin that carries this very relay inside itself, so it has no
 * version.  A relay in a container gets the same struct as command-line arguments (arguments.c), in
 * plain text, so that the engine shows to anybody what the gate may reach; its event line "started"
 * is the word that it serves, "start-failed" says why not, and is followed by some seconds in which the
 * log can be read: engines remove a container together with its log.  One that takes over says "ready"
 * first, and waits for the signal SIGUSR1: go on.
 *
 * Control, over a listening socket in the abstract name space (unix(7)), which vanishes with the
 * relay and belongs to the launcher's network namespace, out of an agent's reach:
 *
 *     client → relay   struct control_request
 *     relay → client   struct control_reply, for status followed by its JSON text in the same
 * packet
 *
 * Another build of the plugin may be at the other end, so it has a version.  Both ends check the
 * other's user with SO_PEERCRED.
 *
 * Takeover.  A relay that starts may take the place of one that runs (takeover.c).  The plugin opens
 * a control connection to the old relay, asks CONTROL_TAKEOVER, and hands that connection to the new
 * relay with its config:
 *
 *     old → new   struct handover, as often as it takes: the claim on the slug (below), in a container
 *                 the hold on its network (takeover.c), the process that the old relay ends with, if there
 *                 is one (pidfd_open(2)), then every listening socket (SCM_RIGHTS).  Or
 *                 struct control_reply with a result and, from builds that know takeovers, a text: it
 *                 refuses
 *     new → old   struct control_request, CONTROL_COMMIT, when the new relay is ready to serve and its
 *                 plugin has said "go on".  End of file instead: it gave up
 *     old → new   struct control_reply: the old relay lets go.  Then end of file: it accepts nothing more
 *
 * Both share the sockets meanwhile, and the old one serves on until it has sent its last word: so a
 * client is queued by the kernel at every moment, and accepted by one of the two.  A relay that cannot
 * send that word, because the new one has gone or waits no longer, has not committed and serves on.
 * Should the packets of a takeover ever change, CONTROL_TAKEOVER gets another number: a relay
 * refuses an operation that it does not know.
 *
 * What belongs in wire/: both ends of what our own processes say to each other, and the relay as the plugin
 * carries it.  Nothing here knows a bottle or a connection.
 */
#ifndef RELAY_PROTOCOL_H
#define RELAY_PROTOCOL_H

#include "wire/limit_names.h"

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
#define RELAY_MESSAGE_SIZE    400

/* Descriptors that the relay starts with, beside 0 and 1 (/dev/null) and 2 (event lines). */
#define SETUP_FD 3

/* Which process the relay ends with: the option exit_with_launcher, which may be absent. */
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
    /* Only what comes in through this interface is heard; empty: whichever has the address. */
    char interface[RELAY_INTERFACE_SIZE];
};

struct relay_config {
    char slug[RELAY_SLUG_SIZE];
    char instance[RELAY_INSTANCE_SIZE];
    /* Where to listen; none: loopback of the namespace that comes as a descriptor. */
    uint32_t listen_address_count;
    struct relay_listen_address listen_addresses[RELAY_MAX_ADDRESSES];
    uint8_t has_listen_namespace; /* descriptors come in this order */
    uint8_t has_egress_namespace;
    char egress_netns[RELAY_NETNS_NAME_SIZE]; /* of ip-netns(8), whose files count; empty: none */
    uint8_t has_takeover; /* a control connection that has asked CONTROL_TAKEOVER */
    /* In a container: the instance to take over from; empty: none. */
    char takeover_instance[RELAY_INSTANCE_SIZE];
    uint8_t holds_network; /* the network ends with this relay: it was made for its container */
    uint8_t launcher;      /* enum relay_launcher */
    uint8_t sandbox_required;
    uint8_t
        refuses_forwarding; /* in a container: does not serve where the kernel forwards packets */
    int32_t resolve_timeout_ms;
    int32_t dial_timeout_ms;
    int32_t identification_timeout_ms;
    int32_t event_log_max_bytes;
    int32_t limits[RELAY_LIMITS]; /* by enum relay_limit */
    uint32_t dns_server_count;    /* 0: as /etc/resolv.conf says */
    char dns_servers[RELAY_MAX_DNS_SERVERS][RELAY_DNS_SERVER_SIZE];
    uint32_t upstream_count;
    struct relay_upstream_config upstreams[RELAY_MAX_UPSTREAMS]; /* sent as far as they are used */
};

#define RELAY_CONFIG_LENGTH(upstream_count)                                                        \
    (offsetof(struct relay_config, upstreams) +                                                    \
     (upstream_count) * sizeof(struct relay_upstream_config))

struct setup_reply {
    int32_t result;                   /* enum bottle_result */
    char message[RELAY_MESSAGE_SIZE]; /* with BOTTLE_OK: a warning, or empty */
};

/*
 * What the process list shows of a relay that is a process of the machine: one of these names, of one
 * length, and its target.  By that it is found from other network namespaces (relay_search.c), for anybody
 * may read it.
 */
#define RELAY_NAME          "ssh-gate-relay"
#define RELAY_NAME_DRAINING "ssh-gate-drain" /* it has let the slug go */
#define RELAY_NAME_OPENER                                                                          \
    "ssh-gate-files" /* of its process for files (dns_opener.c), which nobody looks for */
#define RELAY_TARGET_PREFIX "native:"

/*
 * Names in the abstract name space, without the leading NUL.  The first is the claim on the slug,
 * held by the relay that serves it; the second belongs to one relay as long as it lives.
 */
#define CONTROL_NAME_OF_SLUG     "ssh_gate/%u/%s"    /* uid, slug */
#define CONTROL_NAME_OF_INSTANCE "ssh_gate/%u/%s/%s" /* uid, slug, instance */

#define CONTROL_VERSION 1

enum control_operation {
    CONTROL_STATUS = 1,
    CONTROL_STOP = 2, /* answered by end of file, when the relay is gone */
    CONTROL_DRAIN = 3,
    /* 4 was a takeover that left the launcher behind */
    CONTROL_COMMIT = 5, /* on a connection that has asked CONTROL_TAKEOVER */
    CONTROL_YIELD = 6,  /* drain, and let the slug go: another gate stands in its place already */
    CONTROL_TAKEOVER = 7,
};

struct control_request {
    uint32_t version;
    uint32_t operation;
    int64_t grace_ms; /* drain; negative: no bound */
};

struct control_reply {
    uint32_t version;
    int32_t result; /* enum bottle_result */
};

struct handover {
    struct control_reply reply;
    uint32_t fds_left;                      /* in packets after this one */
    uint32_t has_network_hold;              /* one comes, behind the claim */
    uint32_t has_launcher;                  /* one comes, behind that */
    int32_t launcher_pid;                   /* its number, for people */
    uint64_t network_device, network_inode; /* the namespace that the sockets listen in (stat(2)) */
};

/* A status is shorter: upstreams × (two host names, a message and counters, each of 20 digits). */
#define CONTROL_MAX_STATUS (RELAY_MAX_UPSTREAMS * 1440 + 4096)

#endif
