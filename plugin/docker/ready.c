/* SPDX-License-Identifier: MIT */
/*
 * ready.c: waiting until the gate accepts connections on every port.
 *
 * The relay says so itself: its event line "started" comes when all its sockets listen, and is read
 * from the container's log.  The script says nothing, so the kernel's table of sockets is read inside
 * the container, with the shell that the script needs too.
 */
#include "docker/docker.h"

#include "common/cleanup.h"
#include "common/process/wait.h"

#include <stdio.h>
#include <string.h>

struct relay_word {
    const char *awaited; /* event */
    bool said;
    char message[FAILURE_MESSAGE_SIZE]; /* of "start-failed"; empty: that was not said */
    char last_line[CONTAINER_WORDS_SIZE];
};

static bool take_relay_line(void *context, char *line)
{
    struct relay_word *word = context;
    CLEANUP_JSON json_object *event = json_tokener_parse(line);
    const char *name = object_text(event, "event");

    (void)snprintf(word->last_line, sizeof word->last_line, "%s", line);
    word->said = strcmp(name, word->awaited) == 0;
    if (strcmp(name, "start-failed") == 0)
        (void)snprintf(word->message, sizeof word->message, "%s", object_text(event, "message"));
    return !word->said && word->message[0] == '\0';
}

enum bottle_result docker_wait_for_relay(const struct docker_start *start, const char *event,
                                         struct failure *failure)
{
    struct relay_word word = {.awaited = event};
    enum bottle_result result =
        engine_follow_log(start->container.engine, start->container.id,
                          start->options.start_timeout_ms, take_relay_line, &word, failure);

    if (word.said)
        return BOTTLE_OK;
    if (word.message[0])
        return failure_set(failure, BOTTLE_UNAVAILABLE, "the relay in container %s: %s",
                           start->container.name, word.message);
    if (result == BOTTLE_TIMEOUT)
        return failure_set(failure, BOTTLE_TIMEOUT,
                           "the relay in container %s was not ready within start_timeout_ms, %d ms",
                           start->container.name, start->options.start_timeout_ms);
    if (result == BOTTLE_OK || result == BOTTLE_NOT_FOUND || result == BOTTLE_CONFLICT)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "the relay in container %s ended before it was ready%s%s",
                           start->container.name, word.last_line[0] ? ": " : "", word.last_line);
    return result;
}

/*
 * The kernel's table of sockets (proc(5), /proc/net/tcp): is there one that listens on the port?  A line is
 * "N: ADDRESS:PORT ADDRESS:PORT STATE …", in hexadecimal, with the addresses 8 or 32 digits long.
 */
static bool listens(const char *table, uint16_t port)
{
    char ipv4[sizeof ":PPPP 00000000:0000 0A "], ipv6[sizeof ":PPPP :0000 0A " + 32];

    (void)snprintf(ipv4, sizeof ipv4, ":%04X %08d:0000 0A ", port, 0);
    (void)snprintf(ipv6, sizeof ipv6, ":%04X %032d:0000 0A ", port, 0);
    return strstr(table, ipv4) || strstr(table, ipv6);
}

/* What the relay makes sure of by itself (relay/setup/forwarding.c). */
#define FORWARDING_SWITCHES "/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"
#define FORWARDS            "forwards "

static bool forwards(const char *said)
{
    while ((said = strstr(said, FORWARDS))) {
        said += sizeof FORWARDS - 1;
        if (*said != '0')
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
 * Needs no program but the shell that runs the script too.  Of a file below /proc/sys the second byte is its end,
 * if it is read by one byte at a time, so read(1p) finds no line that is complete.
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
            continue; /* it ended just now; the next look shows */
        }
        if (result != BOTTLE_OK)
            return result;
        if (forwards(table))
            return failure_set(
                failure, BOTTLE_UNAVAILABLE,
                "container %s forwards packets, so an agent could send through it to "
                "anywhere: the engine has not applied its sysctls",
                start->container.name);
        /* Nothing is said where the container ends at this moment; the next look shows. */
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
