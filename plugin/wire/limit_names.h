/* SPDX-License-Identifier: MIT */
/*
 * relay_limits.h: the limits that a relay keeps, one name for each wherever it is named: start options, the
 * relay's arguments, events and messages.
 */
#ifndef SSH_GATE_RELAY_LIMITS_H
#define SSH_GATE_RELAY_LIMITS_H

#include <stdint.h>

/* Of all upstreams together, then of each; in the same order. */
enum relay_limit {
    MAX_CONNECTIONS,
    MAX_PENDING_DIALS,
    MAX_DIALS_PER_SECOND,
    MAX_CONNECTIONS_PER_UPSTREAM,
    MAX_PENDING_DIALS_PER_UPSTREAM,
    MAX_DIALS_PER_SECOND_PER_UPSTREAM,
    RELAY_LIMITS,
};

/* For lists of keys; as RELAY_LIMIT has them. */
#define RELAY_LIMIT_KEYS                                                                           \
    "max_connections", "max_connections_per_upstream", "max_dials_per_second",                     \
        "max_dials_per_second_per_upstream", "max_pending_dials", "max_pending_dials_per_upstream"

#define RELAY_LIMIT_HIGHEST 1000000 /* the lowest is 1 */

struct relay_limit_option {
    const char *key;
    int32_t value; /* unless it is given */
};

extern const struct relay_limit_option RELAY_LIMIT[RELAY_LIMITS];

#endif
