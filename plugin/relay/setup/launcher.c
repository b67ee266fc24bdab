/* SPDX-License-Identifier: MIT */
/*
 * launcher.c: the process that the relay ends with, if the start option exit_with_launcher asks for one.
 *
 * It is referred to by a descriptor (pidfd_open(2)), so a later process with its PID is not mistaken for it.  A
 * relay that takes over gets the descriptor from the old relay, because the process that starts the takeover may
 * be a short-lived command, with which the gate must not end.
 */
#include "relay/setup/launcher.h"

#include "common/process/wait.h"
#include "relay/serve/lifecycle.h"
#include "relay/serve/relay.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void launcher_gone(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, launcher);

    (void)events;
    relay_stop(relay, "launcher-gone");
}

static bool open_starter(struct relay *relay, struct setup_reply *reply)
{
    struct ucred starter;
    socklen_t length = sizeof starter;

    if (getsockopt(SETUP_FD, SOL_SOCKET, SO_PEERCRED, &starter, &length))
        return setup_fail_errno(reply, "exit_with_launcher: SO_PEERCRED");
    relay->launcher_pid = starter.pid;
    relay->launcher.fd = (int)syscall(SYS_pidfd_open, starter.pid, 0);
    if (relay->launcher.fd < 0 && errno == ENOSYS)
        return setup_fail(
            reply, BOTTLE_UNAVAILABLE,
            "exit_with_launcher: this system lacks pidfd_open(2), which Linux has since 5.3; "
            "start the gate without, and stop it yourself");
    return relay->launcher.fd >= 0 || setup_fail_errno(reply, "exit_with_launcher: pidfd_open");
}

bool launcher_follow(struct relay *relay, struct takeover *takeover, struct setup_reply *reply)
{
    if (relay->config.launcher == LAUNCHER_IGNORED && takeover->launcher_fd >= 0) {
        (void)close(takeover->launcher_fd);
    } else if (takeover->launcher_fd >= 0) {
        relay->launcher.fd = takeover->launcher_fd;
        relay->launcher_pid = takeover->launcher_pid;
    } else if (relay->config.launcher == LAUNCHER_FOLLOWED && !open_starter(relay, reply)) {
        return false;
    }
    takeover->launcher_fd = -1;
    if (relay->launcher.fd < 0)
        return true;
    relay->launcher.ready = launcher_gone;
    if (loop_add(&relay->loop, &relay->launcher, EPOLLIN))
        return setup_fail_errno(reply, "exit_with_launcher: epoll_ctl");
    if (wait_readable(relay->launcher.fd, 0))
        return setup_fail(reply, BOTTLE_NOT_FOUND,
                          "slug \"%s\": the process that its gate ends with, %d, has just ended "
                          "(exit_with_launcher): start without a takeover",
                          relay->config.slug, relay->launcher_pid);
    return true;
}
