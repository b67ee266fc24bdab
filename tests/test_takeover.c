/* SPDX-License-Identifier: MIT */
/*
 * test_takeover.c: a native gate takes over from a running one: what goes on, what fails and leaves
 * the old gate as it was, and what the two relays say to each other.  Where a test needs to be one of
 * the two relays itself, it speaks wire/control.h.  test_swaps.c does it a hundred times, under load.
 */
#include "command_relay.h"
#include "common/cleanup.h"
#include "common/process/fd_passing.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"
#include "tcp.h"
#include "wire/config.h"
#include "wire/control.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT        2200
#define SECOND_PORT 2201
#define THIRD_PORT  2202
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define WITH_LAUNCHER "{\"exit_with_launcher\": true}"

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static char *short_target(void)
{
    char *target = NULL;

    cr_assert_gt(asprintf(&target, "native:%s", gate.slug), 0);
    return target;
}

/* Whatever still drains writes to the event log, which the fixture looks at last. */
static void tear_down(void)
{
    if (gate.target) {
        free(gate.target);
        gate.target = short_target();
    }
    gate_tear_down(&gate);
}

TestSuite(takeover, .init = set_up, .fini = tear_down, .timeout = 120);

static void prepare_ports(uint16_t first, uint16_t second)
{
    const struct gate_entry entries[] = {{"first", gate.upstream_address, first},
                                         {"second", gate.upstream_address, second}};

    gate_prepare(&gate, entries, ROWS(entries));
}

static void start_two(void)
{
    prepare_ports(PORT, SECOND_PORT);
    gate_start(&gate, "");
}

static enum bottle_result try_takeover(const char *from, const char *options, char **target,
                                       char **message)
{
    return bottle_plugin_start(gate.plugin, NULL, gate.plan, NULL, options, from, target, message);
}

/* The new gate is gate.target and gate.relay from here on.  Returns the old target; malloc'ed. */
static char *take_over_from_old(void)
{
    CLEANUP_FREE char *message = NULL;
    char *old = gate.target;

    char *new = NULL;

    cr_assert_eq(try_takeover(old, WITH_LAUNCHER, &new, &message), BOTTLE_OK, "%s", message);
    gate.target = new;
    cr_expect_str_neq(gate.target, old);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_str_eq(member_text(status, "target"), gate.target);
    gate.relay = (pid_t)member_number(status, "pid");
    return old;
}

static void take_over(void)
{
    free(take_over_from_old());
}

/* The status under any target; NULL when nothing runs under it. */
static json_object *status_of(const char *target)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *message = NULL;
    enum bottle_result result = bottle_plugin_status(gate.plugin, NULL, target, &text, &message);

    if (result == BOTTLE_NOT_FOUND)
        return NULL;
    cr_assert_eq(result, BOTTLE_OK, "status of %s: %s", target, message);
    return json_tokener_parse(text);
}

static void expect_serves(const char *target, const char *address, uint16_t port)
{
    int upstream = tcp_listen(gate.upstream_address, port, 1);
    struct tcp_pair pair = tcp_through(address, port, upstream);

    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_assert_not_null(status, "no gate runs");
    cr_expect_str_eq(member_text(status, "target"), target);
    cr_expect_str_eq(member_text(status, "state"), "serving");
}

/* As it was before a takeover that failed: it serves, on every port, and can be taken over. */
static void expect_untouched(void)
{
    expect_serves(gate.target, gate.address, PORT);
    expect_serves(gate.target, gate.address, SECOND_PORT);
    prepare_ports(PORT, SECOND_PORT);
    take_over();
    expect_serves(gate.target, gate.address, PORT);
}

static void expect_refused(const char *from, const char *options, enum bottle_result expected,
                           const char *part)
{
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *target = NULL;
    enum bottle_result result = try_takeover(from, options, &target, &message);

    cr_expect_eq(result, expected, "takeover of %s: result %s, message %s", from,
                 bottle_result_name(result), message);
    expect_part(message, part);
    cr_expect_null(target);
}

/* ---- what goes on ---- */

Test(takeover, sessions_stay_and_new_ones_go_to_the_new_gate)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair before = tcp_through(gate.address, PORT, upstream);
    pid_t old_relay = gate.relay;
    CLEANUP_FREE char *old = take_over_from_old();
    struct tcp_pair after = tcp_through(gate.address, PORT, upstream);

    CLEANUP_JSON json_object *old_status = status_of(old);
    cr_expect_str_eq(member_text(old_status, "state"), "draining");
    cr_expect_str_eq(member_text(old_status, "target"), old);
    cr_expect_eq(member_number(old_status, "connections_now"), 1);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_eq(member_number(status, "connections_now"), 1);
    cr_expect_eq(member_number(status, "connections_total"), 1, "not its own alone");
    tcp_expect_alive(&before);
    tcp_expect_alive(&after);

    tcp_close(&before);
    cr_expect(process_ends_within(old_relay, WAIT_MS), "the old relay stays");
    CLEANUP_JSON json_object *event = gate_event(&gate, "stopped", 0);
    cr_expect_str_eq(member_text(event, "reason"), "drained");
    cr_expect_null(status_of(old));
    tcp_expect_alive(&after);
    tcp_close(&after);
    cr_assert_eq(close(upstream), 0);
}

Test(takeover, by_the_short_target_and_again)
{
    start_two();
    for (int i = 0; i < 5; i++) {
        CLEANUP_FREE char *target = short_target();
        CLEANUP_FREE char *old = gate.target;
        gate.target = NULL;
        cr_assert_eq(try_takeover(target, WITH_LAUNCHER, &gate.target, NULL), BOTTLE_OK);
        cr_expect_str_neq(gate.target, old);
        expect_serves(gate.target, gate.address, PORT);
    }
    gate_stop(&gate);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
}

Test(takeover, the_old_gate_can_be_given_a_bound)
{
    CLEANUP_FREE char *message = NULL;

    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    CLEANUP_FREE char *old = take_over_from_old();
    cr_assert_eq(bottle_plugin_drain(gate.plugin, NULL, old, 100, &message), BOTTLE_OK, "%s",
                 message);
    cr_expect_eq(tcp_drain(pair.client), ECONNRESET);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
    expect_serves(gate.target, gate.address, PORT);
}

/* Long targets mean one relay each; the short one means them all, to stop. */
Test(takeover, stop_by_either_target)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pairs[3];
    char *targets[3];
    for (size_t i = 0; i < ROWS(pairs); i++) {
        pairs[i] = tcp_through(gate.address, PORT, upstream);
        targets[i] = take_over_from_old();
    }
    cr_expect_eq(gate_try_stop(&gate, targets[1]), BOTTLE_OK);
    cr_expect_null(status_of(targets[1]));
    cr_expect_eq(tcp_drain(pairs[1].client), ECONNRESET);
    tcp_expect_alive(&pairs[0]);
    tcp_expect_alive(&pairs[2]);

    CLEANUP_FREE char *target = short_target();
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    cr_expect_eq(tcp_drain(pairs[0].client), ECONNRESET);
    cr_expect_eq(tcp_drain(pairs[2].client), ECONNRESET);
    cr_expect_null(gate_status(&gate));
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    for (size_t i = 0; i < ROWS(pairs); i++) {
        cr_expect_null(status_of(targets[i]));
        tcp_close(&pairs[i]);
        free(targets[i]);
    }
    cr_assert_eq(close(upstream), 0);
}

/* The claim was made by the first relay; SO_PEERCRED of the short target still says so. */
Test(takeover, stop_of_a_gate_that_hangs_spares_the_one_before)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    CLEANUP_FREE char *old = take_over_from_old();

    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    cr_expect_eq(gate_try_stop(&gate, gate.target), BOTTLE_OK);
    cr_expect(process_ends_within(gate.relay, 0));
    tcp_expect_alive(&pair);
    CLEANUP_JSON json_object *status = status_of(old);
    cr_expect_str_eq(member_text(status, "state"), "draining");
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

Test(takeover, other_upstreams)
{
    start_two();
    prepare_ports(SECOND_PORT, THIRD_PORT);
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    take_over();

    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED, "a port that is gone");
    expect_serves(gate.target, gate.address, SECOND_PORT);
    expect_serves(gate.target, gate.address, THIRD_PORT);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

static char *read_stage_file(const char *name)
{
    char path[128], *text = calloc(1, 65536);

    (void)snprintf(path, sizeof path, "%s/%s", gate.stage_dir, name);
    FILE *stream = fopen(path, "re");
    cr_assert_not_null(stream, "%s: %m", path);
    cr_assert_not_null(text);
    cr_assert_lt(fread(text, 1, 65535, stream), 65535);
    cr_assert_eq(fclose(stream), 0);
    return text;
}

Test(takeover, another_address)
{
    start_two();
    gate_set_networks(&gate, gate.dns_address, "host");
    take_over();

    expect_serves(gate.target, gate.dns_address, PORT);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    CLEANUP_FREE char *ssh_config = read_stage_file("ssh_config");
    expect_part(ssh_config, gate.dns_address);
}

static void expect_namespace_serves(const struct network *network, const char *address)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = {.client = network_connect(network, address, PORT)};

    cr_assert_geq(pair.client, 0, "%s: %s", address, strerror(-pair.client));
    pair.upstream = tcp_accept(upstream);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* The addresses are those of loopback in each namespace: what listens in one is not for the other. */
Test(takeover, the_same_namespace_and_another)
{
    struct network networks[2];

    network_make(&networks[0], false);
    network_make(&networks[1], false);
    prepare_ports(PORT, SECOND_PORT);
    gate_set_networks(&gate, networks[0].path, "host");
    gate_start(&gate, "");
    take_over();
    expect_namespace_serves(&networks[0], "127.0.0.1");
    expect_namespace_serves(&networks[0], "::1");

    gate_set_networks(&gate, networks[1].path, "host");
    take_over();
    expect_namespace_serves(&networks[1], "127.0.0.1");
    expect_namespace_serves(&networks[1], "::1");
    cr_expect_eq(network_connect(&networks[0], "127.0.0.1", PORT), -ECONNREFUSED);
    gate_stop(&gate);
    network_remove(&networks[0]);
    network_remove(&networks[1]);
}

/* More sockets than fit into a packet. */
Test(takeover, as_many_upstreams_as_there_may_be)
{
    struct gate_entry entries[RELAY_MAX_UPSTREAMS];
    char aliases[RELAY_MAX_UPSTREAMS][16];
    struct network network;

    for (size_t i = 0; i < ROWS(entries); i++) {
        (void)snprintf(aliases[i], sizeof aliases[i], "host%zu", i);
        entries[i] = (struct gate_entry){aliases[i], gate.upstream_address, (uint16_t)(PORT + i)};
    }
    network_make(&network, false);
    gate_prepare(&gate, entries, ROWS(entries));
    gate_set_networks(&gate, network.path, "host");
    gate_start(&gate, "");
    int descriptors = gate_count_descriptors(&gate);
    take_over();
    expect_namespace_serves(&network, "127.0.0.1");
    for (size_t i = 0; i < ROWS(entries); i++) {
        int fd = network_connect(&network, i % 2 ? "127.0.0.1" : "::1", entries[i].port);
        cr_assert_geq(fd, 0, "port %u: %s", entries[i].port, strerror(-fd));
        cr_assert_eq(close(fd), 0);
    }
    gate_wait_for_status(&gate, "connections_now", 0);
    gate_expect_descriptors(&gate, descriptors);
    gate_stop(&gate);
    network_remove(&network);
}

/* ---- the launcher that it ends with ---- */

static const char *start_and_wait(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;

    if (gate_try_start(&gate, context, &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    line_send(parent_fd, "started");
    (void)pause();
    return NULL;
}

/* The gate is started by a child, which lives on. */
static struct child start_in_child(const char *options)
{
    char line[16];

    prepare_ports(PORT, SECOND_PORT);
    struct child child = child_start(start_and_wait, (void *)(uintptr_t)options);
    cr_assert(line_receive(child.fd, line, sizeof line));
    cr_assert_str_eq(line, "started");
    return child;
}

static const char *take_over_and_leave(int parent_fd, void *context)
{
    CLEANUP_FREE char *from = short_target();
    CLEANUP_FREE char *target = NULL;
    CLEANUP_FREE char *message = NULL;

    (void)parent_fd;
    return try_takeover(from, context, &target, &message) == BOTTLE_OK
               ? NULL
               : child_failure("takeover: %s", message);
}

/* 0: none */
static void expect_launcher(pid_t launcher)
{
    CLEANUP_JSON json_object *status = gate_status(&gate);
    json_object *pid = NULL;

    cr_assert_not_null(status, "no gate runs");
    gate.relay = (pid_t)member_number(status, "pid");
    cr_assert(json_object_object_get_ex(status, "launcher_pid", &pid));
    cr_expect_eq(json_object_get_int(pid), launcher);
}

/* Who takes over, and is done with that in a moment, is not the one that it ends with. */
Test(takeover, the_new_gate_ends_with_the_launcher_of_the_old_one)
{
    static const char *const OPTIONS[] = {"{}", WITH_LAUNCHER};

    for (size_t i = 0; i < ROWS(OPTIONS); i++) {
        struct child launcher = start_in_child(WITH_LAUNCHER);
        expect_launcher(launcher.pid);
        for (int round = 0; round < 2; round++) {
            pid_t old_relay = gate.relay;
            child_run(take_over_and_leave, (void *)(uintptr_t)OPTIONS[i]);
            cr_expect(process_ends_within(old_relay, WAIT_MS));
            expect_launcher(launcher.pid);
            cr_expect_eq(tcp_connect_error(gate.address, PORT), 0);
        }
        child_kill(&launcher);
        cr_expect(process_ends_within(gate.relay, WAIT_MS), "it outlives its launcher");
    }
}

Test(takeover, the_new_gate_can_be_told_to_end_with_nobody)
{
    struct child launcher = start_in_child(WITH_LAUNCHER);

    child_run(take_over_and_leave, "{\"exit_with_launcher\": false}");
    expect_launcher(0);
    child_run(take_over_and_leave, "{}");
    child_kill(&launcher);
    expect_launcher(0);
    gate.target = short_target();
    gate_stop(&gate);
}

/* Where there was none before, it is the one that takes over. */
Test(takeover, the_new_gate_can_be_told_to_end_with_who_takes_over)
{
    struct child first = start_in_child("{}");

    expect_launcher(0);
    child_kill(&first);
    free(gate.target);
    gate.target = NULL;
    char *target = NULL;
    CLEANUP_FREE char *from = short_target();
    cr_assert_eq(try_takeover(from, WITH_LAUNCHER, &target, NULL), BOTTLE_OK);
    gate.target = target;
    expect_launcher(getpid());
}

/* ---- relays in containers, which share a network ---- */

struct running {
    struct command_relay line;
    struct child child;
    int events_fd; /* a pipe */
};

static struct running run_by_command(const char *instance, const char *takeover, uint16_t port)
{
    struct running running = {.line = {.slug = gate.slug,
                                       .instance = instance,
                                       .takeover = takeover,
                                       .port = port,
                                       .upstream_address = gate.upstream_address,
                                       .upstream_port = PORT}};
    int pipe_fds[2];

    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    running.events_fd = pipe_fds[0];
    running.line.events_fd = pipe_fds[1];
    running.child = command_relay_start(&running.line);
    cr_assert_eq(close(pipe_fds[1]), 0);
    return running;
}

/* Waits until the relay has written that event. */
static void await_event(const struct running *running, const char *event)
{
    char text[4096] = "", wanted[64];
    size_t length = 0;
    struct pollfd polled = {.fd = running->events_fd, .events = POLLIN};

    (void)snprintf(wanted, sizeof wanted, "\"event\":\"%s\"", event);
    while (!strstr(text, wanted)) {
        cr_assert_eq(poll(&polled, 1, WAIT_MS), 1, "no event %s after: %s", event, text);
        ssize_t got = read(running->events_fd, text + length, sizeof text - 1 - length);
        cr_assert_gt(got, 0, "no event %s after: %s", event, text);
        length += (size_t)got;
        text[length] = '\0';
    }
}

static void expect_state(const char *instance, const char *state)
{
    CLEANUP_FREE char *target = NULL;

    cr_assert_gt(asprintf(&target, "native:%s:%s", gate.slug, instance), 0);
    CLEANUP_JSON json_object *status = status_of(target);
    cr_assert_not_null(status, "%s has gone", target);
    cr_expect_str_eq(member_text(status, "state"), state);
}

static void end_running(struct running *running)
{
    child_kill(&running->child);
    cr_assert_eq(close(running->events_fd), 0);
}

/* The network would go with the first one, so that stays as long as any that took over. */
Test(takeover, the_first_of_a_network_stays_for_the_others)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8),
        reserved = tcp_reserve("127.0.0.1", 0);
    uint16_t port = tcp_port(reserved);

    cr_assert_eq(close(reserved), 0);
    struct running first = run_by_command("a", NULL, port);
    await_event(&first, "started");
    struct tcp_pair early = tcp_through("127.0.0.1", port, upstream);
    struct running second = run_by_command("b", "a", port);
    await_event(&second, "ready");
    expect_state("a", "serving");
    cr_assert_eq(kill(second.child.pid, SIGUSR1), 0);
    await_event(&second, "started");
    expect_state("a", "draining");
    expect_state("b", "serving");
    tcp_expect_alive(&early);
    struct running third = run_by_command("c", "b", port);
    await_event(&third, "ready");
    cr_assert_eq(kill(third.child.pid, SIGUSR1), 0);
    await_event(&third, "started");
    cr_expect(process_ends_within(second.child.pid, WAIT_MS), "the second holds no network");

    tcp_close(&early);
    struct tcp_pair late = tcp_through("127.0.0.1", port, upstream);
    cr_expect(!process_ends_within(first.child.pid, 1000), "the third one's network is gone");
    tcp_expect_alive(&late);
    tcp_close(&late);
    cr_assert_eq(kill(third.child.pid, SIGKILL), 0);
    cr_expect(process_ends_within(first.child.pid, WAIT_MS), "nobody is left, but the first");
    end_running(&first);
    end_running(&second);
    end_running(&third);
    cr_assert_eq(close(upstream), 0);
}

/* Its launcher gave up, or it was killed, before the word to go on: nothing has happened. */
Test(takeover, one_that_is_not_told_to_go_on_takes_nothing)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8),
        reserved = tcp_reserve("127.0.0.1", 0);
    uint16_t port = tcp_port(reserved);
    static const int SIGNALS[] = {SIGTERM, SIGKILL};

    cr_assert_eq(close(reserved), 0);
    struct running first = run_by_command("a", NULL, port);
    await_event(&first, "started");
    for (size_t i = 0; i < ROWS(SIGNALS); i++) {
        struct running second = run_by_command("b", "a", port);
        await_event(&second, "ready");
        cr_assert_eq(kill(second.child.pid, SIGNALS[i]), 0);
        cr_expect(process_ends_within(second.child.pid, WAIT_MS));
        end_running(&second);
        expect_state("a", "serving");
        struct tcp_pair pair = tcp_through("127.0.0.1", port, upstream);
        tcp_expect_alive(&pair);
        tcp_close(&pair);
    }
    cr_assert_eq(kill(first.child.pid, SIGTERM), 0);
    cr_expect(process_ends_within(first.child.pid, WAIT_MS), "it holds the network for nobody");
    end_running(&first);
    cr_assert_eq(close(upstream), 0);
}

/* ---- what fails ---- */

Test(takeover, refuses_targets_that_it_cannot_take_over)
{
    CLEANUP_FREE char *docker = NULL;
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *target = NULL;

    start_two();
    cr_assert_gt(asprintf(&docker, "docker:%s", gate.slug), 0);
    expect_refused("native:never-was", "{}", BOTTLE_INVALID, "never-was");
    expect_refused("native:", "{}", BOTTLE_INVALID, "native:");
    expect_refused("", "{}", BOTTLE_INVALID, "");
    cr_assert_eq(setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock", 1), 0);
    expect_refused(docker, "{}", BOTTLE_UNAVAILABLE, "/nonexistent/engine.sock");
    cr_expect_eq(bottle_plugin_start(gate.plugin, NULL, gate.plan, "docker", "{}", gate.target,
                                     &target, &message),
                 BOTTLE_UNSUPPORTED);
    expect_part(message, "(exit_with_launcher), which a container cannot");
    CLEANUP_FREE char *never = NULL;
    cr_assert_gt(asprintf(&never, "native:%s:0123456789abcdef", gate.slug), 0);
    expect_refused(never, "{}", BOTTLE_NOT_FOUND, never);
    expect_untouched();

    gate_stop(&gate);
    CLEANUP_FREE char *gone = short_target();
    expect_refused(gone, "{}", BOTTLE_NOT_FOUND, gone);
}

Test(takeover, refuses_a_gate_that_drains)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    CLEANUP_FREE char *old = take_over_from_old();

    expect_refused(old, "{}", BOTTLE_CONFLICT, "drains already");
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* What drains has let the slug go, wherever it is looked for. */
Test(takeover, refuses_a_slug_that_only_drains)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    CLEANUP_FREE char *old = take_over_from_old();
    CLEANUP_FREE char *slug = short_target();

    cr_assert_eq(bottle_plugin_stop(gate.plugin, NULL, gate.target, NULL), BOTTLE_OK);
    expect_refused(slug, "{}", BOTTLE_NOT_FOUND, old);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* Everything that start can fail of, with a manifest that has changed as well. */
Test(takeover, what_cannot_start_leaves_the_old_gate)
{
    start_two();
    CLEANUP_FREE char *before = read_stage_file("ssh_config");
    int taken = tcp_listen(gate.address, THIRD_PORT, 1);

    prepare_ports(PORT, THIRD_PORT);
    expect_refused(gate.target, "{}", BOTTLE_CONFLICT, "2202");
    cr_assert_eq(close(taken), 0);
    expect_refused(gate.target, "{\"no_such_option\": 1}", BOTTLE_INVALID, "no_such_option");
    gate_set_networks(&gate, "192.0.2.77", "host");
    expect_refused(gate.target, "{}", BOTTLE_UNAVAILABLE, "192.0.2.77");
    gate_set_networks(&gate, "/no/such/namespace", "host");
    expect_refused(gate.target, "{}", BOTTLE_UNAVAILABLE, "/no/such/namespace");
    gate_set_networks(&gate, gate.address, "/proc/self/ns/uts");
    expect_refused(gate.target, "{}", BOTTLE_INVALID, "no network namespace");

    CLEANUP_FREE char *after = read_stage_file("ssh_config");
    cr_expect_str_eq(after, before, "the agent's configuration is another");
    cr_expect_eq(tcp_connect_error(gate.address, THIRD_PORT), ECONNREFUSED);
    expect_untouched();
}

/* The old relay answers nothing, so the new one does not get ready; then it does, and nobody waits. */
Test(takeover, a_start_that_times_out)
{
    start_two();
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    expect_refused(gate.target, "{\"start_timeout_ms\": 100}", BOTTLE_TIMEOUT, "start_timeout_ms");
    cr_assert_eq(kill(gate.relay, SIGCONT), 0);
    expect_untouched();
}

Test(takeover, an_old_relay_that_hangs)
{
    start_two();
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    expect_refused(gate.target, "{}", BOTTLE_TIMEOUT, "does not answer");
    cr_assert_eq(kill(gate.relay, SIGCONT), 0);
    expect_untouched();
}

struct racer {
    pthread_t thread;
    const char *from;
    char *target, *message;
    enum bottle_result result;
};

static void *race(void *context)
{
    struct racer *racer = context;

    racer->result = try_takeover(racer->from, WITH_LAUNCHER, &racer->target, &racer->message);
    return NULL;
}

/* A session keeps the old relay there, so that who comes late finds it draining. */
Test(takeover, of_two_at_once_one_wins)
{
    start_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    for (int round = 0; round < 20; round++) {
        struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
        struct racer racers[2] = {{.from = gate.target}, {.from = gate.target}};
        for (size_t i = 0; i < ROWS(racers); i++)
            cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        for (size_t i = 0; i < ROWS(racers); i++)
            cr_assert_eq(pthread_join(racers[i].thread, NULL), 0);
        size_t winner = racers[0].result == BOTTLE_OK ? 0 : 1;
        cr_expect_eq(racers[winner].result, BOTTLE_OK, "%s", racers[winner].message);
        cr_expect_eq(racers[1 - winner].result, BOTTLE_CONFLICT, "%s", racers[1 - winner].message);
        tcp_expect_alive(&pair);
        tcp_close(&pair);
        free(racers[1 - winner].message);
        free(gate.target);
        gate.target = racers[winner].target;
    }
    cr_assert_eq(close(upstream), 0);
    expect_serves(gate.target, gate.address, PORT);
}

/* ---- what the relays say to each other ---- */

static socklen_t control_address(const char *instance, struct sockaddr_un *address)
{
    int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                          instance ? CONTROL_NAME_OF_INSTANCE : CONTROL_NAME_OF_SLUG, geteuid(),
                          gate.slug, instance);

    address->sun_family = AF_UNIX;
    address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int connect_control(void)
{
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    struct sockaddr_un address;
    socklen_t length = control_address(NULL, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, length), 0, "%m");
    return fd;
}

static void send_request(int fd, uint32_t version, uint32_t operation)
{
    const struct control_request request = {.version = version, .operation = operation};

    cr_assert_eq(send(fd, &request, sizeof request, MSG_NOSIGNAL), (ssize_t)sizeof request);
}

/* The test as the new relay: the claim and the two listeners; -1: the relay refuses, or is going. */
static int try_to_ask(int fds[3])
{
    int fd = connect_control(), received[FD_PASSING_MAX];
    struct handover handover;
    size_t count;

    send_request(fd, CONTROL_VERSION, CONTROL_TAKEOVER);
    ssize_t length = receive_with_fds(fd, &handover, sizeof handover, received, &count);
    if (length < (ssize_t)sizeof handover.reply || handover.reply.result != BOTTLE_OK) {
        cr_assert_eq(close(fd), 0);
        return -1;
    }
    cr_assert_eq(length, (ssize_t)sizeof handover);
    cr_assert_eq(handover.reply.version, CONTROL_VERSION);
    cr_assert_eq(handover.fds_left, 0);
    cr_assert_eq(count, 4);
    cr_assert_eq(handover.has_launcher, 1);
    cr_assert_eq(close(received[1]), 0);
    fds[0] = received[0];
    memcpy(fds + 1, received + 2, 2 * sizeof fds[0]);
    return fd;
}

static int ask_for_sockets(int fds[3])
{
    int fd = try_to_ask(fds);

    cr_assert_geq(fd, 0, "the relay refuses");
    return fd;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(close(fds[i]), 0);
}

static int32_t receive_result(int fd)
{
    char packet[1024];
    struct control_reply reply;
    ssize_t length = recv(fd, packet, sizeof packet, 0);

    cr_assert_geq(length, (ssize_t)sizeof reply, "no reply");
    memcpy(&reply, packet, sizeof reply);
    return reply.result;
}

static const char *take_over_and_wait(int parent_fd, void *context)
{
    CLEANUP_FREE char *target = NULL;
    CLEANUP_FREE char *message = NULL;

    line_send(parent_fd, "begin");
    if (try_takeover(context, "{}", &target, &message) != BOTTLE_OK)
        return child_failure("takeover: %s", message);
    (void)pause();
    return NULL;
}

/* The relay that the dead launcher had started ends, or has taken over, a moment later. */
static void wait_for_offer(void)
{
    int64_t end_ms = now_ms() + WAIT_MS;
    int fds[3], fd;

    while ((fd = try_to_ask(fds)) < 0) {
        cr_assert_lt(now_ms(), end_ms, "the gate is being taken over for ever");
        sleep_ms(1);
    }
    cr_assert_eq(close(fd), 0);
    close_all(fds, 3);
}

static void expect_one_serves(void)
{
    wait_for_offer();
    CLEANUP_JSON json_object *status = gate_status(&gate);

    cr_assert_not_null(status, "no gate runs");
    cr_expect_str_eq(member_text(status, "state"), "serving");
    free(gate.target);
    gate.target = strdup(member_text(status, "target"));
    expect_serves(gate.target, gate.address, PORT);
    expect_serves(gate.target, gate.address, SECOND_PORT);
}

Test(takeover, a_launcher_that_dies_at_any_moment)
{
    int taken_over = 0;
    enum { ROUNDS = 40 };

    start_two();
    for (int round = 0; round < ROUNDS; round++) {
        char line[16];
        CLEANUP_FREE char *old = strdup(gate.target);
        struct child child = child_start(take_over_and_wait, gate.target);
        cr_assert(line_receive(child.fd, line, sizeof line));
        const struct timespec moment = {.tv_nsec = round * 700000L};
        cr_assert_eq(nanosleep(&moment, NULL), 0);
        child_kill(&child);
        expect_one_serves();
        taken_over += strcmp(old, gate.target) != 0;
    }
    cr_log_info("%d of %d takeovers were complete", taken_over, ROUNDS);
    expect_untouched();
}

Test(takeover, a_successor_that_goes_before_it_commits)
{
    int fds[3];

    start_two();
    for (int i = 0; i < 20; i++) {
        int fd = ask_for_sockets(fds);
        expect_serves(gate.target, gate.address, PORT);
        cr_assert_eq(close(fd), 0);
        close_all(fds, 3);
    }
    expect_untouched();
}

Test(takeover, one_successor_at_a_time)
{
    int fds[3];

    start_two();
    int fd = ask_for_sockets(fds);
    expect_refused(gate.target, "{}", BOTTLE_CONFLICT, "another launcher");
    expect_serves(gate.target, gate.address, PORT);
    cr_assert_eq(close(fd), 0);
    close_all(fds, 3);
    expect_untouched();
}

/* What is handed over are the sockets themselves, with the clients that wait in them. */
Test(takeover, clients_that_wait_are_handed_over)
{
    int fds[3];

    start_two();
    pid_t old_relay = gate.relay;
    int fd = ask_for_sockets(fds);
    send_request(fd, CONTROL_VERSION, CONTROL_COMMIT);
    cr_expect_eq(receive_result(fd), BOTTLE_OK);
    cr_expect(process_ends_within(old_relay, WAIT_MS));
    int client = tcp_connect(gate.address, tcp_port(fds[2]));
    int accepted = tcp_accept(fds[2]);
    tcp_send(client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    char received[IDENTIFICATION_LENGTH];
    tcp_receive(accepted, received, sizeof received);
    const int all[] = {client, accepted, fd, fds[0], fds[1], fds[2]};
    close_all(all, ROWS(all));
    free(gate.target);
    gate.target = NULL;
    cr_expect_null(gate_status(&gate));
}

/* A client that has gone before the old relay's word could be sent: nothing is committed. */
Test(takeover, a_commit_that_cannot_be_answered)
{
    int fds[3];

    start_two();
    int fd = ask_for_sockets(fds);
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    send_request(fd, CONTROL_VERSION, CONTROL_COMMIT);
    cr_assert_eq(shutdown(fd, SHUT_RDWR), 0);
    cr_assert_eq(kill(gate.relay, SIGCONT), 0);
    char byte;
    cr_expect_eq(recv(fd, &byte, 1, 0), 0, "it answered");
    cr_assert_eq(close(fd), 0);
    close_all(fds, 3);
    expect_untouched();
}

Test(takeover, refuses_requests_that_it_does_not_know)
{
    static const uint32_t requests[][2] = {{CONTROL_VERSION, CONTROL_COMMIT},
                                           {CONTROL_VERSION, 99},
                                           {CONTROL_VERSION + 1, CONTROL_TAKEOVER},
                                           {0, CONTROL_COMMIT}};

    start_two();
    for (size_t i = 0; i < ROWS(requests); i++) {
        int fd = connect_control();
        send_request(fd, requests[i][0], requests[i][1]);
        int32_t result = receive_result(fd);
        cr_expect(result == BOTTLE_UNSUPPORTED || result == BOTTLE_INVALID, "%zu: %d", i, result);
        cr_assert_eq(close(fd), 0);
    }
    int fds[3];
    int fd = ask_for_sockets(fds);
    cr_assert_eq(send(fd, "?", 1, MSG_NOSIGNAL), 1);
    char byte;
    cr_expect_eq(recv(fd, &byte, 1, 0), 0, "it listens to what is no request");
    cr_assert_eq(close(fd), 0);
    close_all(fds, 3);
    expect_untouched();
}

static const char *ask_as_another_user(int parent_fd, void *context)
{
    struct sockaddr_un address;
    socklen_t length = control_address(NULL, &address); /* root's */
    const struct control_request request = {.version = CONTROL_VERSION,
                                            .operation = CONTROL_TAKEOVER};
    char byte;

    (void)parent_fd;
    (void)context;
    if (setresuid(65534, 65534, 65534))
        return child_failure("setresuid: %s", strerror(errno));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, length))
        return child_failure("connect: %s", strerror(errno));
    (void)send(fd, &request, sizeof request, MSG_NOSIGNAL);
    ssize_t received = recv(fd, &byte, 1, 0);
    return received > 0 ? "it was heard" : NULL;
}

Test(takeover, another_user_is_not_heard)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become another user");
    start_two();
    child_run(ask_as_another_user, NULL);
    expect_untouched();
}

/* ---- the test as an old relay of another build ---- */

static int pretend_to_run(void)
{
    struct sockaddr_un address;
    socklen_t length = control_address(NULL, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, length), 0, "%m");
    cr_assert_eq(listen(fd, 8), 0);
    return fd;
}

struct pretence {
    pthread_t thread;
    int claim_fd;
    size_t length; /* of the answer */
    struct handover answer;
    bool offers;     /* the claim as its descriptor */
    int launcher_fd; /* offered too; 0: none */
};

/* Answers one request, and waits for the end of the connection. */
static void *answer_once(void *context)
{
    const struct pretence *pretence = context;
    struct control_request request;
    const int offered[] = {pretence->claim_fd, pretence->launcher_fd};
    int fd = accept4(pretence->claim_fd, NULL, NULL, SOCK_CLOEXEC);

    (void)recv(fd, &request, sizeof request, 0);
    (void)send_with_fds(fd, &pretence->answer, pretence->length, offered,
                        !pretence->offers           ? 0
                        : pretence->launcher_fd > 0 ? 2
                                                    : 1);
    while (recv(fd, &request, sizeof request, 0) > 0)
        ;
    (void)close(fd);
    return NULL;
}

static void expect_misunderstood(struct pretence *pretence, enum bottle_result result,
                                 const char *part)
{
    CLEANUP_FREE char *target = short_target();

    cr_assert_eq(pthread_create(&pretence->thread, NULL, answer_once, pretence), 0);
    expect_refused(target, "{}", result, part);
    cr_assert_eq(pthread_join(pretence->thread, NULL), 0);
}

Test(takeover, an_old_relay_of_another_build)
{
    struct pretence pretence = {.claim_fd = pretend_to_run()};

    prepare_ports(PORT, SECOND_PORT);
    pretence.length = sizeof(struct control_reply);
    pretence.answer.reply = (struct control_reply){CONTROL_VERSION, BOTTLE_UNSUPPORTED};
    expect_misunderstood(&pretence, BOTTLE_UNSUPPORTED, "another version of ssh_gate");
    pretence.answer.reply = (struct control_reply){CONTROL_VERSION + 1, BOTTLE_OK};
    expect_misunderstood(&pretence, BOTTLE_UNSUPPORTED, "another version of ssh_gate");
    pretence.length = sizeof(struct handover);
    expect_misunderstood(&pretence, BOTTLE_UNSUPPORTED, "another version of ssh_gate");
    pretence.offers = true;
    expect_misunderstood(&pretence, BOTTLE_UNSUPPORTED, "another version of ssh_gate");
    pretence.length = 0;
    expect_misunderstood(&pretence, BOTTLE_NOT_FOUND, "has just ended");
    cr_assert_eq(close(pretence.claim_fd), 0);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
}

/* It offers what it has and then never lets go: the new relay gives up, and is gone. */
Test(takeover, an_old_relay_that_does_not_let_go)
{
    struct pretence pretence = {.claim_fd = pretend_to_run(),
                                .length = sizeof(struct handover),
                                .answer.reply = {CONTROL_VERSION, BOTTLE_OK},
                                .offers = true};

    prepare_ports(PORT, SECOND_PORT);
    CLEANUP_FREE char *before = read_stage_file("ssh_config");
    expect_misunderstood(&pretence, BOTTLE_TIMEOUT, "does not answer");
    CLEANUP_FREE char *after = read_stage_file("ssh_config");
    cr_expect_str_eq(after, before, "the agent's configuration is another");
    cr_assert_eq(close(pretence.claim_fd), 0);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    cr_expect_null(gate_status(&gate));
}

static const char *end_at_once(int parent_fd, void *context)
{
    (void)parent_fd;
    (void)context;
    return NULL;
}

/* The process that both end with is gone when the new relay looks for the first time. */
Test(takeover, a_launcher_that_has_just_ended)
{
    struct child launcher = child_start(end_at_once, NULL);
    struct pretence pretence = {.claim_fd = pretend_to_run(),
                                .length = sizeof(struct handover),
                                .answer = {.reply = {CONTROL_VERSION, BOTTLE_OK},
                                           .has_launcher = 1,
                                           .launcher_pid = launcher.pid},
                                .offers = true,
                                .launcher_fd = (int)syscall(SYS_pidfd_open, launcher.pid, 0)};

    cr_assert_geq(pretence.launcher_fd, 0);
    child_wait(&launcher);
    prepare_ports(PORT, SECOND_PORT);
    expect_misunderstood(&pretence, BOTTLE_NOT_FOUND, "has just ended (exit_with_launcher)");
    cr_assert_eq(close(pretence.launcher_fd), 0);
    cr_assert_eq(close(pretence.claim_fd), 0);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
}
