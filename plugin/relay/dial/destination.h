/* SPDX-License-Identifier: MIT */
/* destination.h: a host and port that the plan declares, and what is cached of the host's name. */
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
    struct resolution from_hosts; /* the name's addresses in /etc/hosts */
    struct resolution cached;     /* a recent answer of DNS, for bursts of dials */
};

#endif
