/* SPDX-License-Identifier: MIT */
/* tar.h: files as a tar archive in memory, and their hash; both by libarchive. */
#ifndef DOCKER_ENGINE_TAR_H
#define DOCKER_ENGINE_TAR_H

#include "engine/engine.h"

#define SHA256_TEXT_SIZE 65 /* hexadecimal, with NUL */

/*
 * The same files give the same bytes.
 * @bytes: out: malloc'ed
 */
enum bottle_result tar_write(const struct engine_file *files, size_t count, char **bytes,
                             size_t *length, struct failure *failure);

enum bottle_result tar_sha256(const void *bytes, size_t length, char text[SHA256_TEXT_SIZE],
                              struct failure *failure);

#endif
