/* SPDX-License-Identifier: MIT */
/*
 * failure.c: see failure.h.
 *
 * A message is formatted first and made safe afterwards, so no caller needs to escape the values in it.
 */
#include "common/text/failure.h"

#include "common/text/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void failure_format(struct failure *failure, const char *format, ...)
{
    /* Longer than a message, so that a UTF-8 sequence that is cut at the end of this never gets into one. */
    char text[2 * FAILURE_MESSAGE_SIZE];
    int error = errno;
    va_list arguments;

    va_start(arguments, format);
    /* clang-tidy 14 errs from the second time on that it reads one source, here for the relay. */
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    copy_harmless(failure->message, sizeof failure->message, length < 0 ? format : text);
    errno = error;
}

enum bottle_result result_of_errno(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return BOTTLE_DENIED;
    case EADDRINUSE:
    case EBUSY:
    case EEXIST:
    case ENOTEMPTY:
        return BOTTLE_CONFLICT;
    case ETIMEDOUT:
        return BOTTLE_TIMEOUT;
    case EINVAL:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENOTDIR:
        return BOTTLE_INVALID;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ECONNREFUSED:
    case ECONNRESET:
    case EDQUOT:
    case EFBIG:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENETUNREACH:
    case ENODEV:
    case ENOENT:
    case ENOSPC:
    case ENOSYS:
    case ENXIO:
    case EOPNOTSUPP:
    case EPIPE:
    case ESRCH:
        return BOTTLE_UNAVAILABLE;
    default:
        return BOTTLE_INTERNAL;
    }
}

enum bottle_result result_of_refusal(int32_t number)
{
    return number > BOTTLE_OK && number <= BOTTLE_INTERNAL ? (enum bottle_result)number
                                                           : BOTTLE_INTERNAL;
}
