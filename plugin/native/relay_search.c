/* SPDX-License-Identifier: MIT */
/*
 * relay_search.c: see relay_search.h.
 *
 * Any process can read the command line and the user of any other (proc(5): cmdline, status), even of a relay,
 * whose other files in /proc are closed to its own user.  A process can give itself the name of a relay, but
 * not another user or PID namespace.  That is no loss: a process of this user could as well end the gate and
 * start another in its place.
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
               "a relay overwrites one name with another");
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
    if (search->processes && process_status_is_available())
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "native:%s: whether its gate runs cannot be told: /proc is not there, or of "
                       "another PID namespace: mount it",
                       of->slug);
}

/*
 * Unless /proc hides other users' processes, anybody can read the command line of process 1.  If it cannot be read, a
 * process finds the gates of its own network namespace by their sockets, and must assume that there are no
 * others.  But a thread in another network namespace than its process knows that there is more than one.
 */
bool relay_search_is_blind(void)
{
    CLEANUP_FD int fd = open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC);
    struct stat process, thread;

    return fd < 0 && errno != EMFILE && errno != ENFILE && !stat("/proc/self/ns/net", &process) &&
           !stat("/proc/thread-self/ns/net", &thread) &&
           (process.st_dev != thread.st_dev || process.st_ino != thread.st_ino);
}

/* Reads as much of a file in /proc/PID as fits, and adds a NUL; returns the length without that; 0: nothing. */
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

/* command: NAME NUL native:SLUG:INSTANCE NUL */
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

/* If the process still runs after its files were read, they were not those of a later process with its PID. */
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
