/* SPDX-License-Identifier: MIT */
/*
 * test_relay.c: what goes through the gate: every byte, in order, in both directions, whatever
 * their number, speed and end; ends and resets as such; and one truthful event line for it.
 *
 * Both ends of every connection are the test's own (fixtures/tcp.h).
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT        2200
#define KIB         ((uint64_t)1024)
#define MIB         (1024 * KIB)
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;
static int listener;

static void set_up(void)
{
    gate_set_up(&gate);
    listener = tcp_listen(gate.upstream_address, PORT, SOMAXCONN);
    gate_run(&gate, gate.upstream_address, PORT, "");
}

static void tear_down(void)
{
    cr_assert_eq(close(listener), 0);
    gate_tear_down(&gate);
}

TestSuite(relay, .init = set_up, .fini = tear_down, .timeout = 240);

static struct tcp_pair open_pair(void)
{
    return tcp_through(gate.address, PORT, listener);
}

/* A client and an upstream with nothing said yet. */
static struct tcp_pair open_silent_pair(void)
{
    struct tcp_pair pair = {.client = tcp_connect(gate.address, PORT)};

    pair.upstream = tcp_accept(listener);
    return pair;
}

static void expect_close(size_t index, uint64_t bytes_up, uint64_t bytes_down, const char *ended_by,
                         const char *reason)
{
    CLEANUP_JSON json_object *event = gate_event(&gate, "close", index);

    cr_expect_eq(member_number(event, "bytes_up"), (int64_t)bytes_up);
    cr_expect_eq(member_number(event, "bytes_down"), (int64_t)bytes_down);
    cr_expect_str_eq(member_text(event, "ended_by"), ended_by);
    cr_expect_str_eq(member_text(event, "reason"), reason);
}

/* ---- ends ---- */

/* One end sends all and shuts; the other, which has seen the end, then sends all the other way. */
static void half_close(int first, int second, uint64_t length)
{
    struct transfer there[] = {
        {.fd = first, .send_seed = 1, .send_length = length, .shut = true},
        {.fd = second, .receive_seed = 1, .receive_length = length, .wait_for_end = true}};
    struct transfer back[] = {
        {.fd = first, .receive_seed = 2, .receive_length = length, .wait_for_end = true},
        {.fd = second, .send_seed = 2, .send_length = length, .shut = true}};

    transfer_all(there, 2);
    transfer_all(back, 2);
}

Test(relay, client_that_shuts_first_receives_everything)
{
    struct tcp_pair pair = open_silent_pair();

    half_close(pair.client, pair.upstream, 64 * MIB);
    expect_close(0, 64 * MIB, 64 * MIB, "client", "eof");
    tcp_close(&pair);
}

Test(relay, upstream_that_shuts_first_receives_everything)
{
    struct tcp_pair pair = open_silent_pair();

    half_close(pair.upstream, pair.client, 64 * MIB);
    expect_close(0, 64 * MIB, 64 * MIB, "upstream", "eof");
    tcp_close(&pair);
}

/* A half-closed connection has no timeout: the other direction goes on as it likes. */
Test(relay, half_closed_connection_stays)
{
    struct tcp_pair pair = open_pair();
    char byte;

    cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
    cr_assert_eq(tcp_drain(pair.upstream), 0);
    sleep_ms(1000);
    tcp_send(pair.upstream, "x", 1);
    tcp_receive(pair.client, &byte, 1);
    cr_assert_eq(byte, 'x');
    gate_wait_for_status(&gate, "connections_now", 1);
    tcp_close(&pair);
    expect_close(0, IDENTIFICATION_LENGTH, IDENTIFICATION_LENGTH + 1, "client", "eof");
}

Test(relay, both_ends_at_once_and_empty)
{
    struct tcp_pair pair = open_silent_pair();

    cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
    cr_assert_eq(shutdown(pair.upstream, SHUT_WR), 0);
    cr_expect_eq(tcp_drain(pair.client), 0);
    cr_expect_eq(tcp_drain(pair.upstream), 0);
    gate_wait_for_status(&gate, "connections_now", 0);
    CLEANUP_JSON json_object *event = gate_event(&gate, "close", 0);
    cr_expect_eq(member_number(event, "bytes_up"), 0);
    cr_expect_eq(member_number(event, "bytes_down"), 0);
    cr_expect_str_eq(member_text(event, "reason"), "eof");
    tcp_close(&pair);
}

/* ---- urgent data ---- */

/* Until the gate's machine has all that was sent, the end as well. */
static void wait_until_taken(int fd)
{
    int64_t end_ms = now_ms() + WAIT_MS;
    int left = 1;

    while (left > 0) {
        cr_assert_eq(ioctl(fd, SIOCOUTQ, &left), 0);
        cr_assert_lt(now_ms(), end_ms, "%d bytes do not arrive", left);
    }
}

/*
 * What is before and behind an urgent byte arrives, though reads stop where it stood.  The relay finds all at
 * once, because it is stopped meanwhile.  The urgent byte itself no receiver finds among the others (tcp(7)).
 */
static void send_urgent_between(uint64_t before, uint64_t behind, bool shut)
{
    static char sent[64 * KIB], received[64 * KIB];
    struct tcp_pair pair = open_pair();
    const size_t length = before + behind;

    sequence_fill(sent, 7, 100, length);
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    tcp_send(pair.client, sent, before);
    cr_assert_eq(send(pair.client, "!", 1, MSG_OOB), 1);
    tcp_send(pair.client, sent + before, behind);
    if (shut)
        cr_assert_eq(shutdown(pair.client, SHUT_WR), 0);
    wait_until_taken(pair.client);
    cr_assert_eq(kill(gate.relay, SIGCONT), 0);
    tcp_receive(pair.upstream, received, length);
    cr_assert_arr_eq(received, sent, length);
    if (shut)
        cr_expect_eq(tcp_drain(pair.upstream), 0);
    else
        tcp_expect_alive(&pair);
    tcp_close(&pair);
}

Test(relay, urgent_data_lose_nothing_before_the_end)
{
    send_urgent_between(40 * KIB, 20 * KIB, true);
    expect_close(0, IDENTIFICATION_LENGTH + 60 * KIB, IDENTIFICATION_LENGTH, "client", "eof");
    send_urgent_between(1000, 1000, true);
}

Test(relay, urgent_data_hold_up_nothing)
{
    send_urgent_between(40 * KIB, 20 * KIB, false);
    send_urgent_between(1000, 1000, false);
}

/* ---- resets ---- */

enum traffic { IDLE, RESETTER_SENDS, OTHER_SENDS, RESETTER_ENDED, OTHER_ENDED };
static const char *const TRAFFIC_NAMES[] = {"idle", "resetter sends", "other sends",
                                            "resetter has shut", "other has shut"};

/* Bulk that stands in every buffer on the way, because who should read it does not. */
static void fill_up(int from, int to)
{
    struct transfer transfers[] = {{.fd = from, .send_seed = 3, .send_length = 256 * MIB},
                                   {.fd = to, .receive_length = 256 * MIB, .paused = true}};

    transfer_until_quiet(transfers, 2, 200);
    cr_assert_lt(transfers[0].sent, transfers[0].send_length);
}

static void make_traffic(enum traffic traffic, int resetter, int other)
{
    if (traffic == RESETTER_SENDS)
        fill_up(resetter, other);
    else if (traffic == OTHER_SENDS)
        fill_up(other, resetter);
    if (traffic == RESETTER_ENDED || traffic == OTHER_ENDED) {
        int ended = traffic == RESETTER_ENDED ? resetter : other;
        cr_assert_eq(shutdown(ended, SHUT_WR), 0);
        cr_assert_eq(tcp_drain(ended == resetter ? other : resetter), 0);
    }
}

static void expect_reset_arrives(enum traffic traffic, bool by_client, size_t index)
{
    struct tcp_pair pair = open_pair();
    int resetter = by_client ? pair.client : pair.upstream;
    int other = by_client ? pair.upstream : pair.client;
    const char *who = by_client ? "client" : "upstream";

    make_traffic(traffic, resetter, other);
    tcp_reset(resetter);
    /* After its end of file was read, only the error itself is left to see. */
    int error = 0;
    if (traffic == RESETTER_ENDED) {
        socklen_t length = sizeof error;
        gate_wait_for_status(&gate, "connections_now", 0);
        cr_assert_eq(getsockopt(other, SOL_SOCKET, SO_ERROR, &error, &length), 0);
        if (error == EPIPE) /* what a reset is after the end of file (tcp_reset in Linux) */
            error = ECONNRESET;
    } else {
        error = tcp_drain(other);
    }
    cr_expect_eq(error, ECONNRESET, "%s, reset by the %s: the other end sees %s",
                 TRAFFIC_NAMES[traffic], who, error ? strerror(error) : "an end of file");
    cr_assert_eq(close(other), 0);

    CLEANUP_JSON json_object *event = gate_event(&gate, "close", index);
    cr_expect_str_eq(member_text(event, "ended_by"), who, "%s", TRAFFIC_NAMES[traffic]);
    cr_expect_str_eq(member_text(event, "reason"), "reset", "%s", TRAFFIC_NAMES[traffic]);
}

Test(relay, reset_arrives_as_reset)
{
    size_t index = 0;

    for (enum traffic traffic = IDLE; traffic <= OTHER_ENDED; traffic++) {
        expect_reset_arrives(traffic, true, index++);
        expect_reset_arrives(traffic, false, index++);
    }
    gate_wait_for_status(&gate, "connections_now", 0);
}

Test(relay, reset_leaves_other_connections_alone)
{
    struct tcp_pair stays = open_pair();

    for (int i = 0; i < 50; i++) {
        struct tcp_pair goes = open_pair();
        tcp_reset(i % 2 ? goes.client : goes.upstream);
        cr_assert_eq(tcp_drain(i % 2 ? goes.upstream : goes.client), ECONNRESET);
        cr_assert_eq(close(i % 2 ? goes.upstream : goes.client), 0);
        tcp_expect_alive(&stays);
    }
    tcp_close(&stays);
}

/* ---- speed and amount ---- */

/*
 * More than all buffers hold: Linux has 4 MiB to send and 32 MiB to receive in each of the two
 * connections at most, the relay 1 MiB in its pipe.
 */
static void slow_reader(int from, int to)
{
    const uint64_t length = 160 * MIB;
    struct transfer transfers[] = {
        {.fd = from, .send_seed = 4, .send_length = length, .shut = true},
        {.fd = to,
         .receive_seed = 4,
         .receive_length = length,
         .wait_for_end = true,
         .paused = true}};
    long before_kib = process_memory_kib(gate.relay, "RssAnon");

    transfer_until_quiet(transfers, 2, 300);
    cr_assert_gt(transfers[0].sent, MIB);
    cr_assert_lt(transfers[0].sent, length, "the sender was never held up");
    /* Bytes in flight are the kernel's: the relay itself holds none of those MiB; a sanitizer has pages of its own. */
    cr_expect_lt(process_memory_kib(gate.relay, "RssAnon") - before_kib, SANITIZED ? 1024 : 64);
    transfers[1].paused = false;
    transfer_all(transfers, 2);
}

Test(relay, slow_upstream_loses_nothing)
{
    struct tcp_pair pair = open_pair();

    slow_reader(pair.client, pair.upstream);
    tcp_close(&pair);
}

Test(relay, slow_client_loses_nothing)
{
    struct tcp_pair pair = open_pair();

    slow_reader(pair.upstream, pair.client);
    tcp_close(&pair);
}

/* Of two ends of one connection: each sends length bytes to the other and then its end. */
static void both_ways(struct transfer ends[2], const struct tcp_pair *pair, uint64_t seed,
                      uint64_t length)
{
    const int fds[] = {pair->client, pair->upstream};

    for (size_t i = 0; i < 2; i++)
        ends[i] = (struct transfer){.fd = fds[i],
                                    .send_seed = seed + i,
                                    .send_length = length,
                                    .shut = true,
                                    .receive_seed = seed + 1 - i,
                                    .receive_length = length,
                                    .wait_for_end = true};
}

/* Of the test's own ends, so that what stands still does not take the machine's memory. */
static void keep_buffers_small(const struct tcp_pair *pair)
{
    static const int size = 64 << 10;
    const int fds[] = {pair->client, pair->upstream};

    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
        cr_assert_eq(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    }
}

static void pause_all(struct transfer *ends, size_t count, bool paused)
{
    for (size_t i = 0; i < count; i++)
        ends[i].paused = paused;
}

/* A child: says whether there is a pipe of a useful size to be had without capabilities, as in the relay. */
static const char *look_for_pipe(int parent_fd, void *context)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    const int useful = 32 << 10;
    int fds[2];

    (void)context;
    if (syscall(SYS_capset, &header, none) || pipe2(fds, O_CLOEXEC))
        return child_failure("no pipe at all: %s", strerror(errno));
    line_send(parent_fd, fcntl(fds[0], F_GETPIPE_SZ) < useful ? "used up" : "left");
    return NULL;
}

/*
 * The relay has as many pipes as it makes, which shows in its descriptors; or as many as its user can have: all
 * processes of a user share /proc/sys/fs/pipe-user-pages-soft, also with tests that run beside this one.
 */
static bool is_short_of_pipes(int descriptors)
{
    char line[64];
    struct child child = child_start(look_for_pipe, NULL);

    cr_assert(line_receive(child.fd, line, sizeof line));
    child_wait(&child);
    return strcmp(line, "used up") == 0 || gate_count_descriptors(&gate) >= descriptors;
}

/* More directions stand still, half-way, than the relay has pipes; then all go on. */
Test(relay, more_slow_readers_than_pipes_lose_nothing)
{
    enum { PAIRS = 40, ENDS = 2 * PAIRS, PIPES_MAX = 64, PIPES_MAX_SPARE = 8 };
    static struct transfer ends[ENDS];
    struct tcp_pair pairs[PAIRS];
    int descriptors = gate_count_descriptors(&gate);
    const int short_of_pipes = descriptors + ENDS + 2 * (PIPES_MAX - PIPES_MAX_SPARE);

    for (uint64_t i = 0; i < PAIRS; i++) {
        pairs[i] = open_pair();
        keep_buffers_small(&pairs[i]);
        both_ways(&ends[2 * i], &pairs[i], 100 + 2 * i, 16 * MIB);
    }
    pause_all(ends, ENDS, true);
    transfer_until_quiet(ends, ENDS, 300);
    bool is_short = descriptors < 0 || is_short_of_pipes(short_of_pipes);
    /* What others gave back meanwhile is asked for with the next bytes. */
    for (int i = 0; i < 20 && !is_short; i++) {
        pause_all(ends, ENDS, false);
        transfer_once(ends, ENDS);
        pause_all(ends, ENDS, true);
        transfer_until_quiet(ends, ENDS, 100);
        is_short = is_short_of_pipes(short_of_pipes);
    }
    cr_expect(is_short, "the relay was not short of pipes");
    for (size_t i = 0; i < ENDS; i++)
        cr_assert_lt(ends[i].sent, ends[i].send_length, "sender %zu was never held up", i);
    pause_all(ends, ENDS, false);
    transfer_all(ends, ENDS);
    for (size_t i = 0; i < PAIRS; i++)
        tcp_close(&pairs[i]);
    gate_wait_for_status(&gate, "connections_now", 0);
    gate_expect_descriptors(&gate, descriptors);
}

Test(relay, sizes_around_the_buffers_both_ways_at_once)
{
    static const uint64_t sizes[] = {1,
                                     2,
                                     IDENTIFICATION_LENGTH - 1,
                                     IDENTIFICATION_LENGTH,
                                     4095,
                                     4096,
                                     4097,
                                     32767,
                                     32768,
                                     32769,
                                     65535,
                                     65536,
                                     65537,
                                     512 * KIB - 1,
                                     512 * KIB,
                                     512 * KIB + 1,
                                     MIB - 1,
                                     MIB,
                                     MIB + 1,
                                     3 * MIB + 7,
                                     16 * MIB + 32769};
    struct tcp_pair pairs[ROWS(sizes)];
    struct transfer ends[2 * ROWS(sizes)];
    int64_t all = 0;

    for (size_t i = 0; i < ROWS(sizes); i++) {
        pairs[i] = open_silent_pair();
        both_ways(&ends[2 * i], &pairs[i], 1000 + 2 * i, sizes[i]);
        all += (int64_t)sizes[i];
    }
    transfer_all(ends, 2 * ROWS(sizes));
    gate_wait_for_status(&gate, "connections_now", 0);
    for (size_t i = 0; i < ROWS(sizes); i++)
        tcp_close(&pairs[i]);

    /* Every size is in one event line, in both directions; the counters have the sums. */
    for (size_t i = 0; i < ROWS(sizes); i++) {
        CLEANUP_JSON json_object *event = gate_event(&gate, "close", i);
        int64_t bytes = member_number(event, "bytes_up");
        cr_expect_eq(member_number(event, "bytes_down"), bytes);
        cr_expect_eq(bytes, (int64_t)sizes[member_number(event, "connection") - 1]);
    }
    cr_expect_eq(gate_sum(&gate, "bytes_up"), all);
    cr_expect_eq(gate_sum(&gate, "bytes_down"), all);
    cr_expect_eq(gate_sum(&gate, "connections_total"), ROWS(sizes));
    cr_expect_eq(gate_sum(&gate, "connections_now"), 0);
}

/* The same sizes as messages on one connection: after each, both directions run dry. */
Test(relay, messages_around_the_buffers)
{
    static const uint64_t sizes[] = {32767, 32768, 32769, 65536, MIB - 1, MIB, MIB + 1, 1};
    struct tcp_pair pair = open_pair();

    for (size_t round = 0; round < 5; round++)
        for (size_t i = 0; i < ROWS(sizes); i++) {
            struct transfer ends[2];
            both_ways(ends, &pair, 2000 + 2 * i, sizes[i]);
            for (size_t j = 0; j < 2; j++)
                ends[j].shut = ends[j].wait_for_end = false;
            transfer_all(ends, 2);
        }
    tcp_close(&pair);
}

Test(relay, ping_pong_of_small_packets)
{
    static const int on = 1;
    enum { ROUNDS = 4000, LONGEST = 97 };
    struct tcp_pair pair = open_pair();
    char sent[LONGEST], received[LONGEST];

    cr_assert_eq(setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    cr_assert_eq(setsockopt(pair.upstream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        size_t length = 1 + i % LONGEST;
        sequence_fill(sent, i, 100, length);
        tcp_send(pair.client, sent, length);
        tcp_receive(pair.upstream, received, length);
        cr_assert_arr_eq(received, sent, length);
        sequence_fill(sent, i, 300, length);
        tcp_send(pair.upstream, sent, length);
        tcp_receive(pair.client, received, length);
        cr_assert_arr_eq(received, sent, length);
    }
    tcp_close(&pair);
}

/* In a child: moves what can be moved, as fast as it can, until it is killed. */
static const char *pump(int parent_fd, void *context)
{
    static char bytes[256 << 10];
    const struct tcp_pair *pair = context;
    struct pollfd polls[] = {{.fd = pair->client, .events = POLLOUT},
                             {.fd = pair->upstream, .events = POLLIN}};

    (void)parent_fd;
    while (poll(polls, 2, WAIT_MS) > 0) {
        ssize_t sent = send(pair->client, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        ssize_t received = recv(pair->upstream, bytes, sizeof bytes, MSG_DONTWAIT);
        if ((sent < 0 || received < 0) && errno != EAGAIN)
            return child_failure("the bulk connection broke: %s", strerror(errno));
    }
    return "the bulk connection stands still";
}

Test(relay, bulk_does_not_starve_others)
{
    struct tcp_pair bulk = open_pair(), small = open_pair();
    struct child child = child_start(pump, &bulk);

    for (int i = 0; i < 200; i++) {
        tcp_expect_alive(&small); /* the bulk does not end by itself */
        sleep_ms(5);
    }
    child_kill(&child);
    cr_expect_gt(gate_sum(&gate, "bytes_up"), (int64_t)(16 * MIB), "it was no bulk");
    tcp_close(&small);
    tcp_close(&bulk);
}

/* ---- the gate's own end ---- */

Test(relay, stop_resets_what_is_open)
{
    struct tcp_pair pair = open_pair();

    gate_stop(&gate);
    cr_expect_eq(tcp_drain(pair.client), ECONNRESET);
    cr_expect_eq(tcp_drain(pair.upstream), ECONNRESET);
    expect_close(0, IDENTIFICATION_LENGTH, IDENTIFICATION_LENGTH, "gate", "stop");
    tcp_close(&pair);
    CLEANUP_JSON json_object *stopped = gate_event(&gate, "stopped", 0);
    cr_expect_str_eq(member_text(stopped, "reason"), "stop");
    cr_expect_eq(member_number(stopped, "connections_total"), 1);
}

/* More lines than are written at once. */
Test(relay, stop_loses_no_line)
{
    struct tcp_pair pairs[100];

    for (size_t i = 0; i < ROWS(pairs); i++)
        pairs[i] = open_pair();
    gate_stop(&gate);
    cr_expect_eq(gate_count_events(&gate, "open"), ROWS(pairs));
    cr_expect_eq(gate_count_events(&gate, "close"), ROWS(pairs));
    cr_expect_eq(gate_count_events(&gate, "stopped"), 1);
    for (size_t i = 0; i < ROWS(pairs); i++)
        tcp_close(&pairs[i]);
}

Test(relay, open_line_says_who_and_where)
{
    int64_t before_ms = now_ms();
    struct tcp_pair pair = open_pair();
    int64_t opened_ms = now_ms();
    CLEANUP_JSON json_object *started = gate_event(&gate, "started", 0);
    CLEANUP_JSON json_object *open = gate_event(&gate, "open", 0);
    char text[64];

    cr_expect_str_eq(member_text(started, "slug"), gate.slug);
    cr_expect_str_eq(member_text(open, "bottle_host_alias"), "upstream");
    cr_expect_str_eq(member_text(open, "upstream_host"), gate.upstream_address);
    cr_expect_eq(member_number(open, "upstream_port"), PORT);
    (void)snprintf(text, sizeof text, "%s:%d", gate.upstream_address, PORT);
    cr_expect_str_eq(member_text(open, "upstream_address"), text);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", tcp_port(pair.client));
    cr_expect_str_eq(member_text(open, "client_address"), text);
    cr_expect_eq(member_number(open, "connection"), 1);
    cr_expect_leq(member_number(open, "dial_ms"), opened_ms - before_ms + 1);
    tcp_close(&pair);
    expect_close(0, IDENTIFICATION_LENGTH, IDENTIFICATION_LENGTH, "client", "eof");
}
