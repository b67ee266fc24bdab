/* SPDX-License-Identifier: MIT */
/*
 * fail.c: reports errors, each as one line that cannot harm a terminal.
 */
#include "fail.h"

#include "print.h"

#include "common/text/failure.h"

#include <stdarg.h>
#include <stdio.h>

bool fail(const char *format, ...)
{
    struct failure failure;
    char text[2 * FAILURE_MESSAGE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_format(&failure, "%s", length < 0 ? format : text);
    print_line(stderr, "sample-host: %s", failure.message);
    return false;
}
