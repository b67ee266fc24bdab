/* SPDX-License-Identifier: MIT */
/*
 * relay_search.c: see relay_search.h.
 *
 * Every process may read what every other was started with, and as whom it runs (proc(5): cmdline, status),
 * also of a relay, which is closed to its own user otherwise.  Any process can give itself the name of a
 * relay, but not another user, nor this PID namespace: who does so as this user could as well end the
 * gate, or start another in its place.
 */
#include "native/relay_search.h"

#include "common/cleanup.h"
#include "common/process/process_status.h"
#include "common/process/wait.h"
#include "wire/process_name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COMMAND_SIZE 128 /* more than the two arguments can have */

_Static_assert(sizeof RELAY_NAME == sizeof RELAY_NAME_DRAINING &&
                   sizeof RELAY_NAME == sizeof RELAY_NAME_OPENER,
               "one takes the place of the other");
_Static_assert(sizeof RELAY_NAME + sizeof RELAY_TARGET_PREFIX + SLUG_SIZE + TARGET_INSTANCE_SIZE <
                   COMMAND_SIZE,
               "a relay's command line fits");

void relay_process_close(struct relay_process *process)
{
    cleanup_fd(&process->fd);
    *process = NO_RELAY_PROCESS;
}

void relay_search_end(const struct relay_search *search)
{
    if (search->processes)
        (void)closedir(search->processes);
}

enum bottle_result relay_search_begin(struct relay_search *search, const struct target *of,
                                      struct failure *failure)
{
    *search = (struct relay_search){.of = of, .processes = opendir("/proc")};
    if (search->processes && process_status_is_told())
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "native:%s: whether its gate runs cannot be told: /proc is not there, or of "
                       "another PID namespace: mount it",
                       of->slug);
}

/*
 * What process 1 was started with is open to everybody otherwise.  Where it is not, a process sees the gates of its
 * own network namespace by their sockets, and has to take what it does not see for gone; but a thread that has
 * left the process's namespace knows that there is another one.
 */
bool relay_search_is_blind(void)
{
    CLEANUP_FD int fd = open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC);
    struct stat process, thread;

    return fd < 0 && errno != EMFILE && errno != ENFILE && !stat("/proc/self/ns/net", &process) &&
           !stat("/proc/thread-self/ns/net", &thread) &&
           (process.st_dev != thread.st_dev || process.st_ino != thread.st_ino);
}

/* Reads as much as fits; returns the length without the NUL that follows it; 0: there is nothing. */
static size_t read_entry(const struct relay_search *search, const char *pid, const char *name,
                         char *buffer, size_t size)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%.16s/%s", pid, name);
    CLEANUP_FD int fd = openat(dirfd(search->processes), path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, buffer, size - 1) : -1;
    buffer[length > 0 ? length : 0] = '\0';
    return length > 0 ? (size_t)length : 0;
}

/* NAME NUL native:SLUG:INSTANCE NUL */
static bool parse_command(const char *command, size_t length, struct relay_process *found)
{
    static const char *const BACKENDS[] = {"native", NULL};
    const char *target = command + sizeof RELAY_NAME;
    struct failure ignored;
    size_t backend;

    found->has_slug = memcmp(command, RELAY_NAME, sizeof RELAY_NAME) == 0;
    return length > sizeof RELAY_NAME &&
           (found->has_slug ||
            memcmp(command, RELAY_NAME_DRAINING, sizeof RELAY_NAME_DRAINING) == 0) &&
           sizeof RELAY_NAME + strlen(target) + 1 == length &&
           target_parse(target, BACKENDS, &backend, &found->target, &ignored) == BOTTLE_OK &&
           found->target.instance[0];
}

static bool is_wanted(const struct relay_search *search, const char *pid,
                      struct relay_process *found)
{
    char command[COMMAND_SIZE] = "";
    size_t length = read_entry(search, pid, "cmdline", command, sizeof command);
    const struct target *of = search->of;

    return parse_command(command, length, found) && strcmp(found->target.slug, of->slug) == 0 &&
           (!of->instance[0] || strcmp(found->target.instance, of->instance) == 0);
}

/* What was read of the process is its own if it runs on afterwards. */
static bool take(struct relay_search *search, const char *pid, struct relay_process *found)
{
    found->pid = (pid_t)strtol(pid, NULL, 10);
    found->fd = (int)syscall(SYS_pidfd_open, found->pid, 0);
    if (found->fd < 0 && errno != ESRCH)
        search->error = errno;
    return found->fd >= 0 && is_wanted(search, pid, found) &&
           process_status_read(pid, &found->uid) && !wait_readable(found->fd, 0);
}

bool relay_search_next(struct relay_search *search, struct relay_process *found)
{
    const struct dirent *entry;

    relay_process_close(found);
    while ((entry = readdir(search->processes))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
            !is_wanted(search, entry->d_name, found))
            continue;
        if (take(search, entry->d_name, found))
            return true;
        relay_process_close(found);
    }
    return false;
}
