/* SPDX-License-Identifier: MIT */
/*
 * test_launcher.c: launchers of every kind: killed at any moment, without privileges, in a hurry,
 * many at once, and of another user.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"
#include "tcp.h"
#include "wire/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT        2200
#define NOBODY      65534
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};
    gate_prepare(&gate, &entry, 1);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(launcher, .init = set_up, .fini = tear_down, .timeout = 240);

/* A gate works or there is none; which of both is found out. */
static bool is_gate_there(void)
{
    int64_t end_ms = now_ms() + WAIT_MS;
    CLEANUP_JSON json_object *status = gate_status(&gate);
    int error = tcp_connect_error(gate.address, PORT);

    if (status)
        cr_expect_eq(error, 0, "the gate runs, but does not accept");
    while (!status && error != ECONNREFUSED) { /* its process may not be quite over */
        cr_assert_lt(now_ms(), end_ms, "the gate is gone, but its port is not");
        sleep_ms(1);
        error = tcp_connect_error(gate.address, PORT);
    }
    return status != NULL;
}

static void expect_no_relay_file(void)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/ssh_gate_relay", gate.stage_dir);
    cr_expect_eq(access(path, F_OK), -1);
}

/* ---- what is as it was ---- */

struct surroundings {
    char directory[256];
    mode_t mask;
    sigset_t blocked;
    int descriptors;
    struct sigaction actions[NSIG];
    char *environment[64]; /* the pointers: nothing was put, changed or moved */
};

static void look_around(struct surroundings *around)
{
    memset(around, 0, sizeof *around);
    cr_assert_not_null(getcwd(around->directory, sizeof around->directory));
    around->mask = umask(0);
    (void)umask(around->mask);
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &around->blocked), 0);
    around->descriptors = process_count_descriptors(getpid());
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, NULL, &around->actions[number]); /* not for the C library's own */
    for (size_t i = 0; i < ROWS(around->environment) && environ[i]; i++)
        around->environment[i] = environ[i];
}

static void never_called(int number)
{
    (void)number;
}

/* All signals are blocked, so that one that was sent shows as pending. */
Test(launcher, surroundings_stay_as_they_are)
{
    static struct surroundings before, after;
    sigset_t all, pending;

    cr_assert_neq(signal(SIGUSR1, never_called), SIG_ERR);
    cr_assert_neq(signal(SIGCHLD, never_called), SIG_ERR);
    cr_assert_eq(sigfillset(&all), 0);
    cr_assert_eq(sigprocmask(SIG_SETMASK, &all, NULL), 0);
    cr_assert_eq(chdir(gate.stage_dir), 0);
    (void)umask(0);
    look_around(&before);
    for (int i = 0; i < 3; i++) {
        gate_start(&gate, "");
        CLEANUP_FREE char *target = gate.target;
        cr_expect_eq(gate_try_start(&gate, "{}", NULL), BOTTLE_CONFLICT);
        cr_expect_eq(gate_try_start(&gate, "{\"none\": 1}", NULL), BOTTLE_INVALID);
        cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    }
    look_around(&after);
    cr_expect_str_eq(after.directory, before.directory);
    cr_expect_eq(after.mask, before.mask);
    cr_expect_eq(after.descriptors, before.descriptors);
    cr_expect_arr_eq(&after.blocked, &before.blocked, sizeof after.blocked);
    for (int number = 1; number < NSIG; number++)
        cr_expect(after.actions[number].sa_handler == before.actions[number].sa_handler &&
                      after.actions[number].sa_flags == before.actions[number].sa_flags,
                  "the action of signal %d is another", number);
    cr_expect_arr_eq(after.environment, before.environment, sizeof after.environment);
    cr_assert_eq(sigpending(&pending), 0);
    cr_expect(sigisemptyset(&pending), "a signal reached the launcher");
    cr_expect(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD, "a child is left");
}

/* The relay has none of the launcher's: neither mask, directory, terminal nor environment. */
Test(launcher, relay_has_a_life_of_its_own)
{
    sigset_t all;
    char path[64], text[4096] = "";

    cr_assert_eq(sigfillset(&all), 0);
    cr_assert_eq(sigprocmask(SIG_SETMASK, &all, NULL), 0);
    cr_assert_neq(signal(SIGTERM, SIG_IGN), SIG_ERR);
    gate_start(&gate, "");
    cr_expect_eq(getsid(gate.relay), gate.relay);
    (void)snprintf(path, sizeof path, "/proc/%d/environ", gate.relay);
    FILE *file = fopen(path, "re");
    if (file) {
        cr_expect_eq(fread(text, 1, sizeof text, file), 0, "environment: %s", text);
        cr_assert_eq(fclose(file), 0);
    }
    cr_assert_eq(kill(gate.relay, SIGTERM), 0);
    cr_expect(process_ends_within(gate.relay, WAIT_MS), "SIGTERM is still blocked or ignored");
}

/* ---- in a hurry ---- */

/* Whatever start made by the time that its patience was over is gone when it returns. */
Test(launcher, start_that_times_out_leaves_nothing)
{
    const int rounds = SANITIZED ? 10 : 60; /* a relay with LeakSanitizer takes long to end */
    int timeouts = 0;

    for (int i = 0; i < rounds; i++) {
        CLEANUP_FREE char *message = NULL;
        int descriptors = process_count_descriptors(getpid());
        enum bottle_result result = gate_try_start(
            &gate, "{\"start_timeout_ms\": 1, \"exit_with_launcher\": true}", &message);
        timeouts += result == BOTTLE_TIMEOUT;
        if (result == BOTTLE_OK) {
            gate_stop(&gate);
            continue;
        }
        cr_expect_eq(result, BOTTLE_TIMEOUT, "%s", message);
        /* LeakSanitizer's process shares the relay's descriptors, and may outlive it. */
        cr_expect(SANITIZED || tcp_connect_error(gate.address, PORT) == ECONNREFUSED, "round %d",
                  i);
        cr_expect_eq(process_count_descriptors(getpid()), descriptors);
        gate_start(&gate, "");
        gate_stop(&gate);
    }
    if (timeouts == 0)
        cr_skip_test("this machine starts a relay within a millisecond");
}

/* The same for a start that fails: the slug and the other ports are free at once. */
Test(launcher, start_that_fails_can_be_repeated_at_once)
{
    enum { ENTRIES = 16 };
    struct gate_entry entries[ENTRIES];
    char aliases[ENTRIES][8];

    for (size_t i = 0; i < ENTRIES; i++) {
        (void)snprintf(aliases[i], sizeof aliases[i], "e%zu", i);
        entries[i] = (struct gate_entry){aliases[i], gate.upstream_address, (uint16_t)(PORT + i)};
    }
    gate_prepare(&gate, entries, ENTRIES);
    int taken = tcp_listen(gate.address, PORT + ENTRIES - 1, 1);
    for (int round = 0; round < 100; round++) {
        CLEANUP_FREE char *message = NULL;
        cr_assert_eq(gate_try_start(&gate, "{}", &message), BOTTLE_CONFLICT);
        expect_part(message, "(entry \"e15\") is taken");
        for (size_t i = 0; i < ENTRIES - 1; i++)
            cr_assert_eq(tcp_connect_error(gate.address, entries[i].port), ECONNREFUSED);
    }
    cr_assert_eq(close(taken), 0);
    gate_start(&gate, "");
}

/* ---- killed ---- */

static const char *start_and_stay(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;
    char line[8];

    line_send(parent_fd, "begins");
    if (gate_try_start(&gate, context, &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    (void)line_receive(parent_fd, line, sizeof line);
    return NULL;
}

/*
 * At any moment of start: afterwards the gate runs as it should, or nothing of it is left.  The moment
 * moves towards the one where the one turns into the other.
 */
Test(launcher, killed_at_any_moment)
{
    enum { ROUNDS = 60 };
    CLEANUP_FREE char *target = NULL;
    int survived = 0;
    long moment_us = 500;
    char line[8];

    cr_assert_gt(asprintf(&target, "native:%s", gate.slug), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct child child = child_start(start_and_stay, (void *)(uintptr_t) "{}");
        cr_assert(line_receive(child.fd, line, sizeof line));
        const struct timespec moment = {.tv_nsec = moment_us * 1000};
        cr_assert_eq(nanosleep(&moment, NULL), 0);
        child_kill(&child);
        bool is_there = is_gate_there();
        survived += is_there;
        moment_us = is_there ? moment_us * 4 / 5 : moment_us * 5 / 4 + 1;
        moment_us = moment_us < 500000 ? moment_us : 500000;
        cr_assert_eq(gate_try_stop(&gate, target), BOTTLE_OK);
        expect_no_relay_file();
    }
    cr_expect_gt(survived, 0, "start was never over");
    cr_expect_lt(survived, ROUNDS, "start was always over");
}

/* Runs until the traced child is about to send one byte: its word to the relay to go on. */
static bool run_to_the_word(pid_t pid)
{
    struct __ptrace_syscall_info info;
    int status;

    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        int signal_number = WSTOPSIG(status) & 0x7f;
        bool is_call = WSTOPSIG(status) & 0x80;
        if (is_call) {
            cr_assert_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info), 0);
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_sendto &&
                info.entry.args[2] == 1)
                return true;
        }
        long passed_on =
            is_call || signal_number == SIGSTOP || signal_number == SIGTRAP ? 0 : signal_number;
        cr_assert_eq(ptrace(PTRACE_SYSCALL, pid, NULL, passed_on), 0);
    }
    return false;
}

static const char *start_traced(int parent_fd, void *context)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        return child_failure("PTRACE_TRACEME: %s", strerror(errno));
    (void)raise(SIGSTOP);
    return start_and_stay(parent_fd, context);
}

/* Between the relay's report that it is ready and the launcher's word: the relay must not stay. */
Test(launcher, killed_between_ready_and_go)
{
    int status;
    char line[8];
    struct child child = child_start(start_traced, (void *)(uintptr_t) "{}");

    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    cr_assert(WIFSTOPPED(status));
    cr_assert_eq(ptrace(PTRACE_SETOPTIONS, child.pid, NULL, PTRACE_O_TRACESYSGOOD), 0);
    cr_assert_eq(ptrace(PTRACE_SYSCALL, child.pid, NULL, NULL), 0);
    cr_assert(run_to_the_word(child.pid), "the launcher never gave its word");
    cr_assert(line_receive(child.fd, line, sizeof line));
    /* The kernel accepts for the listeners by now; nobody is served before the word. */
    int client = tcp_connect(gate.address, PORT);
    child_kill(&child);
    cr_expect_eq(tcp_drain(client), ECONNRESET);
    cr_assert_eq(close(client), 0);
    cr_expect_not(is_gate_there());
    cr_expect_eq(gate_count_events(&gate, "started"), 0);
    gate_start(&gate, "");
}

/* ---- many at once ---- */

struct asker {
    pthread_t thread;
    int failures;
    char message[256];
};

/* In a thread: asserts nothing. */
static void *ask_often(void *context)
{
    struct asker *asker = context;

    for (int i = 0; i < 50; i++) {
        CLEANUP_FREE char *status = NULL;
        CLEANUP_FREE char *message = NULL;
        if (bottle_plugin_status(gate.plugin, NULL, gate.target, &status, &message) == BOTTLE_OK)
            continue;
        asker->failures++;
        (void)snprintf(asker->message, sizeof asker->message, "%s", message);
    }
    return NULL;
}

Test(launcher, many_ask_at_once)
{
    static struct asker askers[32];

    gate_start(&gate, "");
    for (size_t i = 0; i < ROWS(askers); i++)
        cr_assert_eq(pthread_create(&askers[i].thread, NULL, ask_often, &askers[i]), 0);
    for (size_t i = 0; i < ROWS(askers); i++) {
        cr_assert_eq(pthread_join(askers[i].thread, NULL), 0);
        cr_expect_eq(askers[i].failures, 0, "%d of 50 failed: %s", askers[i].failures,
                     askers[i].message);
    }
}

struct stopper {
    pthread_t thread;
    enum bottle_result result;
};

static void *stop_too(void *context)
{
    struct stopper *stopper = context;

    stopper->result = gate_try_stop(&gate, gate.target);
    return NULL;
}

Test(launcher, many_stop_at_once)
{
    struct stopper stoppers[16];

    for (int round = 0; round < 10; round++) {
        gate_start(&gate, "");
        for (size_t i = 0; i < ROWS(stoppers); i++)
            cr_assert_eq(pthread_create(&stoppers[i].thread, NULL, stop_too, &stoppers[i]), 0);
        for (size_t i = 0; i < ROWS(stoppers); i++) {
            cr_assert_eq(pthread_join(stoppers[i].thread, NULL), 0);
            cr_expect_eq(stoppers[i].result, BOTTLE_OK);
        }
        cr_expect(process_ends_within(gate.relay, 0));
        free(gate.target);
        gate.target = NULL;
    }
}

static void interrupt(int number)
{
    (void)number;
}

/* System calls of a host that does not ask for SA_RESTART come back with EINTR all the time. */
Test(launcher, signals_interrupt_everything)
{
    const struct sigaction action = {.sa_handler = interrupt};
    const struct itimerval often = {.it_interval.tv_usec = 300, .it_value.tv_usec = 300};
    const struct itimerval never = {0};

    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    for (int i = 0; i < 30; i++) {
        CLEANUP_FREE char *message = NULL;
        CLEANUP_FREE char *status = NULL;
        cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        enum bottle_result started =
            gate_try_start(&gate, "{\"exit_with_launcher\": true}", &message);
        enum bottle_result asked =
            started ? started
                    : bottle_plugin_status(gate.plugin, NULL, gate.target, &status, &message);
        enum bottle_result stopped = started ? started : gate_try_stop(&gate, gate.target);
        cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        cr_assert_eq(started, BOTTLE_OK, "start: %s", message);
        cr_assert_eq(asked, BOTTLE_OK, "status: %s", message);
        cr_assert_eq(stopped, BOTTLE_OK);
        free(gate.target);
        gate.target = NULL;
    }
}

/* Different slugs, one process: they do not meet anywhere. */
struct starter {
    pthread_t thread;
    struct gate gate;
    enum bottle_result result;
    char *message;
};

static void *start_own(void *context)
{
    struct starter *starter = context;

    starter->result =
        gate_try_start(&starter->gate, "{\"exit_with_launcher\": true}", &starter->message);
    return NULL;
}

Test(launcher, many_start_gates_of_their_own)
{
    static struct starter starters[12];

    for (size_t i = 0; i < ROWS(starters); i++) {
        struct gate *own = &starters[i].gate;
        const struct gate_entry entry = {"upstream", gate.upstream_address, (uint16_t)(PORT + i)};
        gate_set_up(own);
        (void)snprintf(own->slug, sizeof own->slug, "test-%d-%zu", getpid(), i);
        gate_prepare(own, &entry, 1);
    }
    for (size_t i = 0; i < ROWS(starters); i++)
        cr_assert_eq(pthread_create(&starters[i].thread, NULL, start_own, &starters[i]), 0);
    for (size_t i = 0; i < ROWS(starters); i++) {
        cr_assert_eq(pthread_join(starters[i].thread, NULL), 0);
        cr_expect_eq(starters[i].result, BOTTLE_OK, "%s", starters[i].message);
        cr_expect_eq(tcp_connect_error(gate.address, (uint16_t)(PORT + i)), 0);
    }
    for (size_t i = 0; i < ROWS(starters); i++)
        gate_tear_down(&starters[i].gate);
    cr_expect(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD, "a child is left");
}

/* ---- of other users ---- */

static socklen_t control_address(struct sockaddr_un *address, unsigned int uid)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, CONTROL_NAME_OF_SLUG,
                          uid, gate.slug);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* A stranger talks to the control socket of root's gate. */
static const char *stop_as_stranger(int parent_fd, void *context)
{
    const struct control_request request = {.version = CONTROL_VERSION, .operation = CONTROL_STOP};
    struct sockaddr_un address;
    socklen_t length = control_address(&address, 0);
    char answer[64];

    (void)parent_fd;
    (void)context;
    if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        return child_failure("cannot become another user: %s", strerror(errno));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, length))
        return child_failure("connect: %s", strerror(errno));
    (void)send(fd, &request, sizeof request, MSG_NOSIGNAL); /* it may be closed already */
    return recv(fd, answer, sizeof answer, 0) > 0 ? "the relay answers a stranger" : NULL;
}

Test(launcher, stranger_cannot_stop)
{
    if (geteuid() != 0)
        cr_skip_test("needs root, to be two users");
    gate_start(&gate, "");
    for (int i = 0; i < 20; i++)
        child_run(stop_as_stranger, NULL);
    cr_expect(is_gate_there());
    cr_expect_not(process_ends_within(gate.relay, 0));
}

/* A stranger has bound the name of root's slug, and would like to be taken for the gate. */
static const char *squat(int parent_fd, void *context)
{
    struct sockaddr_un address;
    socklen_t length = control_address(&address, 0);
    char line[8];

    (void)context;
    if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
        setresuid(NOBODY, NOBODY, NOBODY))
        return child_failure("cannot become another user: %s", strerror(errno));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 8))
        return child_failure("bind: %s", strerror(errno));
    line_send(parent_fd, "listens");
    (void)line_receive(parent_fd, line, sizeof line);
    return NULL;
}

Test(launcher, stranger_is_not_taken_for_a_gate)
{
    CLEANUP_FREE char *target = NULL;
    char line[64];

    if (geteuid() != 0)
        cr_skip_test("needs root, to be two users");
    cr_assert_gt(asprintf(&target, "native:%s", gate.slug), 0);
    struct child child = child_start(squat, NULL);
    cr_assert(line_receive(child.fd, line, sizeof line));
    CLEANUP_FREE char *status = NULL;
    CLEANUP_FREE char *of_status = NULL;
    CLEANUP_FREE char *of_stop = NULL;
    cr_expect_eq(bottle_plugin_status(gate.plugin, NULL, target, &status, &of_status),
                 BOTTLE_DENIED);
    expect_part(of_status, "of user 65534");
    cr_expect_eq(bottle_plugin_stop(gate.plugin, NULL, target, &of_stop), BOTTLE_DENIED);
    expect_part(of_stop, "of user 65534");
    cr_expect_not(process_ends_within(child.pid, 0), "stop killed a stranger's process");
    cr_expect_eq(gate_try_start(&gate, "{}", NULL), BOTTLE_CONFLICT);
    child_kill(&child);
    gate_start(&gate, "");
}

/* ---- without privileges ---- */

/* From here on this test is an ordinary user; what it made as root becomes that user's. */
static void become_nobody(void)
{
    if (geteuid() != 0)
        return;
    cr_assert_eq(chown(gate.stage_dir, NOBODY, NOBODY), 0);
    static const char *const files[] = {"ssh_gate_entrypoint.sh", "ssh_config", "known_hosts"};
    for (size_t i = 0; i < ROWS(files); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", gate.stage_dir, files[i]);
        cr_assert_eq(chown(path, NOBODY, NOBODY), 0);
    }
    cr_assert_eq(setgroups(0, NULL), 0);
    cr_assert_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
    cr_assert_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
    cr_assert_eq(prctl(PR_SET_DUMPABLE, 1), 0); /* or /proc/PID of the children is root's */
}

static bool may_make_user_namespaces(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

Test(launcher, ordinary_user_with_a_namespace_of_its_own)
{
    static const char *const loopbacks[] = {"127.0.0.1", "::1"};
    struct network bottle;

    become_nobody();
    if (!may_make_user_namespaces())
        cr_skip_test("this system lets users make no user namespaces");
    network_make(&bottle, false);
    const struct gate_entry entries[] = {{"upstream", gate.upstream_address, PORT},
                                         {"ssh", gate.upstream_address, 22}};
    gate_prepare(&gate, entries, ROWS(entries));
    gate_set_networks(&gate, bottle.path, "host");
    int listener = tcp_listen(gate.upstream_address, PORT, 1);
    gate_start(&gate, "");
    for (size_t i = 0; i < ROWS(loopbacks); i++) {
        struct tcp_pair pair = {.client = network_connect(&bottle, loopbacks[i], PORT)};
        cr_assert_geq(pair.client, 0, "%s: %s", loopbacks[i], strerror(-pair.client));
        pair.upstream = tcp_accept(listener);
        tcp_expect_alive(&pair);
        tcp_close(&pair);
        /* In a namespace of the user's, its port 22 is the user's as well. */
        int client = network_connect(&bottle, loopbacks[i], 22);
        cr_assert_geq(client, 0, "%s: %s", loopbacks[i], strerror(-client));
        cr_assert_eq(close(client), 0);
    }
    gate_stop(&gate);
    cr_expect_eq(network_connect(&bottle, "127.0.0.1", PORT), -ECONNREFUSED);
    cr_assert_eq(close(listener), 0);
    network_remove(&bottle);
}

static int lowest_port(void)
{
    int port = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");

    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%d", &port), 1);
    cr_assert_eq(fclose(file), 0);
    return port;
}

Test(launcher, ordinary_user_may_not_have_port_22)
{
    const struct gate_entry entry = {"ssh", gate.upstream_address, 22};
    CLEANUP_FREE char *message = NULL;

    if (lowest_port() <= 22)
        cr_skip_test("everybody may listen on port 22 here");
    gate_prepare(&gate, &entry, 1);
    become_nobody();
    cr_expect_eq(gate_try_start(&gate, "{}", &message), BOTTLE_DENIED);
    expect_part(message,
                "(entry \"ssh\"): this user may not listen on port 22; use a network namespace");
}

Test(launcher, ordinary_user_cannot_enter_a_namespace_of_root)
{
    struct network bottle;
    CLEANUP_FREE char *message = NULL;

    if (geteuid() != 0)
        cr_skip_test("needs root, to be two users");
    network_make(&bottle, true);
    become_nobody();
    gate_set_networks(&gate, bottle.path, "host");
    cr_expect_eq(gate_try_start(&gate, "{}", &message), BOTTLE_DENIED);
    expect_part(message, "internal_network");
    expect_part(message, bottle.path);
    cr_assert_eq(close(bottle.child.fd), 0); /* at which its process, which is root's, ends */
    cr_assert_eq(waitpid(bottle.child.pid, NULL, 0), bottle.child.pid);
}
