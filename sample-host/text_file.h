/* SPDX-License-Identifier: MIT */
/*
 * text_file.h: reads text files as a whole.
 */
#ifndef SAMPLE_HOST_TEXT_FILE_H
#define SAMPLE_HOST_TEXT_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads a regular file of at most max_bytes without NUL.
 * @dir_fd:   the directory that a relative name starts from, or AT_FDCWD
 * @optional: a missing file is no error
 * @text:     out: malloc'ed; NULL if there is no such file
 */
bool read_text_file(int dir_fd, const char *name, size_t max_bytes, bool optional, char **text);

#endif
