/* SPDX-License-Identifier: MIT */
/* process_status.c: see process_status.h. */
#include "common/process/process_status.h"

#include "common/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define STATUS_SIZE 4096

bool process_status_is_available(void)
{
    char self[32] = "";

    return readlink("/proc/self", self, sizeof self - 1) > 0 && strtol(self, NULL, 10) == getpid();
}

bool process_status_read(const char *pid, uid_t *user)
{
    static const char USERS[] = "\nUid:", NUMBERS[] = "\nNSpid:";
    char path[64], status[STATUS_SIZE], *end;

    (void)snprintf(path, sizeof path, "/proc/%.16s/status", pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, status, sizeof status - 1) : -1;
    status[length > 0 ? length : 0] = '\0';
    const char *users = strstr(status, USERS), *numbers = strstr(status, NUMBERS);
    if (!users)
        return false;
    (void)strtoul(users + sizeof USERS - 1, &end,
                  10); /* the real user ID, before the effective one */
    *user = (uid_t)strtoul(end, NULL, 10);
    if (!numbers) /* before Linux 4.1 */
        return true;
    /* The line has one PID for each nested PID namespace that the process is in. */
    (void)strtol(numbers + sizeof NUMBERS - 1, &end, 10);
    return *end == '\n';
}
