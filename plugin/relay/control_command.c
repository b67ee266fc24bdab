/* SPDX-License-Identifier: MIT */
/*
 * control_command.c: see control_command.h.  It reads the arguments and prints the answer;
 * wire/control_client.c does the rest.
 */
#include "relay/control_command.h"

#include "common/cleanup.h"
#include "wire/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static enum bottle_result print_status(const struct target *target, struct failure *failure)
{
    CLEANUP_FREE char *text = NULL;
    enum bottle_result result = control_status(target, &text, failure);

    if (result == BOTTLE_OK && puts(text) < 0)
        result = failure_set(failure, BOTTLE_INTERNAL, "standard output: %s", strerror(errno));
    return result;
}

static enum bottle_result drain(const struct target *target, const char *grace,
                                struct failure *failure)
{
    char *end;

    errno = 0;
    int64_t grace_ms = strtoll(grace, &end, 10);
    if (errno || end == grace || *end)
        return failure_set(failure, BOTTLE_INVALID, "drain: \"%s\" is no number of milliseconds",
                           grace);
    return control_drain(target, grace_ms, failure);
}

int control_command(int count, char **arguments)
{
    struct failure failure;
    struct target target = {0};
    enum bottle_result result;

    char *instance = arguments[0];
    const char *slug = strsep(&instance, ":");
    (void)snprintf(target.slug, sizeof target.slug, "%s", slug);
    (void)snprintf(target.instance, sizeof target.instance, "%s", instance ? instance : "");
    if (count == 2 && strcmp(arguments[1], "status") == 0)
        result = print_status(&target, &failure);
    else if (count == 3 && strcmp(arguments[1], "drain") == 0)
        result = drain(&target, arguments[2], &failure);
    else if (count == 2 && strcmp(arguments[1], "yield") == 0)
        result = control_yield(&target, &failure);
    else
        result = failure_set(&failure, BOTTLE_INVALID,
                             "usage: control SLUG[:INSTANCE] status | yield | drain GRACE_MS");
    if (result != BOTTLE_OK)
        (void)fprintf(stderr, "ssh-gate-relay: %s\n", failure.message);
    return result == BOTTLE_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
