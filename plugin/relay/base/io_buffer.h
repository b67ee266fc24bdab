/* SPDX-License-Identifier: MIT */
/*
 * io_buffer.h: the relay's only buffer, for data that is processed at once.  Nothing in it outlives a call, so all parts
 * of the relay share it.
 */
#ifndef RELAY_IO_BUFFER_H
#define RELAY_IO_BUFFER_H

#include <stddef.h>

#define IO_BUFFER_SIZE ((size_t)32 << 10)

struct io_buffer {
    char bytes[IO_BUFFER_SIZE];
};

#endif
