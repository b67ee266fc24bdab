/* SPDX-License-Identifier: MIT */
/* wait.c: see wait.h.  A signal that interrupts poll(2) does not make the time longer. */
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC,
                        &now); /* cannot fail with this clock and a valid pointer */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool wait_readable(int fd, int limit_ms)
{
    struct pollfd waited = {.fd = fd, .events = POLLIN};
    int64_t end_ms = now_ms() + limit_ms;

    for (;;) {
        int64_t left_ms = end_ms - now_ms();
        int ready = poll(&waited, 1, left_ms > 0 ? (int)left_ms : 0);
        if (ready >= 0 || errno != EINTR)
            return ready > 0;
    }
}
