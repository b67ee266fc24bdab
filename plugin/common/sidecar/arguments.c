/* SPDX-License-Identifier: MIT */
/* arguments.c: see arguments.h. */
#include "common/sidecar/arguments.h"

#include <string.h>

enum bottle_result arguments_check_from(const void *arguments, size_t known_size, size_t size,
                                        const struct bottle_host *host, struct failure *failure)
{
    const unsigned char *bytes = arguments;

    for (size_t i = known_size; i < size; i++)
        if (bytes[i] != 0)
            return failure_set(failure, BOTTLE_UNSUPPORTED,
                               "the launcher asks for something that sidecar ABI %u.%u does not "
                               "have (byte %zu of its arguments): use a newer plugin",
                               BOTTLE_SIDECAR_ABI_MAJOR, BOTTLE_SIDECAR_ABI_MINOR, i);
    if (host && !BOTTLE_HAS(host, log_context))
        return failure_set(failure, BOTTLE_INVALID,
                           "host has a struct_size of %zu, which is less than in sidecar ABI 1.0: "
                           "set it to sizeof(struct bottle_host)",
                           host->struct_size);
    return BOTTLE_OK;
}

enum bottle_result arguments_require(const char *name, const char *value, struct failure *failure)
{
    return value ? BOTTLE_OK : failure_set(failure, BOTTLE_INVALID, "%s is NULL", name);
}

enum bottle_result arguments_finish(enum bottle_result result, const struct failure *failure,
                                    char **message)
{
    *message = result == BOTTLE_OK ? NULL : strdup(failure->message);
    return result;
}
