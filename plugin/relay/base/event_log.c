/* SPDX-License-Identifier: MIT */
/*
 * event_log.c: where events.c writes: what standard error is when the relay starts, a file of the plan's or
 * the container's log.
 *
 * What libraries print on standard error would be no event.  So the log moves to another descriptor, and
 * standard error becomes a pipe to the relay itself, which writes an event for what it reads there.
 */
#include "relay/relay.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY_TEXT_SIZE 600 /* fits an event also when every byte is escaped with six */

/* A file cannot grow beyond RLIMIT_FSIZE, so there the newest lines are kept within that. */
static bool note_file_limit(struct relay *relay)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit))
        return false;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_FSIZE, &limit))
            return false;
    }
    if (limit.rlim_cur < (rlim_t)relay->config.event_log_max_bytes)
        relay->config.event_log_max_bytes = (int32_t)limit.rlim_cur;
    return true;
}

static void library_wrote(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, library_text);
    char text[LIBRARY_TEXT_SIZE];
    ssize_t length = read(watch->fd, text, sizeof text - 1);

    (void)events;
    if (length <= 0)
        return;
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    event_notice(relay, "library-message", text);
}

static bool take_standard_error(struct relay *relay)
{
    int pair[2];

    relay->events_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (relay->events_fd < 0 || pipe2(pair, O_CLOEXEC | O_NONBLOCK))
        return false;
    relay->library_text = (struct watch){.fd = pair[0], .ready = library_wrote};
    bool taken = dup2(pair[1], STDERR_FILENO) == STDERR_FILENO;
    (void)close(pair[1]);
    return taken && !loop_add(&relay->loop, &relay->library_text, EPOLLIN);
}

bool event_log_set_up(struct relay *relay)
{
    int flags = fcntl(relay->events_fd, F_GETFL);
    struct stat log;

    relay->events_in_file = !fstat(relay->events_fd, &log) && S_ISREG(log.st_mode);
    /* Events must not stall the relay where they go to a pipe or a terminal. */
    if (flags < 0 || fcntl(relay->events_fd, F_SETFL, flags | O_NONBLOCK))
        return false;
    if (relay->events_in_file && !note_file_limit(relay))
        return false;
    /* A sanitizer's report comes as the process ends, when nobody would read the pipe any more. */
    return SANITIZED || take_standard_error(relay);
}
