/* SPDX-License-Identifier: MIT */
/* process_name.h: the names by which a relay is found in the process list. */
#ifndef WIRE_PROCESS_NAME_H
#define WIRE_PROCESS_NAME_H

/*
 * The command line of a relay that is a process on the machine: one of these names, which have the same
 * length, and the target.  Any process can read it, so it serves to find the relay from other network
 * namespaces (native/relay_search.c).
 */
#define RELAY_NAME          "ssh-gate-relay"
#define RELAY_NAME_DRAINING "ssh-gate-drain" /* after it has released the slug */
#define RELAY_NAME_OPENER                                                                          \
    "ssh-gate-files" /* its process that opens files (relay/dial/dns_opener.c) */
#define RELAY_TARGET_PREFIX "native:"

#endif
