/* SPDX-License-Identifier: MIT */
/* limit_error.h: the text of an errno value; if it is due to a resource limit, with the limit and a remedy. */
#ifndef SIDECAR_LIMIT_ERROR_H
#define SIDECAR_LIMIT_ERROR_H

#define LIMIT_ERROR_SIZE 160

/* The text of strerror(3), or in the caller's buffer that with the limit.  Keeps errno. */
const char *limit_error(int error, char text[LIMIT_ERROR_SIZE]);

#endif
