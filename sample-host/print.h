/* SPDX-License-Identifier: MIT */
/*
 * print.h: prints text for people, harmless to their terminals.
 */
#ifndef SAMPLE_HOST_PRINT_H
#define SAMPLE_HOST_PRINT_H

#include <stdio.h>

/*
 * Print a line, or a part of one without its newline.  Harmful characters (utf8.h) in the arguments are
 * written as \xNN.
 */
void print_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_part(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
