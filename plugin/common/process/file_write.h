/* SPDX-License-Identifier: MIT */
/* file_write.h: writing into a file in a host whose files may not grow over a limit. */
#ifndef SIDECAR_FILE_WRITE_H
#define SIDECAR_FILE_WRITE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes all bytes; false with errno set.  Over the limit RLIMIT_FSIZE the kernel sends SIGXFSZ, which ends a
 * process that does not expect it; here it is EFBIG alone, and no signal is left over.
 */
bool file_write(int fd, const void *bytes, size_t length);

#endif
