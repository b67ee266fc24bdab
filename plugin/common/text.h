/* SPDX-License-Identifier: MIT */
/* text.h: a text that is written piece by piece, in memory. */
#ifndef SIDECAR_TEXT_H
#define SIDECAR_TEXT_H

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

#endif
