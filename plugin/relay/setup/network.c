/* SPDX-License-Identifier: MIT */
/* network.c: see network.h. */
#include "relay/setup/network.h"

#include "relay/serve/relay.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

bool setup_enter_network(int fd)
{
    struct stat own, wanted;

    if (!stat("/proc/self/ns/net", &own) && !fstat(fd, &wanted) && own.st_ino == wanted.st_ino &&
        own.st_dev == wanted.st_dev)
        return true;
    if (!setns(fd, CLONE_NEWNET))
        return true;
    if (errno != EPERM)
        return false;
    int owner = ioctl(fd, NS_GET_USERNS);
    if (owner < 0)
        return false;
    bool entered = !setns(owner, CLONE_NEWUSER) && !setns(fd, CLONE_NEWNET);
    int error = errno;
    (void)close(owner);
    errno = error;
    return entered;
}

bool setup_fail_enter(struct setup_reply *reply, const char *what, int error)
{
    return setup_fail(
        reply, error == EPERM ? BOTTLE_DENIED : BOTTLE_UNAVAILABLE,
        "%s: cannot enter the network namespace: %s; be root, or the user who made the namespace",
        what, strerror(error));
}

/* fd: a namespace; -1: the one that the process is in. */
static bool look_at_network(int fd, struct stat *network)
{
    return !(fd >= 0 ? fstat(fd, network) : stat("/proc/self/ns/net", network));
}

bool note_listen_network(struct relay *relay, const struct given *given, struct setup_reply *reply)
{
    struct stat network;

    if (!look_at_network(given->listen_fd, &network))
        return setup_fail(reply, BOTTLE_UNAVAILABLE,
                          "/proc/self/ns/net: %s: the gate needs /proc, mounted where its launcher "
                          "runs",
                          strerror(errno));
    relay->listen_network_device = network.st_dev;
    relay->listen_network_inode = network.st_ino;
    return true;
}

static bool is_listen_network(const struct relay *relay, int fd)
{
    struct stat network;

    if (!look_at_network(fd, &network))
        return true; /* unknown: assume it, as a loop must be prevented */
    return network.st_dev == relay->listen_network_device &&
           network.st_ino == relay->listen_network_inode;
}

bool enter_egress(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    if (given->egress_fd >= 0 && !setup_enter_network(given->egress_fd))
        return setup_fail_enter(reply, "egress_network", errno);
    relay->listens_where_it_dials = is_listen_network(relay, given->egress_fd);
    if (given->listen_fd >= 0)
        (void)close(given->listen_fd);
    if (given->egress_fd >= 0)
        (void)close(given->egress_fd);
    return true;
}
