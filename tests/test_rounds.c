/* SPDX-License-Identifier: MIT */
/*
 * test_rounds.c: a launcher that loads the plugin, prepares, starts, stops and unloads it again and
 * again is left with nothing: no descriptor, no memory, no child.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "process.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT   2200
#define ROUNDS (SANITIZED ? 50 : 1000)
#define WARM   (ROUNDS / 10) /* rounds after which the process has what it keeps */

/* What the allocator and the dynamic linker may still settle; a leak of 1 KiB a round is 900 KiB. */
#define MEMORY_SLACK_KIB 400

static void go_round(struct gate *gate)
{
    CLEANUP_FREE char *path = build_path("plugin/ssh_gate.so");

    cr_assert_eq(bottle_plugin_load(path, &gate->plugin, NULL), BOTTLE_OK);
    gate_run(gate, gate->upstream_address, PORT, "");
    gate_stop(gate);
    bottle_plugin_unload(gate->plugin);
    gate->plugin = NULL;
}

Test(rounds, leave_nothing_behind, .timeout = 280)
{
    struct gate gate;
    int descriptors = 0;
    long memory_kib = 0;
    int64_t started_ms = now_ms();

    gate_set_up(&gate);
    bottle_plugin_unload(gate.plugin);
    for (int i = 0; i < ROUNDS; i++) {
        if (i == WARM) {
            descriptors = process_count_descriptors(getpid());
            memory_kib = process_memory_kib(getpid(), "VmRSS");
        }
        go_round(&gate);
    }
    int64_t took_ms = now_ms() - started_ms;
    long grown_kib = process_memory_kib(getpid(), "VmRSS") - memory_kib;

    cr_expect_eq(process_count_descriptors(getpid()), descriptors);
    cr_expect(SANITIZED || grown_kib < MEMORY_SLACK_KIB, "memory grew by %ld KiB in %d rounds",
              grown_kib, ROUNDS - WARM);
    cr_expect(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD, "a child is left");
    printf(
        "FIGURE %d rounds of load, prepare, start, stop, unload: %.1f ms each; memory %+ld KiB\n",
        ROUNDS, (double)took_ms / ROUNDS, grown_kib);
    (void)fflush(stdout);
    gate_tear_down(&gate);
}
