/* SPDX-License-Identifier: MIT */
/* dns_opener.h: the process that opens /etc/hosts and /etc/resolv.conf for the relay in its sandbox. */
#ifndef RELAY_DNS_OPENER_H
#define RELAY_DNS_OPENER_H

#include <stdbool.h>

struct dialler;

/*
 * Makes the process.  Called early, so that it inherits as little as possible.  If it fails, an event says so.
 * @confine: called in that process, with context, before it opens anything; false: it must not go on
 */
void dns_opener_start(struct dialler *dialler, bool (*confine)(void *context), void *context);
/* Once there is a loop; false with errno set. */
bool dns_opener_watch(struct dialler *dialler);
/* Sends a request.  False: there is no process, or it does not read. */
bool dns_opener_ask(struct dialler *dialler);
/* Ends the process, if there is one, and returns when it has ended. */
void dns_opener_stop(struct dialler *dialler);

#endif
