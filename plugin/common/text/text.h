/* SPDX-License-Identifier: MIT */
/* text.h: text in memory: written piece by piece, or formatted at once. */
#ifndef SIDECAR_TEXT_H
#define SIDECAR_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

struct text {
    FILE *stream; /* to write to; what fails there, text_close tells */
    char *buffer;
    size_t length;
};

/* False when memory ran out; then there is nothing to close. */
bool text_open(struct text *text);

/* What was written; malloc'ed; NULL if anything did not fit into memory. */
char *text_close(struct text *text);

/*
 * As printf(3) would write it; malloc'ed; NULL when memory ran out.  In place of asprintf(3), which may leave its
 * result undefined then.
 */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *text_format_arguments(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

#endif
