/* SPDX-License-Identifier: MIT */
/* limit_names.c: see limit_names.h.  The defaults are far above normal use; they stop a runaway client. */
#include "wire/limit_names.h"

const struct relay_limit_option RELAY_LIMIT[RELAY_LIMITS] = {
    [MAX_CONNECTIONS] = {"max_connections", 16384},
    [MAX_PENDING_DIALS] = {"max_pending_dials", 1024},
    [MAX_DIALS_PER_SECOND] = {"max_dials_per_second", 2000},
    [MAX_CONNECTIONS_PER_UPSTREAM] = {"max_connections_per_upstream", 4096},
    [MAX_PENDING_DIALS_PER_UPSTREAM] = {"max_pending_dials_per_upstream", 512},
    [MAX_DIALS_PER_SECOND_PER_UPSTREAM] = {"max_dials_per_second_per_upstream", 1000},
};
