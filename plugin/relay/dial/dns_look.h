/* SPDX-License-Identifier: MIT */
/* dns_look.h: checking whether the two files of dns_files.h have changed. */
#ifndef RELAY_DNS_LOOK_H
#define RELAY_DNS_LOOK_H

#include <stdbool.h>

struct dialler;

/*
 * Called before a name is looked up: checks the files, unless that was done within the last second.  True: the process
 * that opens them (dns_opener.h) was asked, and the lookup must wait until resolver.looked is called.
 */
bool dns_look_must_wait(struct dialler *dialler);

#endif
