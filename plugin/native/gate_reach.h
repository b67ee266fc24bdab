/* SPDX-License-Identifier: MIT */
/*
 * gate_reach.h: finding a relay that is not found by its control socket here, and connecting to it where that is.
 * native_gate.h says who reaches what.
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

/* A relay that has just begun has no control socket yet, which takes it some milliseconds. */
#define BEGIN_TRIES    50
#define BEGIN_PAUSE_MS 20

/* Those of this user, or else, of an instance, those of others: anybody can take a name that is not his. */
struct relays {
    struct relay_process list[RELAYS_MAX];
    size_t count;
    bool is_full; /* there are more */
};

void relays_close(struct relays *relays);
#define CLEANUP_RELAYS __attribute__((cleanup(relays_close)))

bool relay_is_own(const struct relay_process *relay);

/*
 * relays: out: one at least, and of a slug one that has it first, if any has.
 * BOTTLE_DENIED: the target is a slug that only others have.
 */
enum bottle_result relays_find(const struct target *of, struct relays *relays,
                               struct failure *failure);

/* why: may be empty */
enum bottle_result relay_fail_unreachable(const struct relay_process *relay, const char *why,
                                          struct failure *failure);

/* Connects to what was not found by its socket: of those of others, the first that answers as itself. */
enum bottle_result relay_connect(const struct target *of, struct control_link *link,
                                 struct failure *failure);

#endif
