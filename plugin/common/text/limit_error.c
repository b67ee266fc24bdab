/* SPDX-License-Identifier: MIT */
/* limit_error.c: see limit_error.h; setrlimit(2) has the limits. */
#include "common/text/limit_error.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    int error;
    __rlimit_resource_t resource;
    const char *what, *remedy;
} LIMITS[] = {
    {EMFILE, RLIMIT_NOFILE, "descriptors", "ulimit -n"},
    {EFBIG, RLIMIT_FSIZE, "bytes in a file", "ulimit -f"},
};

const char *limit_error(int error, char text[LIMIT_ERROR_SIZE])
{
    struct rlimit limit;

    for (size_t i = 0; i < sizeof LIMITS / sizeof LIMITS[0]; i++) {
        if (LIMITS[i].error != error || getrlimit(LIMITS[i].resource, &limit))
            continue;
        (void)snprintf(text, LIMIT_ERROR_SIZE,
                       "%s: the host may have %ju %s: raise that limit (%s)", strerror(error),
                       (uintmax_t)limit.rlim_cur, LIMITS[i].what, LIMITS[i].remedy);
        return text;
    }
    return strerror(error);
}
