/* SPDX-License-Identifier: MIT */
/* process_name.h: what the process list shows of a relay. */
#ifndef WIRE_PROCESS_NAME_H
#define WIRE_PROCESS_NAME_H

/*
 * What the process list shows of a relay that is a process of the machine: one of these names, of one
 * length, and its target.  By that it is found from other network namespaces (relay_search.c), for anybody
 * may read it.
 */
#define RELAY_NAME          "ssh-gate-relay"
#define RELAY_NAME_DRAINING "ssh-gate-drain" /* it has let the slug go */
#define RELAY_NAME_OPENER                                                                          \
    "ssh-gate-files" /* of its process for files (dns_opener.c), which nobody looks for */
#define RELAY_TARGET_PREFIX "native:"

#endif
