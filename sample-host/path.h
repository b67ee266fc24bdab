/* SPDX-License-Identifier: MIT */
/*
 * path.h: paths that are made of parts.
 */
#ifndef SAMPLE_HOST_PATH_H
#define SAMPLE_HOST_PATH_H

#include <limits.h>
#include <stdbool.h>

/* Formats a path; a path that is too long is an error. */
bool make_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
