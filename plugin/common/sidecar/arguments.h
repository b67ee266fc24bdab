/* SPDX-License-Identifier: MIT */
/*
 * arguments.h: what a plugin asks of an argument struct before it acts on it (bottle/sidecar.h,
 * "Versions").  The host may have been built with an older or a newer version of that header.
 */
#ifndef SIDECAR_ARGUMENTS_H
#define SIDECAR_ARGUMENTS_H

#include "common/text/failure.h"

/*
 * False for a struct that is smaller than in version 1.0, whose last field was message: to be refused
 * with BOTTLE_INVALID before anything is written to it.
 */
#define arguments_are_whole(arguments) ((arguments) && BOTTLE_HAS((arguments), message))

/*
 * Refuses a host that asks for more than this plugin knows, and one whose bottle_host is too small.
 * @arguments: any of the argument structs, whole
 */
#define arguments_check(arguments, failure)                                                        \
    arguments_check_from((arguments), sizeof *(arguments), (arguments)->struct_size,               \
                         (arguments)->host, (failure))

/* BOTTLE_INVALID for a pointer argument that is missing. */
enum bottle_result arguments_require(const char *name, const char *value, struct failure *failure);

/* The end of every operation: hands the failure's text to the host, and returns result. */
enum bottle_result arguments_finish(enum bottle_result result, const struct failure *failure,
                                    char **message);

/* known_size: bytes of the struct as this plugin knows it; size: as the host does */
enum bottle_result arguments_check_from(const void *arguments, size_t known_size, size_t size,
                                        const struct bottle_host *host, struct failure *failure);

#endif
