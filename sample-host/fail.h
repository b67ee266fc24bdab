/* SPDX-License-Identifier: MIT */
/*
 * fail.h: reports an error.
 *
 * In sample-host, a function that returns a bool has reported the error when it returns false.
 */
#ifndef SAMPLE_HOST_FAIL_H
#define SAMPLE_HOST_FAIL_H

#include <stdbool.h>

/* Prints "sample-host: MESSAGE", as one harmless line, on standard error.  Returns false. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
