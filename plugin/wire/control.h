/* SPDX-License-Identifier: MIT */
/*
 * control.h: what a running relay is asked, and the taking over from one.  SOCK_SEQPACKET, one struct a packet, in host
 * byte order: both ends run on one machine.
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
 */
#ifndef WIRE_CONTROL_H
#define WIRE_CONTROL_H

#include "wire/config.h"

#include <stdint.h>

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
