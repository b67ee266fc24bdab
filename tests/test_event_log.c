/* SPDX-License-Identifier: MIT */
/*
 * test_event_log.c: what gets into the event log beside events, and what a limit on the size of files does
 * to it.
 */
#include "command_relay.h"
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 2200

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(event_log, .init = set_up, .fini = tear_down, .timeout = 120);

/* As the C library's own last words, or c-ares's complaints. */
Test(event_log, what_a_library_prints_is_an_event)
{
    static const char *const TEXTS[] = {"*** a library's words ***\n", "no line", "\"\\\x1b\xff\n"};
    static const char *const EXPECTED[] = {"*** a library's words ***", "no line",
                                           "\"\\\x1b\xef\xbf\xbd"};
    char path[64];

    if (geteuid() != 0 || SANITIZED) {
        cr_assert(SANITIZED || !getenv("CI"), "run as root, as CI must");
        cr_skip_test(
            "only root may write to the relay's standard error; a sanitizer has it for its own");
    }
    gate_run(&gate, gate.upstream_address, PORT, "");
    (void)snprintf(path, sizeof path, "/proc/%d/fd/2", gate.relay);
    CLEANUP_FD int stderr_fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_geq(stderr_fd, 0, "%s: %m", path);
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        size_t length = strlen(TEXTS[i]);
        cr_assert_eq(write(stderr_fd, TEXTS[i], length), (ssize_t)length);
        CLEANUP_JSON json_object *event = gate_event(&gate, "library-message", i);
        cr_expect_str_eq(member_text(event, "message"), EXPECTED[i]);
    }
}

static void limit_files(rlim_t size)
{
    struct rlimit limit = {.rlim_cur = size, .rlim_max = size};

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* RLIMIT_FSIZE, whose signal ends who does not ignore it: the newest lines are kept within it. */
Test(event_log, stays_within_the_limit_on_files)
{
    enum { LIMIT = 16 << 10, CONNECTIONS = 100 };
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    int reserved = tcp_reserve("127.0.0.1", 0);
    CLEANUP_FREE char *path = NULL;
    struct stat file;

    cr_assert_gt(asprintf(&path, "%s/ssh_gate_events.jsonl", gate.stage_dir), 0);
    CLEANUP_FD int log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(log, 0);
    const struct command_relay line = {.slug = gate.slug,
                                       .instance = "0",
                                       .port = tcp_port(reserved),
                                       .upstream_address = gate.upstream_address,
                                       .upstream_port = PORT,
                                       .events_fd = log};
    limit_files(LIMIT);
    struct child relay = command_relay_start(&line);
    (void)json_object_put(gate_event(&gate, "started", 0));
    for (int i = 0; i < CONNECTIONS; i++) {
        struct tcp_pair pair = tcp_through("127.0.0.1", tcp_port(reserved), upstream);
        tcp_close(&pair);
    }
    gate_wait_for_status(&gate, "connections_now", 0);
    cr_assert_eq(kill(relay.pid, SIGTERM), 0);
    child_wait(&relay);
    CLEANUP_JSON json_object *stopped = gate_event(&gate, "stopped", 0);
    cr_expect_eq(member_number(stopped, "connections_total"), CONNECTIONS);
    cr_expect_eq(gate_count_events(&gate, "started"), 0, "it was never shortened");
    cr_assert_eq(fstat(log, &file), 0);
    cr_expect_leq(file.st_size, LIMIT);
    cr_assert_eq(close(reserved), 0);
    cr_assert_eq(close(upstream), 0);
}
