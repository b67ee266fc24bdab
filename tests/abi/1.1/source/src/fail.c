/* SPDX-License-Identifier: MIT */
/* fail.c: messages, and what frees itself; see loader.h. */
#include "loader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* only read from: nothing is lost by a failure */
}

enum bottle_result loader_fail(char **message, enum bottle_result result, const char *format, ...)
{
    if (message == NULL)
        return result;

    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(message, format, arguments);
    va_end(arguments);
    if (length < 0) {
        *message = NULL; /* undefined after a failure */
        return result;
    }
    for (char *c = *message; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return result;
}

static enum bottle_result result_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return BOTTLE_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return BOTTLE_DENIED;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return BOTTLE_INTERNAL;
    default:
        return BOTTLE_INVALID;
    }
}

enum bottle_result loader_fail_system(char **message, const char *doing, const char *path)
{
    int error = errno;
    return loader_fail(message, result_of_errno(error),
                       "cannot %s %s: %s: check the path and who may read it", doing, path,
                       strerrordesc_np(error));
}

const char *bottle_result_name(enum bottle_result result)
{
    static const char *const names[] = {
        [BOTTLE_OK] = "ok",
        [BOTTLE_INVALID] = "invalid",
        [BOTTLE_CONFLICT] = "conflict",
        [BOTTLE_UNAVAILABLE] = "unavailable",
        [BOTTLE_TIMEOUT] = "timeout",
        [BOTTLE_DENIED] = "denied",
        [BOTTLE_NOT_FOUND] = "not found",
        [BOTTLE_UNSUPPORTED] = "unsupported",
        [BOTTLE_INTERNAL] = "internal",
    };
    size_t index = (size_t)result; /* a negative one is out of range as well */
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";
}
