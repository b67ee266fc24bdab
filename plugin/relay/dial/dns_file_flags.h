/* SPDX-License-Identifier: MIT */
/* dns_file_flags.h: how dns_files.c opens a file, which is all that the filter of its process allows. */
#ifndef RELAY_DNS_FILE_FLAGS_H
#define RELAY_DNS_FILE_FLAGS_H

#include <fcntl.h>

#define DNS_FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

#endif
