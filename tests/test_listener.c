/* SPDX-License-Identifier: MIT */
/*
 * test_listener.c: system calls by which clients come fail, as they do where the machine is short of
 * descriptors or memory: the relay waits a while and goes on, and does not spin meanwhile.
 *
 * strace(1) makes the calls fail and writes down what the relay calls.  The relay's own filter would see
 * that as a forbidden call, so there is none here.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "missing_calls.h"
#include "process.h"
#include "tcp.h"

#include <bottle/sidecar.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_PORT 2200
#define PORTS      8

static struct gate gate;
static char trace[96];
static pid_t tracer;

static void set_up(void)
{
    gate_set_up(&gate);
    cr_assert(hide_system_call(SCMP_SYS(seccomp)), "%m");
    (void)snprintf(trace, sizeof trace, "%s/trace", gate.stage_dir);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(listener, .init = set_up, .fini = tear_down, .timeout = 120);

/* What strace has written so far; malloc'ed. */
static char *read_trace(void)
{
    CLEANUP_FD int fd = open(trace, O_RDONLY | O_CLOEXEC);
    struct stat file;

    if (fd < 0)
        return strdup("");
    cr_assert_eq(fstat(fd, &file), 0);
    char *text = calloc(1, (size_t)file.st_size + 1);
    cr_assert_not_null(text);
    cr_assert_geq(read(fd, text, (size_t)file.st_size), 0);
    return text;
}

static size_t count_in(const char *text, const char *part)
{
    size_t count = 0;

    while ((text = strstr(text, part))) {
        count++;
        text += strlen(part);
    }
    return count;
}

static void wait_for_trace(const char *part, size_t count)
{
    int64_t end_ms = now_ms() + WAIT_MS;

    for (;;) {
        CLEANUP_FREE char *text = read_trace();
        if (count_in(text, part) >= count)
            return;
        cr_assert_lt(now_ms(), end_ms, "not %zu times \"%s\" in: %s", count, part, text);
        sleep_ms(2);
    }
}

/* fault, another_fault: as strace's -e inject=; NULL: none */
static void trace_relay(const char *fault, const char *another_fault)
{
    char pid[16];

    if (geteuid() != 0 || SANITIZED) {
        cr_assert(SANITIZED || !getenv("CI"), "run as root, as CI must");
        cr_skip_test("only root may trace the relay, and a sanitizer makes calls of its own");
    }
    (void)snprintf(pid, sizeof pid, "%d", gate.relay);
    tracer = fork();
    cr_assert_geq(tracer, 0);
    if (tracer == 0) {
        const char *const arguments[] = {"strace",      "-qq", "-r",
                                         "-o",          trace, "-p",
                                         pid,           "-e",  "trace=accept4,epoll_ctl,epoll_wait",
                                         "-e",          fault, another_fault ? "-e" : NULL,
                                         another_fault, NULL};
        (void)execvp("strace", (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    wait_for_trace("epoll_wait(", 1); /* the one that it waits in */
}

/* Returns what it wrote; malloc'ed. */
static char *end_trace(void)
{
    int status;

    cr_assert_eq(kill(tracer, SIGTERM), 0);
    cr_assert_eq(waitpid(tracer, &status, 0), tracer);
    return read_trace();
}

/* Accepting fails once, so the relay pauses; when it goes on, one of its listeners cannot be watched. */
Test(listener, waits_when_a_listener_cannot_be_watched)
{
    struct gate_entry entries[PORTS];
    char aliases[PORTS][8], fault[64];
    int clients[PORTS];

    for (size_t i = 0; i < PORTS; i++) {
        (void)snprintf(aliases[i], sizeof aliases[i], "host%zu", i);
        entries[i] =
            (struct gate_entry){aliases[i], gate.upstream_address, (uint16_t)(FIRST_PORT + i)};
    }
    gate_prepare(&gate, entries, PORTS);
    gate_start(&gate, "");
    /* All are taken out, and the second to come back in fails. */
    (void)snprintf(fault, sizeof fault, "inject=epoll_ctl:error=ENOSPC:when=%d", PORTS + 2);
    trace_relay("inject=accept4:error=EMFILE:when=1", fault);
    for (size_t i = 0; i < PORTS; i++)
        clients[i] = tcp_connect(gate.address, (uint16_t)(FIRST_PORT + i));
    for (size_t i = 0; i < PORTS;
         i++) { /* nothing listens at the upstream's address, and so they are told */
        CLEANUP_FREE char *told = ssh_read_disconnect(clients[i]);
        expect_part(told, "Connection refused");
        cr_assert_eq(close(clients[i]), 0);
    }
    CLEANUP_FREE char *text = end_trace();
    cr_expect_eq(count_in(text, "EMFILE (Too many open files) (INJECTED)"), 1);
    cr_expect_eq(count_in(text, "ENOSPC (No space left on device) (INJECTED)"), 1);
    cr_expect_lt(count_in(text, "epoll_wait("), 100, "the relay spins");
}

static const char *ask_status(int parent_fd, void *context)
{
    (void)parent_fd;
    (void)context;
    CLEANUP_JSON json_object *status = gate_status(&gate);

    return status ? NULL : "no status";
}

/* The seconds that strace -r found between two calls of accept4(2) that failed. */
static double pause_before_second_try(const char *text)
{
    double seconds = 0;
    size_t tries = 0;

    for (const char *line = text; line && *line; line = strchr(line, '\n') + 1) {
        double since = strtod(line, NULL);
        if (tries > 0)
            seconds += since;
        if (strncmp(line + strspn(line, " .0123456789"), "accept4(", strlen("accept4(")) == 0 &&
            ++tries == 2)
            return seconds;
    }
    return 0;
}

Test(listener, waits_when_a_request_cannot_be_accepted)
{
    gate_run(&gate, gate.upstream_address, FIRST_PORT, "");
    trace_relay("inject=accept4:error=ENFILE:when=1..2", NULL);
    child_run(ask_status, NULL);
    CLEANUP_FREE char *text = end_trace();
    cr_expect_eq(count_in(text, "ENFILE (Too many open files in system) (INJECTED)"), 2);
    /* Less than that it cannot be on a busy machine. */
    cr_expect_geq(pause_before_second_try(text), 0.4, "it tries at once: %s", text);
}
