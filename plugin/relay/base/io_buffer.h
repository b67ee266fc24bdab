/* SPDX-License-Identifier: MIT */
/*
 * io_buffer.h: the relay's one buffer, for what is read and passed on, or looked through, at once.  It holds nothing
 * between two calls, so whoever needs it borrows it.
 */
#ifndef RELAY_IO_BUFFER_H
#define RELAY_IO_BUFFER_H

#include <stddef.h>

#define IO_BUFFER_SIZE ((size_t)32 << 10)

struct io_buffer {
    char bytes[IO_BUFFER_SIZE];
};

#endif
