/* SPDX-License-Identifier: MIT */
/*
 * limit_names.h: the names of a relay's limits, the same in the start options, the relay's arguments, its
 * events and messages.
 */
#ifndef WIRE_LIMIT_NAMES_H
#define WIRE_LIMIT_NAMES_H

#include <stdint.h>

/* First those of all upstreams together, then, in the same order, those of each upstream. */
enum relay_limit {
    MAX_CONNECTIONS,
    MAX_PENDING_DIALS,
    MAX_DIALS_PER_SECOND,
    MAX_CONNECTIONS_PER_UPSTREAM,
    MAX_PENDING_DIALS_PER_UPSTREAM,
    MAX_DIALS_PER_SECOND_PER_UPSTREAM,
    RELAY_LIMITS,
};

/* The keys of RELAY_LIMIT, for lists of keys: in the order of strcmp(3). */
#define RELAY_LIMIT_KEYS                                                                           \
    "max_connections", "max_connections_per_upstream", "max_dials_per_second",                     \
        "max_dials_per_second_per_upstream", "max_pending_dials", "max_pending_dials_per_upstream"

#define RELAY_LIMIT_HIGHEST 1000000 /* the lowest is 1 */

struct relay_limit_option {
    const char *key;
    int32_t value; /* the default */
};

extern const struct relay_limit_option RELAY_LIMIT[RELAY_LIMITS];

#endif
