/* SPDX-License-Identifier: MIT */
/* signals.c: see signals.h. */
#include "relay/setup/signals.h"

#include "relay/serve/lifecycle.h"
#include "relay/serve/relay.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>

static void signal_ready(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, signals);

    (void)events;
    relay_stop(relay, "signal");
}

bool watch_signals(struct relay *relay)
{
    sigset_t signals;

    if (sigemptyset(&signals) || sigaddset(&signals, SIGTERM) || sigaddset(&signals, SIGINT) ||
        sigprocmask(SIG_BLOCK, &signals, NULL))
        return false;
    relay->signals = (struct watch){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
                                    .ready = signal_ready};
    return relay->signals.fd >= 0 && !loop_add(&relay->loop, &relay->signals, EPOLLIN);
}

/* ---- without a loop ---- */

/* What a relay in a container waits for while it has no loop. */
static bool make_set_of_signals(sigset_t *signals)
{
    return !sigemptyset(signals) && !sigaddset(signals, SIGUSR1) && !sigaddset(signals, SIGTERM) &&
           !sigaddset(signals, SIGINT);
}

/* Process 1 gets only signals that it handles or waits for (pid_namespaces(7)). */
bool block_signals(struct setup_reply *reply)
{
    sigset_t signals;

    return (make_set_of_signals(&signals) && !sigprocmask(SIG_BLOCK, &signals, NULL)) ||
           setup_fail_errno(reply, "signals");
}

int wait_for_signal(int seconds)
{
    const struct timespec limit = {.tv_sec = seconds};
    sigset_t signals;
    int number;

    if (!make_set_of_signals(&signals))
        return -1;
    do {
        number = sigtimedwait(&signals, NULL, &limit);
    } while (number < 0 && errno == EINTR);
    return number;
}
