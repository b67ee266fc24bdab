/* SPDX-License-Identifier: MIT */
/* lookup.h: one destination's name: hosts, then DNS with the search list, as resolv.conf(5) has it. */
#ifndef RELAY_LOOKUP_H
#define RELAY_LOOKUP_H

#include "relay/base/address.h"

#include <stddef.h>

struct destination;
struct dialler;
struct lookup;

/*
 * Called once for each family, AF_INET6 and AF_INET, in the order in which they are known.
 * count 0: error says why; it is the same for both if neither has any.
 */
typedef void lookup_answer(void *context, int family, const union address *addresses, size_t count,
                           int ttl_s, const char *error);

#define LOOKUP_ERROR_SIZE 240

/* NULL: out of memory.  The result is valid until both answers have come. */
struct lookup *lookup_new(struct dialler *dialler, const struct destination *destination,
                          lookup_answer *answer, void *context);
/* Starts the lookup; the answers may come before this returns. */
void lookup_start(struct lookup *lookup);
/* Cancels the lookup: no more answers come. */
void lookup_forget(struct lookup *lookup);
/* What a lookup that takes too long waits for: "DNS server 10.0.0.1 gave no answer". */
void lookup_describe(const struct lookup *lookup, char text[LOOKUP_ERROR_SIZE]);

/* Before the first. */
void lookups_init(struct dialler *dialler);

#endif
