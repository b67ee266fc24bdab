/* SPDX-License-Identifier: MIT */
/*
 * arguments.h: checking the argument struct of an operation (bottle/sidecar.h, "Versions").  The host may
 * have been built with an older or a newer version of that header.
 */
#ifndef SIDECAR_ARGUMENTS_H
#define SIDECAR_ARGUMENTS_H

#include "common/text/failure.h"

/*
 * False: the struct is smaller than in version 1.0, whose last field is message.  Such a struct must be refused
 * with BOTTLE_INVALID, without writing to it.
 */
#define arguments_are_whole(arguments) ((arguments) && BOTTLE_HAS((arguments), message))

/*
 * Refuses a host that asks for more than this plugin knows, and one whose bottle_host is too small.
 * @arguments: any of the argument structs, whole
 */
#define arguments_check(arguments, failure)                                                        \
    arguments_check_from((arguments), sizeof *(arguments), (arguments)->struct_size,               \
                         (arguments)->host, (failure))

/* BOTTLE_INVALID if the pointer is NULL. */
enum bottle_result arguments_require(const char *name, const char *value, struct failure *failure);

/* Ends an operation: copies the failure's text for the host, and returns result. */
enum bottle_result arguments_finish(enum bottle_result result, const struct failure *failure,
                                    char **message);

/* known_size: the size of the struct in this plugin; size: in the host */
enum bottle_result arguments_check_from(const void *arguments, size_t known_size, size_t size,
                                        const struct bottle_host *host, struct failure *failure);

#endif
