/* SPDX-License-Identifier: MIT */
/*
 * failure.h: how a function says why it failed.
 *
 * A function that can fail for reasons a person should read takes a `struct failure *` last and returns
 * an enum bottle_result.  On anything but BOTTLE_OK it has called failure_set() exactly once, and its
 * caller passes the result on:
 *
 *     return failure_set(failure, BOTTLE_CONFLICT, "port %u is taken: give the entry another Port", port);
 */
#ifndef SIDECAR_FAILURE_H
#define SIDECAR_FAILURE_H

#include <bottle/sidecar.h>

#include <stdint.h>

/* Longer messages are cut, never in the middle of a UTF-8 sequence. */
#define FAILURE_MESSAGE_SIZE 1024

struct failure {
    char message[FAILURE_MESSAGE_SIZE];
};

/*
 * failure_set(failure, result, format, …) sets the message; its value is result.  Harmful characters and invalid
 * UTF-8 in the arguments are written as \xNN (utf8.h), so that a message is always one line that is safe to
 * print.  It is a macro so that the compiler and analyzers see the value in the caller.
 */
#define failure_set(failure, result, ...) (failure_format((failure), __VA_ARGS__), (result))

/* Keeps errno, so that the caller can derive the result from it. */
void failure_format(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The result for an errno value: BOTTLE_DENIED for EACCES and EPERM, BOTTLE_CONFLICT for EADDRINUSE, and so on. */
enum bottle_result result_of_errno(int error);

/* The result that another build of the plugin sent as a number; BOTTLE_INTERNAL if this build does not know it. */
enum bottle_result result_of_refusal(int32_t number);

#endif
