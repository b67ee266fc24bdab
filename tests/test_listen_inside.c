/* SPDX-License-Identifier: MIT */
/*
 * test_listen_inside.c: what the relay takes from the helper that opened sockets in the agent's namespace,
 * should somebody else send the reports.
 */
#include "relay/serve/relay.h"
#include "relay/setup/listen.h"
#include "relay/setup/listen_inside.h"

#include <bottle/sidecar.h>

#include "common/process/fd_passing.h"
#include "wire/setup_reply.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPSTREAMS    2
#define WANTED       4 /* on 127.0.0.1 and ::1 */
#define MANY_REPORTS 40
#define ROWS(table)  (sizeof(table) / sizeof((table)[0]))

static struct relay relay; /* too large for a stack */
static struct wanted_listener wanted[WANTED];
static int sockets[WANTED], reports[2];

static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    cr_assert_geq(fd, 0);
    cr_assert_eq(close(fd), 0);
    return fd;
}

static void set_up(void)
{
    static const char *const LOOPBACKS[] = {"127.0.0.1", "::1"};
    struct stat network;

    cr_assert_eq(stat("/proc/self/ns/net", &network), 0);
    relay.listen_network_device = network.st_dev;
    relay.listen_network_inode = network.st_ino;
    relay.upstream_count = relay.config.upstream_count = UPSTREAMS;
    for (size_t i = 0; i < WANTED; i++) {
        socklen_t length = sizeof wanted[i].address;
        wanted[i] = (struct wanted_listener){.upstream = i / 2, .may_lack = i % 2 == 1};
        cr_assert(address_from_literal(LOOPBACKS[i % 2], 0, &wanted[i].address));
        sockets[i] = listener_make(&wanted[i].address, "");
        cr_assert_geq(sockets[i], 0, "%m");
        cr_assert_eq(getsockname(sockets[i], &wanted[i].address.any, &length), 0);
    }
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports), 0);
}

TestSuite(listen_inside, .init = set_up, .timeout = 30);

static void report(uint32_t number, int32_t error, const int *fds, size_t count)
{
    const struct listener_report packet = {.number = number, .error = error};

    cr_assert(send_with_fds(reports[1], &packet, sizeof packet, fds, count), "%m");
}

static void report_sockets(size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        report(REPORT_LISTENERS + (uint32_t)i, 0, &sockets[i], 1);
}

static void report_entry(void)
{
    report(REPORT_ENTERED, 0, NULL, 0);
    report(REPORT_LOOPBACK, 0, NULL, 0);
}

/* What was sent, and then the end, is refused with this message; no descriptor is left over. */
static void expect_refused(const char *part)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    cr_assert_eq(close(reports[1]), 0);
    int free_before = next_fd();
    cr_expect_not(listeners_receive(&relay, reports[0], wanted, WANTED, &reply));
    cr_expect_neq(reply.result, BOTTLE_OK);
    cr_expect(strstr(reply.message, part), "\"%s\" is not in: %s", part, reply.message);
    cr_expect_leq(relay.listener_count, WANTED);
    for (size_t i = 0; i < relay.listener_count; i++)
        cr_expect_eq(close(relay.listeners[i].watch.fd), 0);
    relay.listener_count = 0;
    cr_expect_eq(next_fd(), free_before);
}

Test(listen_inside, takes_what_it_wants)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    report_entry();
    report_sockets(0, WANTED);
    cr_assert_eq(close(reports[1]), 0);
    cr_expect(listeners_receive(&relay, reports[0], wanted, WANTED, &reply), "%s", reply.message);
    cr_assert_eq(relay.listener_count, WANTED);
    for (size_t i = 0; i < WANTED; i++) {
        cr_expect_eq(relay.listeners[i].upstream, &relay.upstreams[i / 2]);
        cr_expect(address_is_of(relay.listeners[i].watch.fd, &wanted[i].address));
        cr_expect_neq(fcntl(relay.listeners[i].watch.fd, F_GETFD) & FD_CLOEXEC, 0);
    }
}

Test(listen_inside, goes_on_where_there_is_no_ipv6)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    report_entry();
    report_sockets(0, 1);
    report(REPORT_LISTENERS + 1, EAFNOSUPPORT, NULL, 0);
    report_sockets(2, 3);
    report(REPORT_LISTENERS + 3, EADDRNOTAVAIL, NULL, 0);
    cr_assert_eq(close(reports[1]), 0);
    cr_expect(listeners_receive(&relay, reports[0], wanted, WANTED, &reply), "%s", reply.message);
    cr_expect_eq(relay.listener_count, 2);
}

Test(listen_inside, says_what_could_not_be_done)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    report_entry();
    report(REPORT_LISTENERS, EADDRINUSE, NULL, 0);
    cr_expect_not(listeners_receive(&relay, reports[0], wanted, WANTED, &reply));
    cr_expect_eq(reply.result, BOTTLE_CONFLICT, "%s", reply.message);
    report(REPORT_ENTERED, EPERM, NULL, 0);
    cr_expect_not(listeners_receive(&relay, reports[0], wanted, WANTED, &reply));
    cr_expect_eq(reply.result, BOTTLE_DENIED, "%s", reply.message);
}

Test(listen_inside, refuses_more_sockets_than_it_wants)
{
    report_entry();
    report_sockets(0, WANTED);
    for (uint32_t i = WANTED; i < MANY_REPORTS; i++)
        report(REPORT_LISTENERS + i, 0, &sockets[0], 1);
    expect_refused("more than it must");
}

/* Each is the report in place of the first socket. */
Test(listen_inside, refuses_what_is_out_of_order_or_range)
{
    const struct {
        uint32_t number;
        int32_t error;
        size_t fds;
    } rows[] = {
        {REPORT_ENTERED, 0, 0},
        {REPORT_LOOPBACK, 0, 1},
        {REPORT_LISTENERS, 0, 0},
        {REPORT_LISTENERS, 0, 2},
        {REPORT_LISTENERS, 0, FD_PASSING_MAX},
        {REPORT_LISTENERS, EADDRINUSE, 1},
        {REPORT_LISTENERS, -1, 0},
        {REPORT_LISTENERS, 4096, 0},
        {REPORT_LISTENERS + 1, 0, 1},
        {REPORT_LISTENERS + WANTED, 0, 1},
        {UINT32_MAX, 0, 1},
    };
    int many[FD_PASSING_MAX];

    for (size_t i = 0; i < FD_PASSING_MAX; i++)
        many[i] = sockets[0];
    for (size_t i = 0; i < ROWS(rows); i++) {
        report_entry();
        report(rows[i].number, rows[i].error, many, rows[i].fds);
        expect_refused("sent what it must not");
        cr_assert_eq(close(reports[0]), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports), 0);
    }
}

Test(listen_inside, refuses_packets_of_another_length)
{
    static const char bytes[64];

    for (size_t length = 1; length < sizeof bytes; length++) {
        if (length != sizeof(struct listener_report)) {
            cr_assert(send_with_fds(reports[1], bytes, length, &sockets[0], 1));
            expect_refused("sent what it must not");
            cr_assert_eq(close(reports[0]), 0);
            cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reports), 0);
        }
    }
}

/* A packet without a byte is read as the end of file is, except that it can have a descriptor. */
static void send_empty_with_fd(void)
{
    cr_assert(send_with_fds(reports[1], "", 0, &sockets[0], 1), "%m");
}

Test(listen_inside, refuses_an_empty_packet_with_a_descriptor_in_place_of_a_report)
{
    send_empty_with_fd();
    expect_refused("sent what it must not");
}

Test(listen_inside, refuses_an_empty_packet_with_a_descriptor_in_place_of_the_end)
{
    report_entry();
    report_sockets(0, WANTED);
    send_empty_with_fd();
    expect_refused("more than it must");
}

Test(listen_inside, notices_an_early_end)
{
    report_entry();
    report_sockets(0, 2);
    expect_refused("ended early");
}

static void expect_socket_refused(int fd)
{
    cr_assert_geq(fd, 0, "%m");
    report_entry();
    report(REPORT_LISTENERS, 0, &fd, 1);
    cr_assert_eq(close(fd), 0);
    expect_refused("another socket than it must");
}

Test(listen_inside, refuses_a_file)
{
    expect_socket_refused(open("/dev/null", O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

Test(listen_inside, refuses_the_socket_of_another_address)
{
    expect_socket_refused(dup(sockets[1]));
}

Test(listen_inside, refuses_the_socket_of_another_port)
{
    expect_socket_refused(dup(sockets[2]));
}

/* In place of the listening one: sockets of the same address that are not quite that. */
static int take_its_place(int type)
{
    cr_assert_eq(close(sockets[0]), 0);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    sockets[0] = dup(fd);
    cr_assert_eq(bind(fd, &wanted[0].address.any, address_length(&wanted[0].address)), 0, "%m");
    return fd;
}

Test(listen_inside, refuses_a_socket_that_does_not_listen)
{
    expect_socket_refused(take_its_place(SOCK_STREAM | SOCK_NONBLOCK));
}

Test(listen_inside, refuses_a_socket_that_blocks)
{
    int fd = take_its_place(SOCK_STREAM);

    cr_assert_eq(listen(fd, 1), 0);
    expect_socket_refused(fd);
}

Test(listen_inside, refuses_a_socket_of_another_protocol)
{
    expect_socket_refused(take_its_place(SOCK_DGRAM | SOCK_NONBLOCK));
}

Test(listen_inside, refuses_a_socket_of_another_network)
{
    relay.listen_network_inode++;
    expect_socket_refused(dup(sockets[0]));
}
