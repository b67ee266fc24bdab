/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h: what the fuzz targets share.
 *
 * A target is one file: LLVMFuzzerTestOneInput() of libFuzzer, which feeds one parser and then checks
 * what must hold whatever the bytes were.  `./dev fuzz` links it with libFuzzer; everywhere else it is
 * linked with replay.c, which runs the inputs of its corpus (corpus/TARGET).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "common/text/failure.h"
#include "common/text/json_text.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What does not hold ends the run, and the input is kept. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__,           \
                          #condition);                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* NUL-terminated, malloc'ed, of exactly that size, so that a read beyond it is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* Whatever failed says so in one line that can be shown to anybody. */
static inline void require_message(const struct failure *failure)
{
    size_t length = strnlen(failure->message, sizeof failure->message);

    REQUIRE(length > 0 && length < sizeof failure->message);
    REQUIRE(text_is_printable(failure->message, length));
}

#endif
