/* SPDX-License-Identifier: MIT */
/*
 * listen_inside.c: the listening sockets on the loopback of the agent's network namespace.
 *
 * To enter it, a process may have to enter the user namespace that owns it, which changes its credentials; and
 * the relay must stay in the namespace from which it dials.  So a child, the helper, enters, opens the
 * sockets and sends them back.
 *
 * The agent is root in that user namespace: whatever enters it, the agent may trace, and read and write
 * all that it has (ptrace(2)), unless the process is not dumpable: then that takes a capability over the
 * namespace that the process was executed in, which the agent has not.  So the relay is not dumpable from its
 * first step (main.c), which the helper inherits, and the helper enters with two descriptors and nothing else.
 *
 * If an agent controls the helper all the same, it can only send reports, of which the relay accepts these, in
 * this order:
 *
 *     number                  how often                      with
 *     REPORT_ENTERED          once                           nothing
 *     REPORT_LOOPBACK         once: the interface lo is up   nothing
 *     REPORT_LISTENERS + i    once for each socket that      the socket: TCP, listening on that address, in
 *                             is wanted, in that order       that namespace, non-blocking
 *     end of file
 *
 * A report of an error has no descriptor and is the last, except that the namespace may have no IPv6.  A packet
 * without a byte looks like the end of file, but for descriptors that come with it.
 */
#include "relay/setup/listen_inside.h"

#include "common/process/fd_passing.h"
#include "relay/serve/relay.h"
#include "relay/setup/listen.h"
#include "relay/setup/network.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ERRNO 4095 /* of the kernel */

static const char *const LOOPBACKS[] = {"127.0.0.1", "::1"};
#define LOOPBACK_COUNT (sizeof LOOPBACKS / sizeof LOOPBACKS[0])

_Static_assert(LOOPBACK_COUNT <= LISTENERS_PER_UPSTREAM,
               "an upstream has a listener on each loopback");

/* ---- the helper ---- */

enum { HELPER_REPORT_FD, HELPER_NAMESPACE_FD, HELPER_FDS };

/* namespace_fd, report_fd: neither is one of HELPER_FDS: those are the relay's standard descriptors. */
static bool give_up_all_else(int namespace_fd, int report_fd)
{
    static const struct rlimit NONE = {0};

    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) ||
        setrlimit(RLIMIT_CORE, &NONE) ||
        dup3(report_fd, HELPER_REPORT_FD, O_CLOEXEC) != HELPER_REPORT_FD ||
        dup3(namespace_fd, HELPER_NAMESPACE_FD, O_CLOEXEC) != HELPER_NAMESPACE_FD)
        return false;
    closefrom(HELPER_FDS);
    return true;
}

/*
 * The kernel makes a process dumpable, or not, as the sysctl fs.suid_dumpable says, when its credentials
 * become other than a part of those before.  Here they become a part, and so nothing changes; if it ever
 * does, this restores it.
 */
static bool enter(void)
{
    return setup_enter_network(HELPER_NAMESPACE_FD) && !prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool bring_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    bool is_up = !ioctl(fd, SIOCGIFFLAGS, &request);
    if (is_up && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        is_up = !ioctl(fd, SIOCSIFFLAGS, &request);
    }
    int error = errno;
    (void)close(fd);
    errno = error;
    return is_up;
}

/* done: else errno says why not, which is then the last report.  fd: -1 for none; closed. */
static bool send_report(uint32_t number, bool done, int fd)
{
    const struct listener_report report = {.number = number, .error = done ? 0 : errno};
    bool sent =
        send_with_fds(HELPER_REPORT_FD, &report, sizeof report, &fd, done && fd >= 0 ? 1 : 0);

    if (fd >= 0)
        (void)close(fd);
    return sent && done;
}

static bool lacks_family(int error)
{
    return error == EAFNOSUPPORT || error == EADDRNOTAVAIL;
}

static void be_helper(const struct wanted_listener *wanted, size_t count)
{
    if (!send_report(REPORT_ENTERED, enter(), -1) ||
        !send_report(REPORT_LOOPBACK, bring_loopback_up(), -1))
        return;
    for (size_t i = 0; i < count; i++) {
        int fd = listener_make(&wanted[i].address, "");
        bool go_on = fd < 0 && wanted[i].may_lack && lacks_family(errno);
        if (!send_report(REPORT_LISTENERS + (uint32_t)i, fd >= 0, fd) && !go_on)
            return;
    }
}

/* ---- the relay ---- */

static bool has_option(int fd, int option, int wanted)
{
    int value = -1;
    socklen_t length = sizeof value;

    return !getsockopt(fd, SOL_SOCKET, option, &value, &length) && value == wanted;
}

/* SIOCGSKNS needs CAP_NET_ADMIN in that namespace; without it the check is skipped. */
static bool is_in_network(int fd, const struct relay *relay)
{
    struct stat network;
    int namespace_fd = ioctl(fd, SIOCGSKNS);

    if (namespace_fd < 0)
        return errno == EPERM;
    bool same = !fstat(namespace_fd, &network) && network.st_dev == relay->listen_network_device &&
                network.st_ino == relay->listen_network_inode;
    (void)close(namespace_fd);
    return same;
}

static bool is_wanted_listener(int fd, const struct relay *relay, const union address *wanted)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && (flags & O_NONBLOCK) && (flags & O_ACCMODE) == O_RDWR &&
           has_option(fd, SO_DOMAIN, wanted->any.sa_family) &&
           has_option(fd, SO_TYPE, SOCK_STREAM) && has_option(fd, SO_PROTOCOL, IPPROTO_TCP) &&
           has_option(fd, SO_ACCEPTCONN, 1) && address_is_of(fd, wanted) &&
           is_in_network(fd, relay);
}

static void close_fds(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)close(fds[i]);
}

static bool fail_helper(struct setup_reply *reply, const char *what)
{
    return setup_fail(reply, BOTTLE_INTERNAL, "the process in the agent's namespace %s", what);
}

/*
 * Takes the one report that is expected.
 * @error: out: what it reports
 * @fd:    out: its descriptor; -1: none
 */
static bool receive_report(int report_fd, uint32_t number, int *error, int *fd,
                           struct setup_reply *reply)
{
    struct listener_report report;
    int fds[FD_PASSING_MAX];
    size_t count;
    ssize_t received = receive_with_fds(report_fd, &report, sizeof report, fds, &count);

    if (received < 0 && errno != EMSGSIZE)
        return setup_fail_errno(reply, "a report of the process in the agent's namespace");
    if (received == 0 && count == 0)
        return fail_helper(reply, "ended early");
    bool is_expected = received == (ssize_t)sizeof report && report.number == number &&
                       report.error >= 0 && report.error <= MAX_ERRNO;
    bool has_fd = is_expected && number >= REPORT_LISTENERS && report.error == 0;
    if (!is_expected || count != (has_fd ? 1 : 0)) {
        close_fds(fds, count);
        return fail_helper(reply, "sent what it must not");
    }
    *error = report.error;
    *fd = has_fd ? fds[0] : -1;
    return true;
}

static bool receive_entry(int report_fd, struct setup_reply *reply)
{
    int error = 0, fd = -1;

    if (!receive_report(report_fd, REPORT_ENTERED, &error, &fd, reply))
        return false;
    if (error)
        return setup_fail_enter(reply, "internal_network", error);
    if (!receive_report(report_fd, REPORT_LOOPBACK, &error, &fd, reply))
        return false;
    errno = error;
    return !error ||
           setup_fail_errno(
               reply, "internal_network: the loopback interface is down and cannot be brought up");
}

static bool receive_listener(struct relay *relay, int report_fd, uint32_t number,
                             const struct wanted_listener *wanted, struct setup_reply *reply)
{
    int error = 0, fd = -1;

    if (!receive_report(report_fd, number, &error, &fd, reply))
        return false;
    if (error)
        return (wanted->may_lack && lacks_family(error)) ||
               listener_fail(reply, &wanted->address, &relay->config.upstreams[wanted->upstream],
                             error);
    if (!is_wanted_listener(fd, relay, &wanted->address)) {
        (void)close(fd);
        return fail_helper(reply, "sent another socket than it must");
    }
    listener_add(relay, wanted->upstream, &wanted->address, fd);
    return true;
}

bool listeners_receive(struct relay *relay, int report_fd, const struct wanted_listener *wanted,
                       size_t count, struct setup_reply *reply)
{
    char more;
    int fds[FD_PASSING_MAX];
    size_t fd_count;

    if (!receive_entry(report_fd, reply))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!receive_listener(relay, report_fd, REPORT_LISTENERS + (uint32_t)i, &wanted[i], reply))
            return false;
    if (receive_with_fds(report_fd, &more, sizeof more, fds, &fd_count) == 0 && fd_count == 0)
        return true;
    close_fds(fds, fd_count);
    return fail_helper(reply, "sent more than it must");
}

/* Takes the sockets that the old relay has; returns how many more are wanted. */
static size_t list_wanted(struct relay *relay, struct takeover *takeover,
                          struct wanted_listener wanted[MAX_LISTENERS])
{
    size_t count = 0;

    for (size_t i = 0; i < relay->upstream_count; i++) {
        for (size_t j = 0; j < LOOPBACK_COUNT; j++) {
            struct wanted_listener *next = &wanted[count];
            *next = (struct wanted_listener){.upstream = i, .may_lack = j > 0};
            (void)address_from_literal(LOOPBACKS[j], relay->config.upstreams[i].listen_port,
                                       &next->address);
            int fd = takeover_listener(takeover, &next->address);
            if (fd >= 0)
                listener_add(relay, i, &next->address, fd);
            else
                count++;
        }
    }
    return count;
}

static bool run_helper(struct relay *relay, int namespace_fd, const struct wanted_listener *wanted,
                       size_t count, struct setup_reply *reply)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return setup_fail_errno(reply, "socketpair");
    pid_t helper = fork();
    if (helper == 0) {
        if (give_up_all_else(namespace_fd, pair[1]))
            be_helper(wanted, count);
        _exit(0);
    }
    int error = errno;
    (void)close(pair[1]);
    errno = error;
    bool done = helper > 0 ? listeners_receive(relay, pair[0], wanted, count, reply)
                           : setup_fail_errno(reply, "fork");
    (void)close(pair[0]);
    /* It has ended, or the agent has stopped it. */
    if (helper > 0 && !kill(helper, SIGKILL))
        (void)waitpid(helper, NULL, 0);
    return done;
}

bool listen_inside(struct relay *relay, struct takeover *takeover, int namespace_fd,
                   struct setup_reply *reply)
{
    struct wanted_listener wanted[MAX_LISTENERS];
    size_t count = list_wanted(relay, takeover, wanted);

    return count == 0 || run_helper(relay, namespace_fd, wanted, count, reply);
}
