/* SPDX-License-Identifier: MIT */
/* wait.c: see wait.h. */
#include "common/process/wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_WAIT_MS  3000
#define KILL_WAIT_MS 3000

int64_t wait_now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void wait_pause(int ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    (void)nanosleep(&pause, NULL);
}

bool wait_readable(int fd, int limit_ms)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    int64_t end_ms = wait_now_ms() + limit_ms;

    for (;;) {
        int64_t left_ms = end_ms - wait_now_ms();
        int ready = poll(&waited, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}

bool wait_process_end(int process_fd)
{
    siginfo_t information;

    if (!wait_readable(process_fd, END_WAIT_MS) &&
        (syscall(SYS_pidfd_send_signal, process_fd, SIGKILL, NULL, 0) ||
         !wait_readable(process_fd, KILL_WAIT_MS)))
        return false;
    /* If the host is init or a subreaper, the process has become its child, and is reaped here. */
    (void)waitid((idtype_t)P_PIDFD, (id_t)process_fd, &information, WEXITED | WNOHANG | __WALL);
    return true;
}
