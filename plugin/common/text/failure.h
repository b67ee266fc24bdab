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
 * Sets the message and is the result: failure_set(failure, result, format, …).  Harmful characters and
 * invalid UTF-8 that come in through the arguments are written as \xNN (utf8.h), so that a hostile value
 * stays one harmless line.  A macro, so that the caller itself, and an analyzer of it, sees the result.
 */
#define failure_set(failure, result, ...) (failure_format((failure), __VA_ARGS__), (result))

/* Keeps errno, of which the result may be made. */
void failure_format(struct failure *failure, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The result that fits an errno value: EACCES and EPERM are denied, EADDRINUSE is a conflict, and so on. */
enum bottle_result result_of_errno(int error);

/* The result of a refusal that another build sent; BOTTLE_INTERNAL if this one has no such failure. */
enum bottle_result result_of_refusal(int32_t number);

#endif
