/* SPDX-License-Identifier: MIT */
/*
 * test_lifecycle.c: start, stop, status and drain of the native backend: what they leave alone, what
 * they leave behind (nothing), and what they say when they cannot do it.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT        2200
#define SECOND_PORT 2201
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(lifecycle, .init = set_up, .fini = tear_down, .timeout = 120);

static void prepare_two(void)
{
    const struct gate_entry entries[] = {{"first", gate.upstream_address, PORT},
                                         {"second", gate.upstream_address, SECOND_PORT}};

    gate_prepare(&gate, entries, ROWS(entries));
}

static char *short_target(void)
{
    char *target = NULL;

    cr_assert_gt(asprintf(&target, "native:%s", gate.slug), 0);
    return target;
}

static void expect_nothing_listens(void)
{
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    cr_expect_eq(tcp_connect_error(gate.address, SECOND_PORT), ECONNREFUSED);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_null(status, "a gate still runs");
}

/* ---- stop ---- */

Test(lifecycle, stop_twice_and_of_what_never_was)
{
    prepare_two();
    gate_start(&gate, "");
    CLEANUP_FREE char *target = strdup(gate.target);

    gate_stop(&gate);
    cr_expect(process_ends_within(gate.relay, 0), "stop returned before the relay had ended");
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    cr_expect_eq(gate_try_stop(&gate, "native:never-was"), BOTTLE_OK);
    cr_expect_eq(gate_try_stop(&gate, "native:never-was:0123456789abcdef"), BOTTLE_OK);
    expect_nothing_listens();
}

Test(lifecycle, a_target_names_one_run)
{
    prepare_two();
    gate_start(&gate, "");
    CLEANUP_FREE char *earlier = strdup(gate.target);
    gate_stop(&gate);
    gate_start(&gate, "");

    cr_expect_str_neq(gate.target, earlier);
    cr_expect_eq(gate_try_stop(&gate, earlier), BOTTLE_OK);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0,
                 "stop of an earlier run stopped a later one");
    CLEANUP_FREE char *target = short_target();
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    expect_nothing_listens();
}

/* A process that knows nothing but the target, with a plugin of its own. */
static const char *stop_elsewhere(int parent_fd, void *context)
{
    CLEANUP_FREE char *path = build_path("plugin/ssh_gate.so");
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *status = NULL;
    struct bottle_plugin *plugin;
    const char *target = context;

    (void)parent_fd;
    if (bottle_plugin_load(path, &plugin, &message) != BOTTLE_OK)
        return child_failure("load: %s", message);
    if (bottle_plugin_status(plugin, NULL, target, &status, &message) != BOTTLE_OK)
        return child_failure("status: %s", message);
    if (bottle_plugin_stop(plugin, NULL, target, &message) != BOTTLE_OK)
        return child_failure("stop: %s", message);
    bottle_plugin_unload(plugin);
    return NULL;
}

Test(lifecycle, stop_from_another_process)
{
    prepare_two();
    gate_start(&gate, "");
    child_run(stop_elsewhere, gate.target);
    expect_nothing_listens();
}

Test(lifecycle, stop_after_the_relay_was_killed)
{
    prepare_two();
    gate_start(&gate, "");
    cr_assert_eq(kill(gate.relay, SIGKILL), 0);
    cr_assert(process_ends_within(gate.relay, WAIT_MS));
    cr_expect_eq(gate_try_stop(&gate, gate.target), BOTTLE_OK);
    expect_nothing_listens();

    CLEANUP_FREE char *old_target = gate.target; /* the slug is free at once */
    gate_start(&gate, "");
    cr_expect_str_neq(gate.target, old_target);
}

/* A relay that does not react is killed. */
Test(lifecycle, stop_of_a_relay_that_hangs)
{
    prepare_two();
    gate_start(&gate, "");
    cr_assert_eq(kill(gate.relay, SIGSTOP), 0);
    cr_expect_eq(gate_try_stop(&gate, gate.target), BOTTLE_OK);
    cr_expect(process_ends_within(gate.relay, 0));
    expect_nothing_listens();
}

Test(lifecycle, a_signal_ends_the_relay_in_order)
{
    prepare_two();
    gate_start(&gate, "");
    cr_assert_eq(kill(gate.relay, SIGTERM), 0);
    cr_assert(process_ends_within(gate.relay, WAIT_MS));
    CLEANUP_JSON json_object *event = gate_event(&gate, "stopped", 0);
    cr_expect_str_eq(member_text(event, "reason"), "signal");
}

/* ---- start ---- */

Test(lifecycle, a_slug_that_runs_is_a_conflict)
{
    CLEANUP_FREE char *message = NULL;

    prepare_two();
    gate_start(&gate, "");
    CLEANUP_FREE char *target = gate.target;
    cr_expect_eq(gate_try_start(&gate, "{}", &message), BOTTLE_CONFLICT);
    expect_part(message, gate.slug);
    expect_part(message, "running gate");
    gate.target = strdup(target);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0, "the running gate was disturbed");
}

struct racer {
    pthread_t thread;
    struct gate gate; /* a copy: only its target is written */
    enum bottle_result result;
};

static void *race(void *context)
{
    struct racer *racer = context;

    racer->result = gate_try_start(&racer->gate, "{\"exit_with_launcher\": true}", NULL);
    return NULL;
}

Test(lifecycle, of_two_that_start_one_slug_one_wins)
{
    prepare_two();
    for (int round = 0; round < 25; round++) {
        struct racer racers[2];
        for (size_t i = 0; i < ROWS(racers); i++) {
            racers[i].gate = gate;
            cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (size_t i = 0; i < ROWS(racers); i++)
            cr_assert_eq(pthread_join(racers[i].thread, NULL), 0);
        size_t winner = racers[0].result == BOTTLE_OK ? 0 : 1;
        cr_expect_eq(racers[winner].result, BOTTLE_OK);
        cr_expect_eq(racers[1 - winner].result, BOTTLE_CONFLICT);
        gate.target = racers[winner].gate.target;
        gate_stop(&gate);
    }
    expect_nothing_listens();
}

Test(lifecycle, a_taken_port_leaves_nothing_listening)
{
    CLEANUP_FREE char *message = NULL;

    prepare_two();
    int taken = tcp_listen(gate.address, SECOND_PORT, 1);
    int descriptors = process_count_descriptors(getpid());
    cr_expect_eq(gate_try_start(&gate, "{}", &message), BOTTLE_CONFLICT);
    expect_part(message, "second");
    expect_part(message, "2201");
    cr_expect_eq(process_count_descriptors(getpid()), descriptors);
    cr_assert_eq(close(taken), 0);
    expect_nothing_listens();
    gate_start(&gate, "");
}

Test(lifecycle, start_returns_when_every_port_accepts)
{
    prepare_two();
    for (int round = 0; round < 50; round++) {
        gate_start(&gate, "");
        cr_expect_eq(tcp_connect_error(gate.address, SECOND_PORT), 0);
        cr_expect_eq(tcp_connect_error(gate.address, PORT), 0);
        gate_stop(&gate);
    }
}

/* ---- what start refuses ---- */

static void expect_refused(const char *options, enum bottle_result expected, const char *part)
{
    CLEANUP_FREE char *message = NULL;
    enum bottle_result result = gate_try_start(&gate, options, &message);

    cr_expect_eq(result, expected, "options %s: result %s, message %s", options,
                 bottle_result_name(result), message);
    expect_part(message, part);
    cr_expect_null(gate.target);
}

Test(lifecycle, refuses_wrong_options)
{
    const struct {
        const char *options, *part;
    } rows[] = {
        {"{\"no_such_option\": 1}", "no_such_option"},
        {"{\"dial_timeout_ms\": 0}", "dial_timeout_ms is 0"},
        {"{\"dial_timeout_ms\": -1}", "dial_timeout_ms is -1"},
        {"{\"dial_timeout_ms\": \"1\"}",
         "dial_timeout_ms is \"1\"; it must be a number, without quotes: 1"},
        {"{\"dial_timeout_ms\": 22.0}",
         "dial_timeout_ms is 22.0; it must be written without a fraction or an exponent: 22"},
        {"{\"dial_timeout_ms\": 2.2e1}", "dial_timeout_ms is 2.2e1; it must be written without"},
        {"{\"dial_timeout_ms\": 0.5}",
         "dial_timeout_ms is 0.5; it must be a whole number from 1 to"},
        {"{\"resolve_timeout_ms\": 86400001}", "resolve_timeout_ms is 86400001"},
        {"{\"identification_timeout_ms\": 1.5}", "identification_timeout_ms is 1.5"},
        {"{\"event_log_max_bytes\": 1}", "event_log_max_bytes is 1"},
        {"{\"max_connections\": 0}", "max_connections is 0"},
        {"{\"max_connections_per_upstream\": 1000001}", "max_connections_per_upstream is 1000001"},
        {"{\"max_pending_dials\": true}", "max_pending_dials is true"},
        {"{\"max_pending_dials_per_upstream\": -1}", "max_pending_dials_per_upstream is -1"},
        {"{\"max_dials_per_second\": 0.5}", "max_dials_per_second is 0.5"},
        {"{\"max_dials_per_second_per_upstream\": \"9\"}", "max_dials_per_second_per_upstream is"},
        {"{\"start_timeout_ms\": null}", "start_timeout_ms is null"},
        {"{\"exit_with_launcher\": 1}", "exit_with_launcher is 1"},
        {"{\"dns_servers\": []}", "dns_servers is [ ]"},
        {"{\"dns_servers\": \"127.0.0.1\"}", "dns_servers is \"127.0.0.1\""},
        {"{\"dns_servers\": [\"localhost\"]}", "dns_servers[0] is \"localhost\""},
        {"{\"dns_servers\": [\"127.0.0.1:0\"]}", "dns_servers[0] is \"127.0.0.1:0\""},
        {"{\"dns_servers\": [\"127.0.0.1\", \"[::1]x\"]}", "dns_servers[1] is \"[::1]x\""},
        {"[]", "start options"},
        {"{", "start options"},
    };

    prepare_two();
    for (size_t i = 0; i < ROWS(rows); i++)
        expect_refused(rows[i].options, BOTTLE_INVALID, rows[i].part);
    expect_nothing_listens();
}

Test(lifecycle, refuses_wrong_networks)
{
    const struct {
        const char *internal, *egress;
        enum bottle_result result;
        const char *part;
    } rows[] = {
        {"", "host", BOTTLE_INVALID, "internal_network is empty"},
        {gate.address, "", BOTTLE_INVALID, "egress_network is empty"},
        {"0.0.0.0", "host", BOTTLE_INVALID, "\"0.0.0.0\""},
        {"::", "host", BOTTLE_INVALID, "\"::\""},
        {"224.0.0.1", "host", BOTTLE_INVALID, "\"224.0.0.1\""},
        {"localhost", "host", BOTTLE_INVALID, "\"localhost\""},
        {"192.0.2.77", "host", BOTTLE_UNAVAILABLE, "192.0.2.77"},
        {"/no/such/namespace", "host", BOTTLE_UNAVAILABLE, "/no/such/namespace"},
        {"/etc/hosts", "host", BOTTLE_INVALID, "no network namespace"},
        {"/proc/self/ns/mnt", "host", BOTTLE_INVALID, "no network namespace"},
        {gate.address, "/proc/self/ns/uts", BOTTLE_INVALID, "no network namespace"},
        {gate.address, "bridge", BOTTLE_INVALID, "\"bridge\""},
    };

    prepare_two();
    for (size_t i = 0; i < ROWS(rows); i++) {
        gate_set_networks(&gate, rows[i].internal, rows[i].egress);
        expect_refused("{}", rows[i].result, rows[i].part);
    }
    gate_set_networks(&gate, gate.address, "host");
    expect_nothing_listens();
}

Test(lifecycle, refuses_other_plans_and_backends)
{
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *target = NULL;

    prepare_two();
    cr_expect_eq(
        bottle_plugin_start(gate.plugin, NULL, gate.plan, "no-such", NULL, NULL, &target, &message),
        BOTTLE_INVALID);
    expect_part(message, "backend \"no-such\" is unknown");
    gate_set_plan(&gate, "sidecar", json_object_new_string("pipelock"));
    expect_refused("{}", BOTTLE_INVALID, "pipelock");

    gate_prepare(&gate, NULL, 0);
    expect_refused("{}", BOTTLE_INVALID, "no upstreams");
}

Test(lifecycle, refuses_a_missing_stage_dir)
{
    prepare_two();
    CLEANUP_FREE char *moved = NULL;
    cr_assert_gt(asprintf(&moved, "%s.moved", gate.stage_dir), 0);
    cr_assert_eq(rename(gate.stage_dir, moved), 0);
    expect_refused("{}", BOTTLE_UNAVAILABLE, gate.stage_dir);
    cr_assert_eq(rename(moved, gate.stage_dir), 0);
    expect_nothing_listens();
}

/* The plan of a bottle in the stage dir of the test's gate; NULL: prepare refuses. */
static char *prepare_in_its_stage_dir(const char *slug, enum bottle_result expected, char **message)
{
    static const char BOTTLE[] =
        "{\"ssh\": [{\"Host\": \"other\", \"Hostname\": \"127.0.0.9\", \"Port\": 2345}]}";
    char *plan = NULL;

    cr_expect_eq(
        bottle_plugin_prepare(gate.plugin, NULL, BOTTLE, slug, gate.stage_dir, &plan, message),
        expected, "%s", *message);
    return plan;
}

static void expect_named(const char *message)
{
    expect_part(message, gate.slug);
    expect_part(message, "\"other\"");
    expect_part(message, gate.stage_dir);
    expect_part(message, "remove .slug");
}

Test(lifecycle, a_stage_dir_belongs_to_one_slug)
{
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *again = NULL;
    CLEANUP_FREE char *start_message = NULL;

    prepare_two();
    gate_start(&gate, "");
    cr_expect_null(prepare_in_its_stage_dir("other", BOTTLE_CONFLICT, &message));
    expect_named(message);
    CLEANUP_FREE char *plan = prepare_in_its_stage_dir(gate.slug, BOTTLE_OK, &again);
    cr_expect_not_null(plan);
    gate_stop(&gate);

    /* A plan that somebody made for another slug there; as before, when nothing runs any more. */
    gate_set_plan(&gate, "slug", json_object_new_string("other"));
    cr_expect_eq(gate_try_start(&gate, "{}", &start_message), BOTTLE_CONFLICT);
    expect_named(start_message);
}

Test(lifecycle, a_stage_dir_can_be_given_to_another_slug)
{
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *path = NULL;

    prepare_two();
    cr_assert_gt(asprintf(&path, "%s/.slug", gate.stage_dir), 0);
    cr_assert_eq(unlink(path), 0);
    CLEANUP_FREE char *plan = prepare_in_its_stage_dir("other", BOTTLE_OK, &message);
    cr_expect_not_null(plan);
}

static void expect_bad_target(const char *target)
{
    CLEANUP_FREE char *message = NULL;

    cr_expect_eq(bottle_plugin_stop(gate.plugin, NULL, target, &message), BOTTLE_INVALID, "%s",
                 target);
    cr_expect_not_null(message);
}

Test(lifecycle, refuses_bad_targets)
{
    const char *const targets[] = {"",
                                   "native",
                                   "native:",
                                   "native:UPPER",
                                   "native:a/../b",
                                   "docker2:x",
                                   "native:x:",
                                   "native:x:y",
                                   "native:-x",
                                   "native:x:12:34",
                                   "native:x\n",
                                   "native:x:../",
                                   "/run/some/path",
                                   ":x",
                                   "native:x:0123456789abcdef0123456789abcdef"};

    for (size_t i = 0; i < ROWS(targets); i++)
        expect_bad_target(targets[i]);
}

/* ---- networks ---- */

Test(lifecycle, listens_on_the_loopback_of_a_namespace)
{
    struct network bottle;

    network_make(&bottle, false);
    prepare_two();
    gate_set_networks(&gate, bottle.path, "host");
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    gate_start(&gate, "");

    static const char *const loopbacks[] = {"127.0.0.1", "::1"};
    for (size_t i = 0; i < ROWS(loopbacks); i++) {
        struct tcp_pair pair = {.client = network_connect(&bottle, loopbacks[i], PORT)};
        cr_assert_geq(pair.client, 0, "%s: %s", loopbacks[i], strerror(-pair.client));
        pair.upstream = tcp_accept(upstream);
        tcp_expect_alive(&pair);
        tcp_close(&pair);
    }
    cr_expect_eq(network_connect(&bottle, "127.0.0.1", PORT + 7), -ECONNREFUSED);
    cr_expect_eq(tcp_connect_error("127.0.0.1", SECOND_PORT), ECONNREFUSED,
                 "it listens outside as well");
    gate_stop(&gate);
    cr_expect_eq(network_connect(&bottle, "127.0.0.1", PORT), -ECONNREFUSED);
    cr_assert_eq(close(upstream), 0);
    network_remove(&bottle);
}

#define MANY_UPSTREAMS 60
#define FEW_FDS        64

static void prepare_many(void)
{
    struct gate_entry entries[MANY_UPSTREAMS];
    static char aliases[MANY_UPSTREAMS][16];

    for (uint16_t i = 0; i < MANY_UPSTREAMS; i++) {
        (void)snprintf(aliases[i], sizeof aliases[i], "host%d", i);
        entries[i] = (struct gate_entry){aliases[i], gate.upstream_address, (uint16_t)(PORT + i)};
    }
    gate_prepare(&gate, entries, MANY_UPSTREAMS);
}

static const char *start_with_few_descriptors(int parent_fd, void *context)
{
    const rlim_t *hard = context;
    struct rlimit limit;
    CLEANUP_FREE char *message = NULL;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return child_failure("%s", strerror(errno));
    limit.rlim_cur = FEW_FDS;
    if (*hard)
        limit.rlim_max = *hard;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        return child_failure("%s", strerror(errno));
    enum bottle_result result = gate_try_start(&gate, "{}", &message);
    line_send(parent_fd, result == BOTTLE_OK ? "started" : message);
    return NULL;
}

/* Returns the result of start, and its message. */
static void start_many(rlim_t hard, char message[1024])
{
    struct child launcher = child_start(start_with_few_descriptors, &hard);

    cr_assert(line_receive(launcher.fd, message, 1024));
    child_wait(&launcher);
}

/* The soft limit is the launcher's; the relay goes by the hard one. */
Test(lifecycle, every_port_listens_whatever_the_soft_limit_is)
{
    struct network bottle;
    char message[1024];

    network_make(&bottle, true);
    prepare_many();
    gate_set_networks(&gate, bottle.path, "host");
    start_many(0, message);
    cr_assert_str_eq(message, "started");
    for (uint16_t i = 0; i < MANY_UPSTREAMS; i++) {
        CLEANUP_FD int v4 = network_connect(&bottle, "127.0.0.1", (uint16_t)(PORT + i));
        CLEANUP_FD int v6 = network_connect(&bottle, "::1", (uint16_t)(PORT + i));
        cr_expect(v4 >= 0 && v6 >= 0, "port %d does not listen", PORT + i);
    }
    CLEANUP_FREE char *target = short_target();
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    network_remove(&bottle);
}

Test(lifecycle, a_hard_limit_that_is_too_low_is_said)
{
    char message[1024];

    prepare_many();
    start_many(FEW_FDS, message);
    expect_part(message, "the hard limit of descriptors is 64");
    expect_part(message, "60 upstreams");
    expect_part(message, "ulimit -Hn");
    expect_nothing_listens();
}

Test(lifecycle, dials_from_the_egress_namespace)
{
    struct network outside;

    network_make(&outside, true);
    const struct gate_entry entry = {"upstream", "127.0.0.1", PORT};
    gate_prepare(&gate, &entry, 1);
    gate_set_networks(&gate, gate.address, outside.path);
    int upstream = network_listen(&outside, "127.0.0.1", PORT);
    cr_assert_geq(upstream, 0);
    gate_start(&gate, "");
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
    gate_stop(&gate);
    network_remove(&outside);
}

/* ---- the launcher ---- */

static volatile sig_atomic_t child_signals;

static void count_child_signal(int number)
{
    (void)number;
    child_signals++;
}

struct surroundings {
    char directory[256];
    mode_t mask;
    sigset_t blocked;
    int descriptors;
};

static bool look_around(struct surroundings *around)
{
    memset(around, 0, sizeof *around);
    around->mask = umask(0);
    (void)umask(around->mask);
    around->descriptors = process_count_descriptors(getpid());
    return getcwd(around->directory, sizeof around->directory) != NULL &&
           sigprocmask(SIG_BLOCK, NULL, &around->blocked) == 0;
}

/* context: how SIGCHLD is handled */
static const char *start_and_stop(int parent_fd, void *context)
{
    struct surroundings before, after;
    CLEANUP_FREE char *message = NULL;

    (void)parent_fd;
    child_signals = 0;
    if (signal(SIGCHLD, *(sighandler_t *)context) == SIG_ERR || !look_around(&before))
        return child_failure("%s", strerror(errno));
    if (gate_try_start(&gate, "{}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    if (gate_try_stop(&gate, gate.target) != BOTTLE_OK)
        return "stop failed";
    if (waitpid(-1, NULL, WNOHANG | __WALL) != -1 || errno != ECHILD)
        return "a child is left";
    if (!look_around(&after) || memcmp(&before, &after, sizeof before) != 0)
        return "working directory, umask, signal mask or descriptors are not as before";
    if (signal(SIGCHLD, SIG_DFL) != *(sighandler_t *)context)
        return "the handler of SIGCHLD is another";
    return child_signals == 0 ? NULL : "the launcher got a SIGCHLD";
}

Test(lifecycle, the_launcher_notices_nothing)
{
    sighandler_t handlers[] = {SIG_DFL, SIG_IGN, count_child_signal};

    prepare_two();
    for (size_t i = 0; i < ROWS(handlers); i++)
        child_run(start_and_stop, &handlers[i]);
}

/* What is whose child nobody else is falls to a subreaper, and to the first process of a namespace. */
static const char *expect_no_child_left(const char *when)
{
    return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD
               ? NULL
               : child_failure("a child is left after %s", when);
}

/* With names to look up, the relay has a process of its own that opens /etc/hosts (dns_opener.c). */
static void prepare_two_names(void)
{
    const struct gate_entry entries[] = {{"first", "localhost", PORT},
                                         {"second", "localhost", SECOND_PORT}};

    gate_prepare(&gate, entries, ROWS(entries));
}

/* A second process that is left shows only when it ends after the relay, which depends on the scheduler. */
#define FAILED_STARTS 20

static const char *fail_to_start_as_reaper(void)
{
    CLEANUP_FD int taken = tcp_listen(gate.address, SECOND_PORT, 1);
    if (taken < 0)
        return "the port that is to be taken cannot be listened on";

    for (int i = 0; i < FAILED_STARTS; i++) {
        CLEANUP_FREE char *message = NULL;
        if (gate_try_start(&gate, "{}", &message) != BOTTLE_CONFLICT)
            return "start with a taken port is no conflict";
        const char *failure = expect_no_child_left("a start that failed");
        if (failure)
            return failure;
    }
    return NULL;
}

static const char *start_and_stop_as_reaper(void)
{
    CLEANUP_FREE char *message = NULL;

    const char *failure = fail_to_start_as_reaper();
    if (failure)
        return failure;
    if (gate_try_start(&gate, "{}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    if (gate_try_stop(&gate, gate.target) != BOTTLE_OK)
        return "stop failed";
    return expect_no_child_left("stop");
}

static const char *be_subreaper(int parent_fd, void *context)
{
    (void)parent_fd;
    (void)context;
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) ? strerror(errno) : start_and_stop_as_reaper();
}

Test(lifecycle, a_subreaper_has_no_child_after_stop)
{
    prepare_two();
    child_run(be_subreaper, NULL);
}

Test(lifecycle, a_subreaper_has_no_child_after_stop_of_a_gate_with_names)
{
    prepare_two_names();
    child_run(be_subreaper, NULL);
}

static bool forbid_programs(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = ROWS(filter), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* From memory, and from a file. */
static const char *fail_to_run_as_reaper(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;

    (void)parent_fd;
    (void)context;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) || !forbid_programs())
        return strerror(errno);
    if (gate_try_start(&gate, "{}", &message) != BOTTLE_DENIED)
        return child_failure("start says: %s", message);
    return expect_no_child_left("a program that cannot be run");
}

Test(lifecycle, a_subreaper_has_no_child_after_a_program_that_cannot_be_run)
{
    prepare_two();
    child_run(fail_to_run_as_reaper, NULL);
}

/* As any container has it. */
static bool mount_own_proc(void)
{
    return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
           !mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static const char *be_first_process(int parent_fd, void *context)
{
    int status;

    (void)context;
    if (unshare(CLONE_NEWPID | (geteuid() == 0 ? 0 : CLONE_NEWUSER)))
        return child_failure("unshare: %s", strerror(errno));
    pid_t first = fork();
    if (first == 0) {
        const char *failure = mount_own_proc() ? start_and_stop_as_reaper() : "no /proc";
        line_send(parent_fd, failure ? failure : "fine");
        _exit(0);
    }
    return first > 0 && waitpid(first, &status, 0) == first ? NULL : "fork or wait failed";
}

static void expect_no_child_of_a_first_process(void)
{
    char line[512];

    struct child child = child_start(be_first_process, NULL);
    cr_assert(line_receive(child.fd, line, sizeof line));
    cr_expect_str_eq(line, "fine");
    child_wait(&child);
}

Test(lifecycle, the_first_process_of_a_container_has_no_child_after_stop)
{
    prepare_two();
    expect_no_child_of_a_first_process();
}

Test(lifecycle, the_first_process_of_a_container_has_no_child_after_stop_of_a_gate_with_names)
{
    prepare_two_names();
    expect_no_child_of_a_first_process();
}

static const char *start_without_standard_descriptors(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;

    (void)parent_fd;
    (void)context;
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        (void)close(fd);
    if (gate_try_start(&gate, "{}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    int error = tcp_connect_error(gate.address, PORT);
    if (gate_try_stop(&gate, gate.target) != BOTTLE_OK)
        return "stop failed";
    return error ? child_failure("connect: %s", strerror(error)) : NULL;
}

Test(lifecycle, a_launcher_without_standard_descriptors)
{
    prepare_two();
    child_run(start_without_standard_descriptors, NULL);
}

static const char *start_and_wait(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;
    char line[16];

    if (gate_try_start(&gate, context, &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    line_send(parent_fd, "started");
    (void)line_receive(parent_fd, line, sizeof line);
    return NULL;
}

static void start_in_child_and_kill_it(const char *options)
{
    char line[16];
    struct child child = child_start(start_and_wait, (void *)(uintptr_t)options);

    cr_assert(line_receive(child.fd, line, sizeof line));
    CLEANUP_JSON json_object *status = gate_status(&gate);
    gate.relay = (pid_t)member_number(status, "pid");
    child_kill(&child);
}

Test(lifecycle, goes_with_its_launcher_if_asked)
{
    prepare_two();
    start_in_child_and_kill_it("{\"exit_with_launcher\": true}");
    cr_expect(process_ends_within(gate.relay, WAIT_MS));
    expect_nothing_listens();
}

Test(lifecycle, outlives_its_launcher)
{
    prepare_two();
    start_in_child_and_kill_it("{}");
    cr_expect_not(process_ends_within(gate.relay, 300));
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0);
    CLEANUP_FREE char *target = short_target();
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
    expect_nothing_listens();
}

/* Where programs may not run from memory (Linux 6.3), for a process id namespace of its own. */
static const char *start_where_memory_is_no_program(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;
    struct stat image;

    (void)parent_fd;
    (void)context;
    CLEANUP_FD int setting = open("/proc/sys/vm/memfd_noexec", O_WRONLY | O_CLOEXEC);
    if (setting < 0 || write(setting, "2", 1) != 1)
        return child_failure("vm.memfd_noexec: %s", strerror(errno));
    if (gate_try_start(&gate, "{}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    int error = tcp_connect_error(gate.address, PORT);
    bool left = fstatat(AT_FDCWD, "ssh_gate_relay", &image, 0) == 0;
    if (gate_try_stop(&gate, gate.target) != BOTTLE_OK)
        return "stop failed";
    if (left)
        return "the relay's file is still in the stage directory";
    return error ? child_failure("connect: %s", strerror(error)) : NULL;
}

static const char *in_own_process_namespace(int parent_fd, void *context)
{
    int status;

    if (chdir(gate.stage_dir) || unshare(CLONE_NEWPID | CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return child_failure("namespaces: %s", strerror(errno));
    pid_t inner = fork();
    if (inner == 0) {
        const char *failure = mount("proc", "/proc", "proc", 0, NULL)
                                  ? strerror(errno)
                                  : start_where_memory_is_no_program(parent_fd, context);
        line_send(parent_fd, failure ? failure : "fine");
        _exit(0);
    }
    return inner > 0 && waitpid(inner, &status, 0) == inner ? NULL : "fork or wait failed";
}

static void run_where_memory_is_no_program(void)
{
    char line[512];

    if (geteuid() != 0 || access("/proc/sys/vm/memfd_noexec", F_OK))
        cr_skip_test("needs root and a kernel with vm.memfd_noexec");
    struct child child = child_start(in_own_process_namespace, NULL);
    cr_assert(line_receive(child.fd, line, sizeof line));
    cr_expect_str_eq(line, "fine");
    child_wait(&child);
}

Test(lifecycle, runs_from_a_file_where_memory_is_no_program)
{
    prepare_two();
    run_where_memory_is_no_program();
}

/* As a launcher that was killed leaves it, while it writes the file. */
Test(lifecycle, runs_from_a_file_although_there_is_the_rest_of_one)
{
    CLEANUP_FREE char *path = NULL;

    prepare_two();
    cr_assert_gt(asprintf(&path, "%s/ssh_gate_relay", gate.stage_dir), 0);
    CLEANUP_FD int rest = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    cr_assert_geq(rest, 0);
    run_where_memory_is_no_program();
}

/* ---- drain ---- */

static void drain(int64_t grace_ms)
{
    CLEANUP_FREE char *message = NULL;

    cr_assert_eq(bottle_plugin_drain(gate.plugin, NULL, gate.target, grace_ms, &message), BOTTLE_OK,
                 "%s", message);
}

Test(lifecycle, drain_lets_sessions_end)
{
    prepare_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    gate_start(&gate, "");
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);

    drain(-1);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_str_eq(member_text(status, "state"), "draining");
    cr_expect_eq(tcp_connect_error(gate.address, PORT), ECONNREFUSED);
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_expect(process_ends_within(gate.relay, WAIT_MS));
    CLEANUP_JSON json_object *event = gate_event(&gate, "stopped", 0);
    cr_expect_str_eq(member_text(event, "reason"), "drained");
    CLEANUP_FREE char *message = NULL;
    cr_expect_eq(bottle_plugin_drain(gate.plugin, NULL, gate.target, 0, &message),
                 BOTTLE_NOT_FOUND);
    cr_assert_eq(close(upstream), 0);
}

Test(lifecycle, drain_cuts_after_its_grace)
{
    prepare_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    gate_start(&gate, "");
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);

    drain(200);
    cr_expect_eq(tcp_drain(pair.client), ECONNRESET);
    cr_expect_eq(tcp_drain(pair.upstream), ECONNRESET);
    cr_expect(process_ends_within(gate.relay, WAIT_MS));
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* The longest grace there is bounds nothing. */
Test(lifecycle, drain_with_the_longest_grace)
{
    prepare_two();
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    gate_start(&gate, "");
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);

    drain(INT64_MAX);
    sleep_ms(300);
    tcp_expect_alive(&pair);
    drain(0); /* another grace takes the place of the first */
    cr_expect_eq(tcp_drain(pair.client), ECONNRESET);
    cr_expect(process_ends_within(gate.relay, WAIT_MS));
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}
