/* SPDX-License-Identifier: MIT */
/* file_write.h: writing a file without SIGXFSZ in a host with a limit on the size of files. */
#ifndef SIDECAR_FILE_WRITE_H
#define SIDECAR_FILE_WRITE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes all bytes; false, with errno set, on failure.  A write beyond RLIMIT_FSIZE fails with EFBIG; the signal
 * SIGXFSZ, which would end the host, is not delivered.
 */
bool file_write(int fd, const void *bytes, size_t length);

#endif
