/* SPDX-License-Identifier: MIT */
/*
 * print.c: text for terminals.
 *
 * Names, addresses, states and messages come from manifests, plugins, engines and peers.  What is printed
 * through these functions cannot harm a terminal: of each character that a terminal acts on, or that turns
 * the direction of the text, only its number is shown.
 */
#include "print.h"

#include "common/cleanup.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <stdarg.h>
#include <string.h>

static void print_arguments(FILE *to, const char *format, va_list arguments)
{
    CLEANUP_FREE char *text = text_format_arguments(format, arguments);
    const size_t size = text ? strlen(text) * strlen("\\xff") + 1 : 0;
    CLEANUP_FREE char *harmless = text ? malloc(size) : NULL;

    if (!harmless) {
        (void)fputs("(out of memory)", to);
        return;
    }
    copy_harmless(harmless, size, text);
    (void)fputs(harmless, to);
}

void print_line(FILE *to, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_arguments(to, format, arguments);
    va_end(arguments);
    (void)fputc('\n', to);
}

void print_part(FILE *to, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_arguments(to, format, arguments);
    va_end(arguments);
}
