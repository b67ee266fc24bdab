/* SPDX-License-Identifier: MIT */
/* text.h: building text in memory, piece by piece or at once. */
#ifndef SIDECAR_TEXT_H
#define SIDECAR_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct text {
    FILE *stream; /* to write to; text_close() reports errors */
    char *buffer;
    size_t length;
};

/* False: out of memory; then text_close() must not be called. */
bool text_open(struct text *text);

/* Returns what was written, malloc'ed; NULL: out of memory. */
char *text_close(struct text *text);

/*
 * Formats as printf(3) does; malloc'ed; NULL: out of memory, in which case asprintf(3) would leave its result
 * undefined.
 */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_format_arguments(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

#endif
