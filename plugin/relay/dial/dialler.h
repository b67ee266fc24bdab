/* SPDX-License-Identifier: MIT */
/*
 * dialler.h: the state that all dials share.
 *
 *   dial.c        one dial: addresses of both families raced as in RFC 8305
 *   lookup.c      one name: hosts, then DNS with the search list, as resolv.conf(5) has it
 *   resolver.c    the questions to the DNS servers: c-ares inside the relay's loop
 *   dns_files.c   what /etc/hosts and /etc/resolv.conf say
 *   dns_opener.c  the process that opens those two for a relay that can open nothing
 *
 * In dial/ belongs what leads from a destination's name to a connected socket.  What knows a client, a connection or
 * a limit does not belong here; the result of a dial is passed to a callback.
 *
 * ssh_gate(7) ("NAME RESOLUTION") says what a user may expect of it.
 */
#ifndef RELAY_DIALLER_H
#define RELAY_DIALLER_H

#include "relay/base/event_log.h"
#include "relay/base/io_buffer.h"
#include "relay/base/loop.h"
#include "relay/dial/destination.h"
#include "relay/dial/resolver.h"
#include "wire/config.h"
#include "wire/message_size.h"

struct dialler {
    struct loop *loop;
    struct event_log *log;
    struct io_buffer *buffer;          /* for reading files */
    const struct relay_config *config; /* timeouts, DNS servers, the egress namespace */
    /* Whether the relay itself listens on the address, so that dialling it would be an endless loop. */
    bool (*is_own)(const struct dialler *dialler, const union address *address);
    size_t destination_count;
    struct destination destinations[RELAY_MAX_UPSTREAMS];
    struct timer_queue family_timers, attempt_timers, look_timers, resolve_timers, dial_timers;
    struct resolver resolver;
};

/* The first call.  The arguments must outlive the dialler; the loop need not be initialised yet. */
void dialler_init(struct dialler *dialler, const struct relay_config *config);

/*
 * Once there is a loop.
 * @invalid: out: the DNS servers of the config are not what they should be
 * Returns false, with a message, when names cannot be looked up.
 */
bool dialler_watch(struct dialler *dialler, bool *invalid, char message[RELAY_MESSAGE_SIZE]);

#endif
