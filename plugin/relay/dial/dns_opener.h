/* SPDX-License-Identifier: MIT */
/* dns_opener.h: the process that opens /etc/hosts and /etc/resolv.conf for a relay that can open nothing. */
#ifndef RELAY_DNS_OPENER_H
#define RELAY_DNS_OPENER_H

#include <stdbool.h>

struct dialler;

/*
 * Makes the process, early, while the relay has nothing yet that it could keep.  If that fails, an event says so.
 * @confine: called in that process, with context, before it opens anything; false: it must not go on
 */
void dns_opener_start(struct dialler *dialler, bool (*confine)(void *context), void *context);
/* Once there is a loop; false with errno set. */
bool dns_opener_watch(struct dialler *dialler);
/* False: there is none, or it does not listen. */
bool dns_opener_ask(struct dialler *dialler);
/* Returns when it has ended; there may be none. */
void dns_opener_stop(struct dialler *dialler);

#endif
