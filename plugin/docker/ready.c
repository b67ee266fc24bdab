/* SPDX-License-Identifier: MIT */
/*
 * ready.c: see ready.h.
 *
 * The relay logs the event "started" when all its sockets listen, and this is read from the container's
 * log.  The script reports nothing, so the kernel's table of sockets is read in the container, with
 * the shell, which the script needs anyway.
 */
#include "docker/ready.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "container/existing.h"
#include "engine/streams.h"

#include <stdio.h>
#include <string.h>

struct relay_log {
    const char *awaited; /* the name of an event */
    bool has_awaited;
    char message[FAILURE_MESSAGE_SIZE]; /* of the event "start-failed"; "": none */
    char last_line[CONTAINER_WORDS_SIZE];
};

static bool take_relay_line(void *context, char *line)
{
    struct relay_log *log = context;
    CLEANUP_JSON json_object *event = json_tokener_parse(line);
    const char *name = object_text(event, "event");

    (void)snprintf(log->last_line, sizeof log->last_line, "%s", line);
    log->has_awaited = strcmp(name, log->awaited) == 0;
    if (strcmp(name, "start-failed") == 0)
        (void)snprintf(log->message, sizeof log->message, "%s", object_text(event, "message"));
    return !log->has_awaited && log->message[0] == '\0';
}

enum bottle_result docker_wait_for_relay(const struct docker_start *start, const char *event,
                                         struct failure *failure)
{
    struct relay_log log = {.awaited = event};
    enum bottle_result result =
        engine_follow_log(start->container.engine, start->container.id,
                          start->options.start_timeout_ms, take_relay_line, &log, failure);

    if (log.has_awaited)
        return BOTTLE_OK;
    if (log.message[0])
        return failure_set(failure, BOTTLE_UNAVAILABLE, "the relay in container %s: %s",
                           start->container.name, log.message);
    if (result == BOTTLE_TIMEOUT)
        return failure_set(failure, BOTTLE_TIMEOUT,
                           "the relay in container %s was not ready within start_timeout_ms, %d ms",
                           start->container.name, start->options.start_timeout_ms);
    if (result == BOTTLE_OK || result == BOTTLE_NOT_FOUND || result == BOTTLE_CONFLICT)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "the relay in container %s ended before it was ready%s%s",
                           start->container.name, log.last_line[0] ? ": " : "", log.last_line);
    return result;
}

/*
 * Whether a socket listens on the port.  table: the contents of /proc/net/tcp and tcp6 (proc(5)).  A line is
 * "N: ADDRESS:PORT ADDRESS:PORT STATE …", in hexadecimal, with addresses of 8 or 32 digits.
 */
static bool listens(const char *table, uint16_t port)
{
    char ipv4[sizeof ":PPPP 00000000:0000 0A "], ipv6[sizeof ":PPPP :0000 0A " + 32];

    (void)snprintf(ipv4, sizeof ipv4, ":%04X %08d:0000 0A ", port, 0);
    (void)snprintf(ipv6, sizeof ipv6, ":%04X %032d:0000 0A ", port, 0);
    return strstr(table, ipv4) || strstr(table, ipv6);
}

/* The kernel must not forward packets.  The relay checks that itself (relay/setup/forwarding.c). */
#define FORWARDING_SWITCHES "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
#define FORWARDS            "forwards "

static bool forwards(const char *output)
{
    while ((output = strstr(output, FORWARDS))) {
        output += sizeof FORWARDS - 1;
        if (*output != '0')
            return true;
    }
    return false;
}

static bool all_listen(const char *table, const struct plan *plan)
{
    for (size_t i = 0; i < plan->upstream_count; i++)
        if (!listens(table, plan->upstreams[i].listen_port))
            return false;
    return true;
}

static enum bottle_result script_ended(const struct docker_start *start, struct failure *failure)
{
    char words[CONTAINER_WORDS_SIZE];

    container_last_words(&start->container, words);
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "the script in container %s, image %s, ended before every port listened; "
                       "the image needs sh and socat; its last words: %s",
                       start->container.name, start->options.image, words);
}

/*
 * Uses only the shell, as the image may have no other program.  read(1p) fails for a file below /proc/sys,
 * although it sets the variable: the shell reads byte by byte, and after the first byte the kernel reports the
 * end of the file, so the newline is never seen.
 */
static enum bottle_result wait_for_script(const struct docker_start *start, struct failure *failure)
{
    static const char *const COMMAND[] = {
        "/bin/sh", "-c",
        "for file in " FORWARDING_SWITCHES "; do"
        " [ -r $file ] && { read -r line <$file; echo \"" FORWARDS "$line\"; }; done;"
        "for table in /proc/net/tcp /proc/net/tcp6; do"
        " [ -r $table ] && while read -r line; do echo \"$line\"; done <$table; done",
        NULL};
    int64_t end_ms = wait_now_ms() + start->options.start_timeout_ms;

    do {
        CLEANUP_JSON json_object *container = NULL;
        CLEANUP_FREE char *table = NULL;
        enum bottle_result result = container_find(&start->container, &container, failure);
        if (result == BOTTLE_OK && !container_is_running(container))
            return script_ended(start, failure);
        if (result == BOTTLE_OK)
            result = container_exec(start->container.engine, start->container.id, COMMAND, &table,
                                    failure);
        if (result == BOTTLE_NOT_FOUND && container) {
            wait_pause(CONTAINER_PAUSE_MS);
            continue; /* it has just ended; the next round reports that */
        }
        if (result != BOTTLE_OK)
            return result;
        if (forwards(table))
            return failure_set(
                failure, BOTTLE_UNAVAILABLE,
                "container %s forwards packets, so an agent could send through it to "
                "anywhere: the engine has not applied its sysctls",
                start->container.name);
        /* If the container ends at this moment there is no output; the next round reports that. */
        if (strstr(table, FORWARDS) && all_listen(table, start->plan))
            return BOTTLE_OK;
        wait_pause(CONTAINER_PAUSE_MS);
    } while (wait_now_ms() < end_ms);
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "the script in container %s did not listen on every port within "
                       "start_timeout_ms, %d ms; the image %s needs sh and socat",
                       start->container.name, start->options.start_timeout_ms,
                       start->options.image);
}

enum bottle_result docker_wait_until_ready(const struct docker_start *start,
                                           struct failure *failure)
{
    if (start->options.image)
        return wait_for_script(start, failure);
    return docker_wait_for_relay(start, start->holder ? "ready" : "started", failure);
}
