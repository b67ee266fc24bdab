/* SPDX-License-Identifier: MIT */
/* forwarding.h: a relay in a container refuses to serve if the kernel forwards packets. */
#ifndef RELAY_SETUP_FORWARDING_H
#define RELAY_SETUP_FORWARDING_H

#include "wire/config.h"
#include "wire/setup_reply.h"

#include <stdbool.h>

/* False, with reply filled in, if config.refuses_forwarding and the kernel forwards. */
bool forwarding_refuse(const struct relay_config *config, struct setup_reply *reply);

#endif
