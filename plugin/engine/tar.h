/* SPDX-License-Identifier: MIT */
/* tar.h: making tar archives in memory, and SHA-256; both with libarchive. */
#ifndef ENGINE_TAR_H
#define ENGINE_TAR_H

#include "common/text/failure.h"
#include "engine/file.h"

#define SHA256_TEXT_SIZE 65 /* hexadecimal, with NUL */

/*
 * Makes an archive of the files.  The same files give the same bytes.
 * @bytes: out: malloc'ed
 */
enum bottle_result tar_write(const struct engine_file *files, size_t count, char **bytes,
                             size_t *length, struct failure *failure);

enum bottle_result tar_sha256(const void *bytes, size_t length, char text[SHA256_TEXT_SIZE],
                              struct failure *failure);

#endif
