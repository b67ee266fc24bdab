/* SPDX-License-Identifier: MIT */
/*
 * gate_reach.h: finding a relay whose control socket is not in this network namespace, and connecting to it.
 * native_gate.h says which gates a caller can reach.
 */
#ifndef SSH_GATE_GATE_REACH_H
#define SSH_GATE_GATE_REACH_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"
#include "native/relay_search.h"
#include "wire/control_client.h"

#include <stdbool.h>
#include <stddef.h>

#define RELAYS_MAX 64

/* A relay that has just started needs some milliseconds to make its control socket. */
#define BEGIN_TRIES    50
#define BEGIN_PAUSE_MS 20

/*
 * The relays of this user; or, if there are none and the target has an instance, those of other users.  There may
 * be several, as any process can give itself the name of a relay.
 */
struct relays {
    struct relay_process list[RELAYS_MAX];
    size_t count;
    bool is_full; /* there are more */
};

void relays_close(struct relays *relays);
#define CLEANUP_RELAYS __attribute__((cleanup(relays_close)))

bool relay_is_own(const struct relay_process *relay);

/*
 * BOTTLE_DENIED: the target has no instance, and only other users run a gate of that slug.
 * @relays: out: at least one; first one that holds the slug, if any does
 */
enum bottle_result relays_find(const struct target *of, struct relays *relays,
                               struct failure *failure);

/* Sets the failure of a relay that cannot be reached.  why: may be "" */
enum bottle_result relay_fail_unreachable(const struct relay_process *relay, const char *why,
                                          struct failure *failure);

/*
 * Connects to the control socket of a relay, wherever it is.  Of the processes of other users it takes the first that
 * is found to own the socket of its name.
 */
enum bottle_result relay_connect(const struct target *of, struct control_link *link,
                                 struct failure *failure);

#endif
