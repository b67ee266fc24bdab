/* SPDX-License-Identifier: MIT */
/*
 * test_reach.c: who reaches a native gate, and what everybody else is told: threads and processes of other
 * network namespaces, other users, root; and what is said about a gate that does not answer as it should.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"
#include "tcp.h"
#include "wire/control.h"
#include "wire/process_name.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT        2200
#define NOBODY      65534
#define SOMEBODY    65533
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;
static struct network bottles[2]; /* where gates listen, so that they do not meet */

static void set_up(void)
{
    gate_set_up(&gate);
    network_make(&bottles[0], false);
    network_make(&bottles[1], false);
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};
    gate_prepare(&gate, &entry, 1);
    gate_set_networks(&gate, bottles[0].path, "host");
}

static void tear_down(void)
{
    network_remove(&bottles[0]);
    network_remove(&bottles[1]);
    gate_tear_down(&gate);
}

TestSuite(reach, .init = set_up, .fini = tear_down, .timeout = 120);

static void need_root(void)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become another user, or unshare a thread's network");
}

static char *short_target(void)
{
    char *target = NULL;

    cr_assert_gt(asprintf(&target, "native:%s", gate.slug), 0);
    return target;
}

static void expect_serves(const struct network *bottle)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = {.client = network_connect(bottle, "127.0.0.1", PORT)};

    cr_assert_geq(pair.client, 0, "%s", strerror(-pair.client));
    pair.upstream = tcp_accept(upstream);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

static void expect_gone(pid_t relay, const struct network *bottle)
{
    cr_expect(process_ends_within(relay, 0), "the relay runs on");
    cr_expect_eq(network_connect(bottle, "127.0.0.1", PORT), -ECONNREFUSED);
}

/* ---- calls, from somewhere ---- */

enum operation { STATUS, DRAIN, STOP, START, TAKE_OVER };

struct call {
    enum operation operation;
    const char *target; /* START: NULL */
    enum bottle_result result;
    char *message; /* or the status; NULL: none */
};

static void make_call(struct call *call)
{
    char *output = NULL, *message = NULL;

    switch (call->operation) {
    case STATUS:
        call->result = bottle_plugin_status(gate.plugin, NULL, call->target, &output, &message);
        break;
    case DRAIN:
        call->result = bottle_plugin_drain(gate.plugin, NULL, call->target, -1, &message);
        break;
    case STOP:
        call->result = bottle_plugin_stop(gate.plugin, NULL, call->target, &message);
        break;
    case START:
    case TAKE_OVER:
        call->result =
            bottle_plugin_start(gate.plugin, NULL, gate.plan, NULL,
                                "{\"exit_with_launcher\": true}", call->target, &output, &message);
        break;
    }
    call->message = output ? output : message;
}

static void *call_from_another_network(void *context)
{
    struct call *call = context;

    call->result = BOTTLE_INTERNAL;
    if (!unshare(CLONE_NEWNET))
        make_call(call);
    return NULL;
}

static struct call call_elsewhere(enum operation operation, const char *target)
{
    struct call call = {.operation = operation, .target = target};
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, call_from_another_network, &call), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    return call;
}

static void expect_elsewhere(enum operation operation, const char *target,
                             enum bottle_result expected, const char *part)
{
    const struct call call = call_elsewhere(operation, target);

    cr_expect_eq(call.result, expected, "operation %d on %s: result %s, message %s", operation,
                 target, bottle_result_name(call.result), call.message);
    if (part)
        expect_part(call.message, part);
    free(call.message);
}

/* ---- another network namespace ---- */

Test(reach, a_thread_of_another_network_stops_it)
{
    need_root();
    for (int i = 0; i < 2; i++) {
        gate_start(&gate, "");
        CLEANUP_FREE char *slug = short_target(), *instance = gate.target;
        expect_elsewhere(STOP, i == 0 ? slug : instance, BOTTLE_OK, NULL);
        expect_gone(gate.relay, &bottles[0]);
        expect_elsewhere(STOP, i == 0 ? slug : instance, BOTTLE_OK, NULL);
        gate.target = NULL;
    }
}

/* One that hangs, and is not there to be asked. */
Test(reach, a_thread_of_another_network_stops_one_that_hangs)
{
    need_root();
    gate_start(&gate, "");
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    expect_elsewhere(STOP, gate.target, BOTTLE_OK, NULL);
    expect_gone(gate.relay, &bottles[0]);
}

static void expect_status_and_drain(void)
{
    CLEANUP_FREE char *slug = short_target();

    expect_elsewhere(STATUS, slug, BOTTLE_OK, gate.target);
    expect_elsewhere(STATUS, gate.target, BOTTLE_OK, "\"serving\"");
    expect_elsewhere(DRAIN, slug, BOTTLE_OK, NULL);
    cr_expect(process_ends_within(gate.relay, WAIT_MS));
    expect_elsewhere(STATUS, slug, BOTTLE_NOT_FOUND, slug);
    expect_elsewhere(DRAIN, slug, BOTTLE_NOT_FOUND, slug);
    CLEANUP_JSON json_object *event = gate_event(&gate, "stopped", 0);
    cr_expect_str_eq(member_text(event, "reason"), "drained");
}

Test(reach, root_asks_and_drains_it_in_another_network)
{
    struct stat before, after;

    need_root();
    cr_assert_eq(stat("/proc/thread-self/ns/net", &before), 0);
    gate_start(&gate, "");
    expect_status_and_drain();
    cr_assert_eq(stat("/proc/thread-self/ns/net", &after), 0);
    cr_expect_eq(before.st_ino, after.st_ino, "the caller is in another network namespace");
}

/* The relay itself is in the namespace that it dials from; its control socket is not. */
Test(reach, root_asks_and_drains_one_that_dials_from_elsewhere)
{
    need_root();
    gate_set_networks(&gate, bottles[0].path, bottles[1].path);
    gate_start(&gate, "");
    expect_status_and_drain();
}

Test(reach, a_slug_that_runs_in_another_network_is_a_conflict)
{
    need_root();
    gate_start(&gate, "");
    CLEANUP_FREE char *first = gate.target;
    gate_set_networks(&gate, bottles[1].path, "host");
    expect_elsewhere(START, NULL, BOTTLE_CONFLICT, first);
    cr_expect_eq(network_connect(&bottles[1], "127.0.0.1", PORT), -ECONNREFUSED);
    expect_serves(&bottles[0]);

    cr_expect_eq(gate_try_stop(&gate, first), BOTTLE_OK);
    const struct call second = call_elsewhere(START, NULL);
    cr_expect_eq(second.result, BOTTLE_OK, "%s", second.message);
    CLEANUP_FD int client = network_connect(&bottles[1], "127.0.0.1", PORT);
    cr_expect_geq(client, 0, "%s", strerror(-client));
    gate.target = second.message;
}

/* What drains in another network has let the slug go. */
Test(reach, a_slug_that_drains_in_another_network_is_free)
{
    need_root();
    gate_start(&gate, "");
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = {.client = network_connect(&bottles[0], "127.0.0.1", PORT)};
    pair.upstream = tcp_accept(upstream);
    struct call taken = {.operation = TAKE_OVER, .target = gate.target};
    make_call(&taken);
    cr_assert_eq(taken.result, BOTTLE_OK, "%s", taken.message);
    cr_expect_eq(gate_try_stop(&gate, taken.message), BOTTLE_OK);
    gate_set_networks(&gate, bottles[1].path, "host");
    const struct call second = call_elsewhere(START, NULL);
    cr_expect_eq(second.result, BOTTLE_OK, "%s", second.message);
    tcp_expect_alive(&pair);

    /* The slug means both: the one in this network, and the one that is not. */
    CLEANUP_FREE char *slug = short_target();
    cr_expect_eq(gate_try_stop(&gate, slug), BOTTLE_OK);
    expect_gone(gate.relay, &bottles[0]);
    expect_gone(gate.relay, &bottles[1]);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
    free(taken.message);
    free(second.message);
}

Test(reach, of_two_that_start_one_slug_in_two_networks_not_both_win)
{
    int won = 0;

    need_root();
    CLEANUP_FREE char *slug = short_target();
    for (int round = 0; round < 10; round++) {
        struct call calls[2] = {{.operation = START}, {.operation = START}};
        pthread_t threads[2];
        for (size_t i = 0; i < ROWS(calls); i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, call_from_another_network, &calls[i]),
                         0);
        for (size_t i = 0; i < ROWS(calls); i++)
            cr_assert_eq(pthread_join(threads[i], NULL), 0);
        int wins = 0;
        for (size_t i = 0; i < ROWS(calls); i++) {
            wins += calls[i].result == BOTTLE_OK;
            cr_expect(calls[i].result == BOTTLE_OK || calls[i].result == BOTTLE_CONFLICT, "%s",
                      calls[i].message);
            free(calls[i].message);
        }
        cr_expect_leq(wins, 1, "two gates have the slug");
        won += wins;
        cr_expect_eq(gate_try_stop(&gate, slug), BOTTLE_OK);
    }
    cr_log_info("%d of 10 rounds had a winner", won);
}

Test(reach, a_takeover_from_another_network_is_refused)
{
    need_root();
    gate_start(&gate, "");
    expect_elsewhere(TAKE_OVER, gate.target, BOTTLE_UNAVAILABLE, "another network namespace");
    expect_serves(&bottles[0]);
}

/* ---- a launcher without rights, in namespaces of its own ---- */

static bool write_map(const char *path, const char *text)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* As rootless engines do it: root inside is the user outside. */
static const char *enter_own_namespaces(void)
{
    char users[32];

    (void)snprintf(users, sizeof users, "0 %u 1", geteuid());
    if (prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER | CLONE_NEWNET) ||
        !write_map("/proc/self/setgroups", "deny") || !write_map("/proc/self/uid_map", users))
        return child_failure("user namespace: %s", strerror(errno));
    return NULL;
}

/* The gate was started by this user outside. */
static const char *reach_from_own_namespaces(int parent_fd, void *context)
{
    const uid_t *user = context;

    (void)parent_fd;
    if (setresuid(*user, *user, *user))
        return child_failure("setresuid: %s", strerror(errno));
    struct call start = {.operation = START};
    make_call(&start);
    if (start.result != BOTTLE_OK)
        return child_failure("start: %s", start.message);
    const char *failure = enter_own_namespaces();
    if (failure)
        return failure;
    struct call status = {.operation = STATUS, .target = start.message};
    make_call(&status);
    if (status.result != BOTTLE_UNAVAILABLE ||
        !strstr(status.message, "its control socket is in another network namespace"))
        return child_failure("status: %s, %s", bottle_result_name(status.result), status.message);
    CLEANUP_FREE char *slug = short_target();
    struct call stop = {.operation = STOP, .target = slug};
    make_call(&stop);
    if (stop.result != BOTTLE_OK)
        return child_failure("stop: %s", stop.message);
    make_call(&status);
    return status.result == BOTTLE_NOT_FOUND ? NULL : child_failure("it runs: %s", status.message);
}

static void give_stage_dir(uid_t user)
{
    DIR *files = opendir(gate.stage_dir);
    const struct dirent *entry;

    cr_assert_not_null(files);
    while ((entry = readdir(files)))
        if (strcmp(entry->d_name, "..") != 0)
            cr_assert_eq(fchownat(dirfd(files), entry->d_name, user, (gid_t)-1, 0), 0);
    cr_assert_eq(closedir(files), 0);
}

Test(reach, a_process_of_a_user_namespace)
{
    uid_t user = geteuid() == 0 ? NOBODY : geteuid();

    gate_set_networks(&gate, gate.address, "host");
    give_stage_dir(user);
    child_run(reach_from_own_namespaces, &user);
}

/* ---- users ---- */

struct attempt {
    const char *target;
    enum operation operation;
};

static const char *attempt_as_nobody(int parent_fd, void *context)
{
    const struct attempt *attempt = context;
    struct call call = {.operation = attempt->operation, .target = attempt->target};

    (void)parent_fd;
    if (setresuid(NOBODY, NOBODY, NOBODY))
        return child_failure("setresuid: %s", strerror(errno));
    make_call(&call);
    if (call.result != BOTTLE_DENIED || !strstr(call.message, "user 0"))
        return child_failure("operation %d on %s: %s, %s", attempt->operation, attempt->target,
                             bottle_result_name(call.result), call.message);
    return NULL;
}

Test(reach, another_user_is_told_whose_it_is)
{
    need_root();
    gate_set_networks(&gate, gate.address, "host");
    gate_start(&gate, "");
    give_stage_dir(NOBODY);
    CLEANUP_FREE char *slug = short_target();
    static const enum operation OPERATIONS[] = {STATUS, DRAIN, STOP, TAKE_OVER};
    const char *const targets[] = {slug, gate.target};
    for (size_t i = 0; i < ROWS(OPERATIONS); i++) {
        for (size_t j = 0; j < ROWS(targets); j++) {
            struct attempt attempt = {.target = targets[j], .operation = OPERATIONS[i]};
            child_run(attempt_as_nobody, &attempt);
        }
    }
    give_stage_dir(0);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0, "it was disturbed");
}

/* A gate of another user, which goes with the child. */
static const char *serve_as(int parent_fd, void *context)
{
    const uid_t *user = context;
    struct call start = {.operation = START};
    char line[16];

    if (setresuid(*user, *user, *user))
        return child_failure("setresuid: %s", strerror(errno));
    make_call(&start);
    line_send(parent_fd, start.message ? start.message : "out of memory");
    (void)line_receive(parent_fd, line, sizeof line);
    return NULL;
}

/* target: out */
static struct child start_as(uid_t user, const char *address, char target[128])
{
    gate_set_networks(&gate, address, "host");
    give_stage_dir(user);
    struct child child = child_start(serve_as, &user);
    cr_assert(line_receive(child.fd, target, 128));
    cr_assert_eq(strncmp(target, "native:", strlen("native:")), 0, "%s", target);
    return child;
}

static void expect_call(enum operation operation, const char *target, enum bottle_result expected,
                        const char *part)
{
    struct call call = {.operation = operation, .target = target};

    make_call(&call);
    cr_expect_eq(call.result, expected, "operation %d on %s: result %s, message %s", operation,
                 target, bottle_result_name(call.result), call.message);
    if (part)
        expect_part(call.message, part);
    free(call.message);
}

/* By the long target, also from another network; a slug is each user's own. */
Test(reach, root_reaches_those_of_other_users)
{
    char targets[2][128];

    need_root();
    CLEANUP_FREE char *slug = short_target();
    struct child children[] = {start_as(NOBODY, gate.address, targets[0]),
                               start_as(SOMEBODY, gate.dns_address, targets[1])};
    for (size_t i = 0; i < ROWS(targets); i++) {
        expect_call(STATUS, targets[i], BOTTLE_OK, targets[i]);
        expect_elsewhere(STATUS, targets[i], BOTTLE_OK, targets[i]);
        expect_call(TAKE_OVER, targets[i], BOTTLE_DENIED, i == 0 ? "user 65534" : "user 65533");
        expect_call(STATUS, slug, BOTTLE_DENIED, targets[i]);
        expect_call(STOP, slug, BOTTLE_DENIED, targets[i]);
    }
    give_stage_dir(0);
    gate_set_networks(&gate, bottles[0].path, "host");
    gate_start(&gate, "");
    expect_call(STATUS, slug, BOTTLE_OK, gate.target);
    expect_call(STOP, slug, BOTTLE_OK, NULL);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0, "stopped with root's own");

    expect_call(DRAIN, targets[0], BOTTLE_OK, NULL);
    expect_elsewhere(STOP, targets[1], BOTTLE_OK, NULL);
    expect_call(STOP, targets[0], BOTTLE_OK, NULL);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    cr_expect_eq(tcp_connect_error(gate.dns_address, PORT), ECONNREFUSED);
    expect_call(STOP, slug, BOTTLE_OK, NULL);
    child_kill(&children[0]);
    child_kill(&children[1]);
}

/* ---- who has the name of a relay, and is none ---- */

#define NO_INSTANCE "0123456789abcdef"

struct impostor {
    const char *target;
    uid_t user;
    int limit_ms; /* it ends then; 0: it does not by itself */
    bool respawns;
};

/* As one who withstands SIGTERM.  The program is opened before its user becomes one who may not find it. */
static _Noreturn void pretend(int parent_fd, const struct impostor *impostor)
{
    const struct itimerval limit = {.it_value = {.tv_sec = impostor->limit_ms / 1000,
                                                 .tv_usec = impostor->limit_ms % 1000 * 1000L}};
    char name[] = RELAY_NAME, target[128], path[PATH_MAX];
    char *arguments[] = {name, target, NULL}, *environment[] = {NULL};

    (void)snprintf(target, sizeof target, "%s", impostor->target);
    (void)snprintf(path, sizeof path, "%s/tests/fixtures/impostor", getenv("BUILD_DIR"));
    int program = open(path, O_PATH | O_CLOEXEC);
    if (program >= 0 && signal(SIGTERM, SIG_IGN) != SIG_ERR &&
        dup2(parent_fd, STDOUT_FILENO) == STDOUT_FILENO && !setitimer(ITIMER_REAL, &limit, NULL) &&
        !setresuid(impostor->user, impostor->user, impostor->user) &&
        !prctl(PR_SET_PDEATHSIG, SIGKILL))
        (void)syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
    _exit(1);
}

static const char *run_impostor(int parent_fd, void *context)
{
    const struct impostor *impostor = context;
    int status;

    do {
        pid_t pid = fork();
        if (pid == 0)
            pretend(parent_fd, impostor);
        if (pid < 0 || waitpid(pid, &status, 0) != pid || WIFEXITED(status))
            return child_failure("no impostor");
    } while (impostor->respawns);
    return NULL;
}

static struct child start_impostor(struct impostor *impostor)
{
    struct child child = child_start(run_impostor, impostor);
    char line[16];

    cr_assert(line_receive(child.fd, line, sizeof line));
    cr_assert_str_eq(line, "pretends\n");
    return child;
}

Test(reach, a_stop_ends_however_often_an_impostor_comes_back)
{
    need_root();
    CLEANUP_FREE char *slug = short_target(), *target = NULL;
    cr_assert_gt(asprintf(&target, "%s:%s", slug, NO_INSTANCE), 0);
    struct impostor impostor = {target, NOBODY, 0, true};
    struct child children[3]; /* while one is ended, the others are back */
    for (size_t i = 0; i < 3; i++)
        children[i] = start_impostor(&impostor);
    expect_call(STOP, target, BOTTLE_OK, NULL);
    for (size_t i = 0; i < 3; i++)
        child_kill(&children[i]);
}

Test(reach, root_finds_the_gate_among_impostors)
{
    char target[128];

    need_root();
    struct child gate_child = start_as(NOBODY, gate.address, target);
    struct impostor impostor = {target, SOMEBODY, 0, false};
    struct child child = start_impostor(&impostor);
    expect_call(STATUS, target, BOTTLE_OK, target);
    expect_elsewhere(STATUS, target, BOTTLE_OK, target);
    expect_elsewhere(DRAIN, target, BOTTLE_OK, NULL);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    child_kill(&child);
    child_kill(&gate_child);
    give_stage_dir(0);
}

Test(reach, root_is_told_of_impostors_alone)
{
    need_root();
    CLEANUP_FREE char *slug = short_target(), *target = NULL;
    cr_assert_gt(asprintf(&target, "%s:%s", slug, NO_INSTANCE), 0);
    struct impostor impostor = {target, NOBODY, 0, false};
    struct child child = start_impostor(&impostor);
    expect_call(STATUS, target, BOTTLE_UNAVAILABLE, "no process of another user");
    child_kill(&child);
}

static const char *start_as_nobody(int parent_fd, void *context)
{
    struct call start = {.operation = START};

    (void)parent_fd;
    (void)context;
    if (setresuid(NOBODY, NOBODY, NOBODY))
        return child_failure("setresuid: %s", strerror(errno));
    make_call(&start);
    return start.result == BOTTLE_OK ? NULL : child_failure("start: %s", start.message);
}

/* As two launchers do on a busy machine: the other's relay has no socket yet for more than a second, and ends. */
Test(reach, a_start_waits_for_the_socket_of_a_relay_that_begins)
{
    need_root();
    CLEANUP_FREE char *slug = short_target(), *target = NULL;
    cr_assert_gt(asprintf(&target, "%s:%s", slug, NO_INSTANCE), 0);
    gate_set_networks(&gate, gate.address, "host");
    give_stage_dir(NOBODY);
    struct impostor impostor = {target, NOBODY, 1500, false};
    struct child child = start_impostor(&impostor);
    child_run(start_as_nobody, NULL);
    child_wait(&child);
    give_stage_dir(0);
}

/* ---- a /proc that hides processes ---- */

static const char *expect_result(enum operation operation, const char *target,
                                 enum bottle_result expected, const char *part)
{
    struct call call = {.operation = operation, .target = target};

    make_call(&call);
    return call.result == expected && (!part || strstr(call.message, part))
               ? NULL
               : child_failure("operation %d: %s, %s", operation, bottle_result_name(call.result),
                               call.message);
}

/* A thread that entered another network namespace while the process was root's. */
struct hidden {
    const char *slug, *failure;
    pthread_barrier_t step;
};

static void *stop_from_elsewhere(void *context)
{
    struct hidden *hidden = context;

    hidden->failure = unshare(CLONE_NEWNET) ? strerror(errno) : NULL;
    (void)pthread_barrier_wait(&hidden->step); /* it is there */
    (void)pthread_barrier_wait(&hidden->step); /* the gate runs */
    if (!hidden->failure)
        hidden->failure = expect_result(STOP, hidden->slug, BOTTLE_UNAVAILABLE, "hidepid");
    if (!hidden->failure)
        hidden->failure = expect_result(STATUS, hidden->slug, BOTTLE_UNAVAILABLE, "hidepid");
    return NULL;
}

static const char *start_hidden(void)
{
    struct call start = {.operation = START};

    if (setresgid(NOBODY, NOBODY, NOBODY) || /* group 0 is shown everything */
        setresuid(NOBODY, NOBODY, NOBODY))
        return child_failure("setresuid: %s", strerror(errno));
    make_call(&start);
    return start.result == BOTTLE_OK ? NULL : child_failure("start: %s", start.message);
}

static const char *reach_with_hidden_processes(int parent_fd, void *context)
{
    struct hidden hidden = {.slug = context};
    pthread_t thread;

    (void)parent_fd;
    if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2"))
        return child_failure("/proc: %s", strerror(errno));
    if (pthread_barrier_init(&hidden.step, NULL, 2) ||
        pthread_create(&thread, NULL, stop_from_elsewhere, &hidden))
        return child_failure("no thread");
    (void)pthread_barrier_wait(&hidden.step);
    const char *failure = start_hidden();
    (void)pthread_barrier_wait(&hidden.step);
    if (pthread_join(thread, NULL))
        return child_failure("no thread to wait for");
    if (!failure)
        failure = hidden.failure;
    if (!failure)
        failure = expect_result(STATUS, hidden.slug, BOTTLE_OK, NULL);
    if (!failure)
        failure = expect_result(STOP, hidden.slug, BOTTLE_OK, NULL);
    return failure ? failure : expect_result(STOP, hidden.slug, BOTTLE_OK, NULL);
}

Test(reach, a_hidden_gate_is_not_called_gone)
{
    need_root();
    if (SANITIZED)
        cr_skip_test("a relay with LeakSanitizer is dumpable, so /proc does not hide it");
    CLEANUP_FREE char *slug = short_target();
    gate_set_networks(&gate, gate.address, "host");
    give_stage_dir(NOBODY);
    child_run(reach_with_hidden_processes, slug);
    give_stage_dir(0);
}

/* ---- what a relay says, or does not ---- */

/* The test as a relay: it answers one request with the packet; of no length: it goes away. */
struct pretence {
    pthread_t thread;
    int listener;
    struct {
        struct control_reply reply;
        char text[64];
    } packet;
    size_t length;
};

static void *answer_once(void *context)
{
    const struct pretence *pretence = context;
    struct control_request request;
    CLEANUP_FD int fd = accept4(pretence->listener, NULL, NULL, SOCK_CLOEXEC);

    if (pretence->length > 0 && recv(fd, &request, sizeof request, 0) > 0)
        (void)send(fd, &pretence->packet, pretence->length, MSG_NOSIGNAL);
    return NULL;
}

static void expect_answer(struct pretence *pretence, const char *target,
                          enum bottle_result expected, const char *part)
{
    cr_assert_eq(pthread_create(&pretence->thread, NULL, answer_once, pretence), 0);
    expect_call(DRAIN, target, expected, part);
    cr_assert_eq(pthread_join(pretence->thread, NULL), 0);
}

Test(reach, a_refusal_says_what_the_relay_says)
{
    struct pretence pretence = {
        .listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0),
        .packet = {{CONTROL_VERSION, BOTTLE_CONFLICT}, "it has let\x1b[31m the slug go already"},
        .length = sizeof pretence.packet};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FREE char *target = NULL;
    CLEANUP_FREE char *called = NULL;

    cr_assert_gt(asprintf(&target, "native:%s:0123456789abcdef", gate.slug), 0);
    cr_assert_gt(asprintf(&called, "%s (process %d)", target, getpid()), 0);
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                          CONTROL_NAME_OF_INSTANCE, geteuid(), gate.slug, "0123456789abcdef");
    cr_assert_eq(bind(pretence.listener, (struct sockaddr *)&address,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)),
                 0);
    cr_assert_eq(listen(pretence.listener, 1), 0);
    expect_answer(&pretence, target, BOTTLE_CONFLICT,
                  "refuses: it has let\\x1b[31m the slug go already");
    expect_answer(&pretence, target, BOTTLE_CONFLICT, called);
    pretence.packet.reply.result = BOTTLE_UNSUPPORTED;
    pretence.length = sizeof pretence.packet.reply;
    expect_answer(&pretence, target, BOTTLE_UNSUPPORTED, "another version of ssh_gate");
    pretence.length = 0;
    expect_answer(&pretence, target, BOTTLE_NOT_FOUND, gate.slug);
    cr_assert_eq(close(pretence.listener), 0);
}
