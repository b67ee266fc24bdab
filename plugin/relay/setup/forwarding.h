/* SPDX-License-Identifier: MIT */
/* forwarding.h: a relay in a container does not serve where the kernel forwards. */
#ifndef RELAY_SETUP_FORWARDING_H
#define RELAY_SETUP_FORWARDING_H

#include "wire/config.h"
#include "wire/setup_reply.h"

#include <stdbool.h>

/* False, with reply filled in, if the config wants the kernel to forward nothing and it does. */
bool forwarding_refuse(const struct relay_config *config, struct setup_reply *reply);

#endif
