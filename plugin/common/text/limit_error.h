/* SPDX-License-Identifier: MIT */
/* limit_error.h: the text of an error; where a limit of the host is reached, which one and what to do. */
#ifndef SIDECAR_LIMIT_ERROR_H
#define SIDECAR_LIMIT_ERROR_H

#define LIMIT_ERROR_SIZE 160

/* strerror(3)'s text, or that with the limit, in the caller's buffer.  Keeps errno. */
const char *limit_error(int error, char text[LIMIT_ERROR_SIZE]);

#endif
