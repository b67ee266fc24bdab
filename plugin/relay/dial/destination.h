/* SPDX-License-Identifier: MIT */
/* destination.h: what a plan declares to be dialled, and what is known of its name. */
#ifndef RELAY_DESTINATION_H
#define RELAY_DESTINATION_H

#include "relay/base/address.h"
#include "wire/config.h"

#include <stddef.h>
#include <stdint.h>

#define RESOLVED_MAX_ADDRESSES 16

struct resolution {
    size_t count;
    int64_t expires_ms;
    union address addresses[RESOLVED_MAX_ADDRESSES];
};

struct destination {
    const struct relay_upstream_config *config;
    struct resolution from_hosts; /* what /etc/hosts says of the name */
    struct resolution cached;     /* an answer of DNS that is still fresh, for bursts of dials */
};

#endif
