/* SPDX-License-Identifier: MIT */
/* dns_look.h: when the two files of dns_files.h are looked at, and by whom. */
#ifndef RELAY_DNS_LOOK_H
#define RELAY_DNS_LOOK_H

#include <stdbool.h>

struct dialler;

/*
 * Before a name is looked up: looks at the files, if that was not done within the last second.  True if the process
 * that opens them was asked to (dns_opener.h): then the lookup has to wait until resolver.looked is called.
 */
bool dns_look_must_wait(struct dialler *dialler);

#endif
