/* SPDX-License-Identifier: MIT */
/*
 * files.h: paths, and text files that are read whole.
 */
#ifndef SAMPLE_HOST_FILES_H
#define SAMPLE_HOST_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Formats a path; a path that is too long is an error. */
bool make_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads a regular file of at most max_bytes without NUL.
 * @dir_fd:   the directory that a relative name starts from, or AT_FDCWD
 * @optional: a missing file is no error
 * @text:     out: malloc'ed; NULL if there is no such file
 */
bool read_text_file(int dir_fd, const char *name, size_t max_bytes, bool optional, char **text);

#endif
