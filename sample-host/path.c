/* SPDX-License-Identifier: MIT */
/*
 * path.c: paths that are made of parts.
 */
#include "path.h"

#include "fail.h"

#include <stdarg.h>
#include <stdio.h>

bool make_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return (length >= 0 && length < PATH_MAX) || fail("the path %.200s… is too long", path);
}
