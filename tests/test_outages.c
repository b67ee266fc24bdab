/* SPDX-License-Identifier: MIT */
/*
 * test_outages.c: what takes its time: an end that reads nothing for half a minute, one that vanishes
 * without a word, a network that is gone for twenty seconds.
 *
 * Clients, and upstreams, are in network namespaces of the test's own, whose packets vanish when it says
 * so.  Vanished ends are found by keepalive, or by the relay when bytes are on their way to them, after two
 * minutes; the test gives the relay's own socket shorter times from outside (pidfd_getfd(2)), after it has
 * looked at those that it had.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT 2200
#define MIB  ((uint64_t)1 << 20)

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(outages, .init = set_up, .fini = tear_down, .timeout = 180);

/* ---- slow readers ---- */

#define STANDSTILL_MS 30000

/* One direction, whose reader reads nothing yet. */
static void one_way(struct transfer ends[2], int from, int to, uint64_t seed, uint64_t length)
{
    ends[0] = (struct transfer){.fd = from, .send_seed = seed, .send_length = length, .shut = true};
    ends[1] = (struct transfer){.fd = to,
                                .receive_seed = seed,
                                .receive_length = length,
                                .wait_for_end = true,
                                .paused = true};
}

/* Both sides once; meanwhile a fast session has its way, with small packets and with many bytes. */
Test(outages, a_reader_that_stands_still_for_half_a_minute)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    struct transfer slow[4], fast[2];
    size_t rounds = 0;

    gate_run(&gate, gate.upstream_address, PORT, "");
    struct tcp_pair up = tcp_through(gate.address, PORT, upstream);
    struct tcp_pair down = tcp_through(gate.address, PORT, upstream);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    one_way(&slow[0], up.client, up.upstream, 1, 100 * MIB);
    one_way(&slow[2], down.upstream, down.client, 2, 100 * MIB);
    transfer_until_quiet(slow, 4, 300);
    cr_assert_lt(slow[0].sent, slow[0].send_length, "the sender was never held up");
    cr_assert_lt(slow[2].sent, slow[2].send_length, "the sender was never held up");

    long cpu_ms = process_cpu_ms(gate.relay);
    for (int64_t end_ms = now_ms() + STANDSTILL_MS; now_ms() < end_ms; rounds++) {
        tcp_expect_alive(&pair);
        if (rounds % 100 == 0) {
            one_way(fast, pair.client, pair.upstream, 3, 8 * MIB);
            fast[0].shut = fast[1].wait_for_end = fast[1].paused = false;
            transfer_all(fast, 2);
        }
        sleep_ms(50);
    }
    cpu_ms = process_cpu_ms(gate.relay) - cpu_ms;
    cr_expect_lt(cpu_ms, STANDSTILL_MS / 5, "the relay spins");
    printf(
        "FIGURE processor time of the relay in %d s beside two readers that stand still: %ld ms\n",
        STANDSTILL_MS / 1000, cpu_ms);
    (void)fflush(stdout);
    slow[1].paused = slow[3].paused = false;
    transfer_all(slow, 4);
    tcp_close(&up);
    tcp_close(&down);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* ---- an agent's network, and the world's ---- */

static struct network bottle, outside;
static int upstream_listener;

/* The gate between the two, each of which has only its loopback. */
static void run_between(void)
{
    const struct gate_entry entry = {"upstream", "127.0.0.1", PORT};

    network_make(&bottle, false);
    network_make(&outside, true);
    gate_prepare(&gate, &entry, 1);
    gate_set_networks(&gate, bottle.path, outside.path);
    upstream_listener = network_listen(&outside, "127.0.0.1", PORT);
    cr_assert_geq(upstream_listener, 0, "%s", strerror(-upstream_listener));
    gate_start(&gate, "");
}

static struct tcp_pair open_pair(void)
{
    struct tcp_pair pair = {.client = network_connect(&bottle, "127.0.0.1", PORT)};

    cr_assert_geq(pair.client, 0, "%s", strerror(-pair.client));
    pair.upstream = tcp_accept(upstream_listener);
    tcp_expect_alive(&pair);
    return pair;
}

static void stop_between(void)
{
    cr_assert_eq(close(upstream_listener), 0);
    gate_stop(&gate);
    network_remove(&bottle);
    network_remove(&outside);
}

/* get: getsockname or getpeername; 0: it has no such port. */
static uint16_t port_of(int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;

    if (get(fd, (struct sockaddr *)&address, &length) || address.sin_family != AF_INET)
        return 0;
    return ntohs(address.sin_port);
}

/* The relay's socket with this port at either end, as a descriptor of the test's. */
static int take_relay_socket(uint16_t port)
{
    CLEANUP_FD int relay = (int)syscall(SYS_pidfd_open, gate.relay, 0);

    cr_assert_geq(relay, 0, "pidfd_open: %m");
    for (int number = 0; number < 256; number++) {
        CLEANUP_FD int fd = (int)syscall(SYS_pidfd_getfd, relay, number, 0);
        if (fd < 0 && errno == EPERM)
            cr_skip_test("this user may not have the relay's sockets");
        if (fd >= 0 && (port_of(fd, getpeername) == port || port_of(fd, getsockname) == port))
            return steal_fd(&fd);
    }
    cr_assert_fail("the relay has no connection with port %u", port);
    return -1;
}

static int get_option(int fd, int level, int name)
{
    int value;
    socklen_t length = sizeof value;

    cr_assert_eq(getsockopt(fd, level, name, &value, &length), 0, "%m");
    return value;
}

static void set_option(int fd, int name, int value)
{
    cr_assert_eq(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value), 0, "%m");
}

/* The two minutes of relay.h become three seconds. */
static void hurry_keepalive(uint16_t port)
{
    CLEANUP_FD int fd = take_relay_socket(port);

    cr_expect(get_option(fd, SOL_SOCKET, SO_KEEPALIVE));
    cr_expect_eq(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE) +
                     get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL) *
                         get_option(fd, IPPROTO_TCP, TCP_KEEPCNT),
                 120);
    set_option(fd, TCP_KEEPIDLE, 1);
    set_option(fd, TCP_KEEPINTVL, 1);
    set_option(fd, TCP_KEEPCNT, 2);
}

/*
 * One end's packets vanish, and it closes: what would say so vanishes too.  Its session ends, the other
 * end sees a reset, and another session knows nothing of it.
 * port: of that end's connection, and of no other; on_its_way: bytes that are sent to it then
 */
static void expect_found_out(const struct network *network, uint16_t port, int vanished,
                             int other_end, const char *ended_by, size_t on_its_way)
{
    static const char bytes[64 << 10];
    struct tcp_pair another = open_pair();

    hurry_keepalive(port);
    network_cut(network, port);
    cr_assert_eq(close(vanished), 0);
    tcp_send(other_end, bytes, on_its_way);
    cr_expect_eq(tcp_drain(other_end), ECONNRESET);
    CLEANUP_JSON json_object *event = gate_event(&gate, "close", 0);
    cr_expect_str_eq(member_text(event, "ended_by"), ended_by);
    cr_expect_str_eq(member_text(event, "reason"), "timeout");
    cr_assert_eq(close(other_end), 0);
    gate_wait_for_status(&gate, "connections_now", 1);
    tcp_expect_alive(&another);
    tcp_close(&another);
}

static void client_vanishes(size_t on_its_way)
{
    run_between();
    struct tcp_pair pair = open_pair();
    expect_found_out(&bottle, port_of(pair.client, getsockname), pair.client, pair.upstream,
                     "client", on_its_way);
    stop_between();
}

static void upstream_vanishes(size_t on_its_way)
{
    run_between();
    struct tcp_pair pair = open_pair();
    expect_found_out(&outside, port_of(pair.upstream, getpeername), pair.upstream, pair.client,
                     "upstream", on_its_way);
    stop_between();
}

Test(outages, a_client_that_vanishes)
{
    client_vanishes(0);
}

Test(outages, an_upstream_that_vanishes)
{
    upstream_vanishes(0);
}

Test(outages, a_client_that_vanishes_with_bytes_on_their_way)
{
    client_vanishes(1000);
}

Test(outages, an_upstream_that_vanishes_with_bytes_on_their_way)
{
    upstream_vanishes(64 << 10);
}

/* Much longer than the time after which one that vanished is found out. */
Test(outages, a_client_that_stands_still_has_not_vanished)
{
    struct transfer ends[2];

    run_between();
    struct tcp_pair pair = open_pair();
    hurry_keepalive(port_of(pair.client, getsockname));
    one_way(ends, pair.upstream, pair.client, 5, 64 * MIB);
    transfer_until_quiet(ends, 2, 300);
    cr_assert_lt(ends[0].sent, ends[0].send_length, "the sender was never held up");
    sleep_ms(10000);
    ends[1].paused = false;
    transfer_all(ends, 2);
    cr_expect_eq(gate_count_events(&gate, "close"), 0);
    tcp_close(&pair);
    stop_between();
}

/* A session that is idle meanwhile, and one in the middle of a transfer, live on. */
Test(outages, a_network_that_is_gone_for_twenty_seconds)
{
    const uint64_t length = 64 * MIB;

    run_between();
    struct tcp_pair idle = open_pair(), busy = open_pair();
    struct transfer ends[] = {{.fd = busy.client,
                               .send_seed = 1,
                               .send_length = length,
                               .receive_seed = 2,
                               .receive_length = length,
                               .paused = true},
                              {.fd = busy.upstream,
                               .send_seed = 2,
                               .send_length = length,
                               .receive_seed = 1,
                               .receive_length = length,
                               .paused = true}};
    transfer_until_quiet(ends, 2, 300);
    network_cut(&outside, PORT);
    ends[0].paused = ends[1].paused = false;
    int64_t cut_ms = now_ms();
    while (now_ms() < cut_ms + 20000)
        transfer_until_quiet(ends, 2, 1000);
    cr_assert_lt(ends[1].received, length, "the network was never gone");
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_eq(member_number(status, "connections_now"), 2);

    network_mend(&outside, PORT);
    transfer_all(ends, 2);
    tcp_expect_alive(&busy);
    tcp_expect_alive(&idle);
    cr_expect_eq(gate_count_events(&gate, "close"), 0);
    tcp_close(&busy);
    tcp_close(&idle);
    stop_between();
}
