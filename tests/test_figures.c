/* SPDX-License-Identifier: MIT */
/*
 * test_figures.c: how fast a gate starts and how little it needs, printed and not judged: that
 * depends on the machine.  ctest runs nothing beside this one.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PORT   2200
#define ROUNDS 51

static int64_t now_us(void)
{
    struct timespec now;

    cr_assert_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

Test(figures, of_start_and_of_an_idle_relay, .timeout = 120)
{
    struct gate gate;
    int64_t took_us[ROUNDS];

    gate_set_up(&gate);
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};
    gate_prepare(&gate, &entry, 1);
    for (size_t i = 0; i < ROUNDS; i++) {
        int64_t before_us = now_us();
        cr_assert_eq(gate_try_start(&gate, "{\"exit_with_launcher\": true}", NULL), BOTTLE_OK);
        cr_assert_eq(tcp_connect_error(gate.address, PORT), 0);
        took_us[i] = now_us() - before_us;
        gate_stop(&gate);
    }
    qsort(took_us, ROUNDS, sizeof took_us[0], by_size);
    int64_t median_us = took_us[ROUNDS / 2];
    gate_start(&gate, "");
    long resident_kib = process_memory_kib(gate.relay, "VmRSS");
    cr_expect_gt(resident_kib, 0);
    printf("FIGURE start to first accepted connection: median %.1f ms, least %.1f ms, of %d\n",
           (double)median_us / 1000, (double)took_us[0] / 1000, ROUNDS);
    printf(
        "FIGURE resident memory of an idle relay: %ld KiB, of which %ld KiB are not its file's\n",
        resident_kib, process_memory_kib(gate.relay, "RssAnon"));
    (void)fflush(stdout);
    gate_tear_down(&gate);
}
