/* SPDX-License-Identifier: MIT */
/* claim.h: the names of the control socket, one of which is the claim on the slug (wire/control.h). */
#ifndef RELAY_SETUP_CLAIM_H
#define RELAY_SETUP_CLAIM_H

#include "relay/setup/takeover.h"

#include <stdbool.h>

struct relay;

/* Binds them, or takes the claim from a takeover.  False, with reply filled in. */
bool claim_slug(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

#endif
