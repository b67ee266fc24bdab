/* SPDX-License-Identifier: MIT */
/*
 * test_endurance.c: an hour's load of all kinds within two minutes leaves the relay's memory as it was.
 *
 * A round a second: sessions that move few bytes and many, both ways, one of them with a reader that
 * holds still; sessions that are reset in the middle; clients that are refused, that say nothing, that
 * leave while the gate dials; questions of status.  Some sessions live through it all.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#define PORT      2200
#define NAME      "gitea.example"
#define ROUND_MS  1000
#define ROUNDS    (SANITIZED ? 20 : 120)
#define WARM_UP   (ROUNDS / 6)
#define LONG      20 /* sessions that live through it all */
#define TRANSFERS 8
#define RESETS    3

/* A page here and there, of c-ares and the C library.  A leak of one allocation a session is more. */
#define MEMORY_SLACK_KIB 256

static struct gate gate;
static struct dns_server *dns;
static int serves, refuses;
static struct tcp_pair long_lived[LONG];

static void set_up(void)
{
    const struct gate_entry entries[] = {{"serves", NAME, PORT}, {"refuses", NAME, PORT + 1}};
    char options[256];

    gate_set_up(&gate);
    dns = dns_start(gate.dns_address, NAME);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address}); /* to be asked for each dial */
    serves = tcp_listen(gate.upstream_address, PORT, 64);
    refuses = tcp_reserve(gate.upstream_address, PORT + 1);
    gate_prepare(&gate, entries, 2);
    (void)snprintf(options, sizeof options,
                   "\"dns_servers\": [\"%s:%d\"], \"identification_timeout_ms\": 700, "
                   "\"event_log_max_bytes\": 65536",
                   gate.dns_address, DNS_PORT);
    gate_start(&gate, options);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
    dns_stop(dns);
    cr_assert_eq(close(serves), 0);
    cr_assert_eq(close(refuses), 0);
}

TestSuite(endurance, .init = set_up, .fini = tear_down, .timeout = 400);

/* From a few bytes to 4 MiB, and each time others. */
static uint64_t size_of(size_t round, size_t i)
{
    return (uint64_t)1 << ((round * 5 + i * 3) % 23);
}

static void both_ways(struct transfer ends[2], const struct tcp_pair *pair, size_t round, size_t i)
{
    const int fds[] = {pair->client, pair->upstream};

    for (size_t j = 0; j < 2; j++)
        ends[j] = (struct transfer){.fd = fds[j],
                                    .send_seed = 2 * (round * TRANSFERS + i) + j,
                                    .send_length = size_of(round, i),
                                    .shut = true,
                                    .receive_seed = 2 * (round * TRANSFERS + i) + 1 - j,
                                    .receive_length = size_of(round, i),
                                    .wait_for_end = true};
}

static void transfer_some(size_t round)
{
    struct tcp_pair pairs[TRANSFERS];
    struct transfer ends[2 * TRANSFERS];

    for (size_t i = 0; i < TRANSFERS; i++) {
        pairs[i] = tcp_through(gate.address, PORT, serves);
        both_ways(&ends[2 * i], &pairs[i], round, i);
    }
    ends[1].paused = true;
    transfer_until_quiet(ends, (size_t)2 * TRANSFERS, 50);
    ends[1].paused = false;
    transfer_all(ends, (size_t)2 * TRANSFERS);
    for (size_t i = 0; i < TRANSFERS; i++)
        tcp_close(&pairs[i]);
}

/* Bytes are still on their way, in the relay's pipe as well. */
static void reset_some(size_t round)
{
    for (size_t i = 0; i < RESETS; i++) {
        struct tcp_pair pair = tcp_through(gate.address, PORT, serves);
        struct transfer ends[2];
        both_ways(ends, &pair, round, i);
        ends[0].send_length = ends[1].receive_length = (uint64_t)64 << 20;
        ends[1].paused = true;
        transfer_until_quiet(ends, 2, 20);
        tcp_reset((round + i) % 2 ? pair.client : pair.upstream);
        cr_assert_eq(close((round + i) % 2 ? pair.upstream : pair.client), 0);
    }
}

static void turn_some_away(void)
{
    int refused = tcp_connect(gate.address, PORT + 1);
    CLEANUP_FREE char *told = ssh_read_disconnect(refused);

    expect_part(told, "Connection refused");
    cr_assert_eq(close(refused), 0);
    tcp_reset(tcp_connect(gate.address, PORT + 1));

    struct tcp_pair silent = {.client = tcp_connect(gate.address, PORT)};
    silent.upstream = tcp_accept(serves);
    CLEANUP_FREE char *late = ssh_read_disconnect(silent.client);
    expect_part(late, "sent no SSH identification");
    tcp_close(&silent);
}

static void run_round(size_t round)
{
    int64_t end_ms = now_ms() + ROUND_MS;

    transfer_some(round);
    reset_some(round);
    turn_some_away();
    for (size_t i = 0; i < LONG; i++)
        tcp_expect_alive(&long_lived[i]);
    gate_wait_for_status(&gate, "connections_now", LONG);
    if (now_ms() < end_ms)
        sleep_ms(end_ms - now_ms());
}

Test(endurance, an_hour_in_two_minutes)
{
    long memory_kib = 0;
    int descriptors = 0;

    for (size_t i = 0; i < LONG; i++)
        long_lived[i] = tcp_through(gate.address, PORT, serves);
    for (size_t round = 0; round < ROUNDS; round++) {
        if (round == WARM_UP) {
            memory_kib = process_memory_kib(gate.relay, "VmRSS");
            descriptors = gate_count_descriptors(&gate);
        }
        run_round(round);
    }
    long grown_kib = process_memory_kib(gate.relay, "VmRSS") - memory_kib;
    cr_expect(SANITIZED || grown_kib < MEMORY_SLACK_KIB, "the relay's memory grew by %ld KiB",
              grown_kib);
    gate_expect_descriptors(&gate, descriptors);
    printf("FIGURE the relay's memory after %jd sessions of all kinds, against %d rounds of %d: "
           "%+ld KiB of %ld KiB\n",
           (intmax_t)gate_sum(&gate, "connections_total"), WARM_UP, ROUNDS, grown_kib, memory_kib);
    (void)fflush(stdout);
    for (size_t i = 0; i < LONG; i++)
        tcp_close(&long_lived[i]);
}
