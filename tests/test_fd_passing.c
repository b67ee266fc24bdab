/* SPDX-License-Identifier: MIT */
/* test_fd_passing.c: a packet comes whole with all its descriptors, or not at all. */
#include "common/process/fd_passing.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2];

static void set_up(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

TestSuite(fd_passing, .init = set_up, .timeout = 30);

static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    cr_assert_geq(fd, 0, "%m");
    cr_assert_eq(close(fd), 0);
    return fd;
}

static void send_packet(size_t count)
{
    int fds[FD_PASSING_MAX];

    for (size_t i = 0; i < FD_PASSING_MAX; i++)
        fds[i] = STDERR_FILENO;
    cr_assert(send_with_fds(pair[0], "packet", 6, fds, count), "%m");
}

static void expect_refused(size_t size, int error)
{
    char packet[16];
    int fds[FD_PASSING_MAX], free_before = next_fd();
    size_t count = 1;

    cr_expect_eq(receive_with_fds(pair[1], packet, size, fds, &count), -1);
    cr_expect_eq(errno, error, "%m");
    cr_expect_eq(count, 0);
    cr_expect_eq(next_fd(), free_before, "a descriptor is left over");
}

Test(fd_passing, as_many_as_there_may_be)
{
    char packet[16];
    int fds[FD_PASSING_MAX];
    size_t count;

    send_packet(FD_PASSING_MAX);
    cr_expect_eq(receive_with_fds(pair[1], packet, sizeof packet, fds, &count), 6);
    cr_expect_eq(count, FD_PASSING_MAX);
    errno = 0;
    cr_expect_not(send_with_fds(pair[0], "packet", 6, fds, FD_PASSING_MAX + 1));
    cr_expect_eq(errno, EMSGSIZE);
}

Test(fd_passing, a_limit_that_is_reached_half_way)
{
    struct rlimit limit;

    send_packet(4);
    send_packet(1);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit low = {.rlim_cur = (rlim_t)next_fd() + 2, .rlim_max = limit.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    expect_refused(16, EMFILE);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);

    char packet[16];
    int fds[FD_PASSING_MAX];
    size_t count;
    cr_expect_eq(receive_with_fds(pair[1], packet, sizeof packet, fds, &count), 6,
                 "the next packet is not there");
    cr_expect_eq(count, 1);
}

Test(fd_passing, a_packet_that_is_too_long)
{
    send_packet(3);
    expect_refused(5, EMSGSIZE);
}
