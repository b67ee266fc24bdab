/* SPDX-License-Identifier: MIT */
/*
 * control.h: the protocols of requests to a running relay and of a takeover.  Both are over SOCK_SEQPACKET, with one
 * struct in each packet, in host byte order, as both ends run on one machine.
 *
 * Control, over a listening socket in the abstract name space (unix(7)), which ends with the relay and
 * belongs to the launcher's network namespace, where the agent cannot reach it:
 *
 *     client → relay   struct control_request
 *     relay → client   struct control_reply, for status followed by its JSON text in the same
 * packet
 *
 * The client may be another build of the plugin, so requests have a version.  Both ends check the user
 * of the other with SO_PEERCRED.
 *
 * Takeover.  A relay that starts may take over from one that runs (relay/setup/takeover.c is the new
 * relay's end, relay/serve/takeover_offer.c the old one's).  The plugin opens a control connection to the
 * old relay, sends CONTROL_TAKEOVER, and passes that connection to the new relay with its config:
 *
 *     old → new   struct handover, one or more, with descriptors (SCM_RIGHTS): the claim on the slug
 *                 (below), in a container a descriptor that holds its network, the launcher process with
 *                 which the old relay ends, if any (pidfd_open(2)), then every listening socket.  Or a
 *                 refusal: struct control_reply with a result and, from builds that know takeovers, a text
 *     new → old   struct control_request, CONTROL_COMMIT, when the new relay is ready to serve and its
 *                 plugin has told it to go on.  End of file instead: it gave up
 *     old → new   struct control_reply: the old relay agrees.  Then end of file: it accepts no connections
 *                 any more
 *
 * In between both relays have the sockets, and the old one serves until it has sent its last reply.  So the
 * kernel queues a client at any moment, and one of the two accepts it.  If that reply cannot be sent,
 * because the new relay has ended or has given up waiting, the old one does not commit and keeps serving.
 * If the packets of a takeover ever change, CONTROL_TAKEOVER must get a new number; a relay refuses an
 * operation that it does not know.
 */
#ifndef WIRE_CONTROL_H
#define WIRE_CONTROL_H

#include "wire/config.h"

#include <stdint.h>

/*
 * The names of control sockets in the abstract name space, without the leading NUL.  The first is the claim on
 * the slug, which the relay that serves it holds; the second is that of one relay as long as it runs.
 */
#define CONTROL_NAME_OF_SLUG     "ssh_gate/%u/%s"    /* uid, slug */
#define CONTROL_NAME_OF_INSTANCE "ssh_gate/%u/%s/%s" /* uid, slug, instance */

#define CONTROL_VERSION 1

enum control_operation {
    CONTROL_STATUS = 1,
    CONTROL_STOP = 2, /* the answer is end of file, when the relay has ended */
    CONTROL_DRAIN = 3,
    /* 4 was a takeover that did not hand over the launcher process */
    CONTROL_COMMIT = 5, /* on a connection on which CONTROL_TAKEOVER was sent */
    CONTROL_YIELD = 6,  /* drain and release the slug: another gate has taken over already */
    CONTROL_TAKEOVER = 7,
};

struct control_request {
    uint32_t version;
    uint32_t operation;
    int64_t grace_ms; /* for CONTROL_DRAIN; negative: no limit */
};

struct control_reply {
    uint32_t version;
    int32_t result; /* enum bottle_result */
};

struct handover {
    struct control_reply reply;
    uint32_t fds_left;                      /* in packets after this one */
    uint32_t has_network_hold;              /* a descriptor, after the claim */
    uint32_t has_launcher;                  /* a descriptor, after that */
    int32_t launcher_pid;                   /* for messages */
    uint64_t network_device, network_inode; /* the namespace that the sockets listen in (stat(2)) */
};

/* More than any status: for each upstream two host names, a message, and counters of 20 digits. */
#define CONTROL_MAX_STATUS (RELAY_MAX_UPSTREAMS * 1440 + 4096)

#endif
