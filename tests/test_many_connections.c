/* SPDX-License-Identifier: MIT */
/*
 * test_many_connections.c: 2,000 connections open at once, each with bytes of its own, leave the
 * relay as it was: no descriptor, no memory.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PORT        2200
#define CONNECTIONS 2000
#define WARM_UP     50
#define BYTES       512

/*
 * The relay gives its heap back a second after the last connection has gone.  What may stay is a page here and
 * there between what c-ares and the C library keep, and the pages of its code that were used for the
 * first time.  Were connections left, this would be 2,000 times their 400 bytes.
 */
#define MEMORY_SLACK_KIB 256

static struct gate gate;
static struct tcp_pair pairs[CONNECTIONS];

/* Two ends a connection here; the relay has as many of its own. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_geq(limit.rlim_max, 2 * CONNECTIONS + 200,
                  "the hard limit of descriptors is too low");
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void exchange(int from, int to, uint64_t seed)
{
    char sent[BYTES], received[BYTES];

    sequence_fill(sent, seed, IDENTIFICATION_LENGTH, sizeof sent);
    tcp_send(from, sent, sizeof sent);
    tcp_receive(to, received, sizeof received);
    cr_assert_arr_eq(received, sent, sizeof sent, "connection %ju got other bytes",
                     (uintmax_t)seed);
}

static void open_verify_close(int listener, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pairs[i] = tcp_through(gate.address, PORT, listener);
    for (size_t i = 0; i < count; i++) {
        exchange(pairs[i].client, pairs[i].upstream, 2 * i);
        exchange(pairs[i].upstream, pairs[i].client, 2 * i + 1);
    }
    gate_wait_for_status(&gate, "connections_now", (int64_t)count);
    if (count == CONNECTIONS)
        printf("FIGURE resident memory of a relay with %d connections open: %ld KiB\n", CONNECTIONS,
               process_memory_kib(gate.relay, "VmRSS"));
    for (size_t i = 0; i < count; i++)
        tcp_close(&pairs[i]);
    gate_wait_for_status(&gate, "connections_now", 0);
}

/* By how much memory has grown, once the relay has given back what it does. */
static long settled_growth_kib(long before_kib)
{
    int64_t end_ms = now_ms() + 5000;
    long grown_kib;

    while ((grown_kib = process_memory_kib(gate.relay, "VmRSS") - before_kib) >= MEMORY_SLACK_KIB &&
           !SANITIZED && now_ms() < end_ms)
        sleep_ms(100);
    return grown_kib;
}

Test(many_connections, leave_nothing_in_the_relay, .timeout = 240)
{
    gate_set_up(&gate);
    raise_descriptor_limit();
    int listener = tcp_listen(gate.upstream_address, PORT, CONNECTIONS);
    gate_run(&gate, gate.upstream_address, PORT, "");

    open_verify_close(listener, WARM_UP);
    int descriptors = gate_count_descriptors(&gate);
    long memory_kib = process_memory_kib(gate.relay, "VmRSS");
    open_verify_close(listener, CONNECTIONS);
    long grown_kib = settled_growth_kib(memory_kib);

    gate_expect_descriptors(&gate, descriptors);
    cr_expect(SANITIZED || grown_kib < MEMORY_SLACK_KIB, "the relay's memory grew by %ld KiB",
              grown_kib);
    printf("FIGURE the relay's memory after them, against before: %+ld KiB of %ld KiB\n", grown_kib,
           memory_kib);
    (void)fflush(stdout);

    cr_assert_eq(close(listener), 0);
    gate_tear_down(&gate);
}
