/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c: what the gate does at its limits: descriptors run out, there are as many connections
 * or dials as there may be, the event log is full, a bottle has as many upstreams as it may.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
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

TestSuite(limits, .init = set_up, .fini = tear_down, .timeout = 120);

/* The processor time that the relay takes while nothing happens, in milliseconds of each second. */
static long cpu_of_idle_second(void)
{
    long before_ms = process_cpu_ms(gate.relay);

    sleep_ms(1000);
    return process_cpu_ms(gate.relay) - before_ms;
}

/* A relay that spins takes 1000 ms, one that tries again twice a second next to nothing. */
#define SPINS_MS 300

/* ---- descriptors ---- */

#define CLIENTS         500
#define GREETING        "SSH-2.0-%03d\r\n"
#define GREETING_LENGTH 13

/* Clients that have all connected and spoken; the gate may not have accepted them yet. */
static void connect_clients(int clients[CLIENTS])
{
    for (int i = 0; i < CLIENTS; i++) {
        char greeting[GREETING_LENGTH + 1];
        (void)snprintf(greeting, sizeof greeting, GREETING, i);
        clients[i] = tcp_connect(gate.address, PORT);
        tcp_send(clients[i], greeting, GREETING_LENGTH);
    }
}

/* Takes what the gate dials, one at least, until it stops; each upstream is told by its client's greeting. */
static size_t accept_all(int listener, int upstreams[CLIENTS])
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};
    size_t count = 0;

    while (poll(&polled, 1, count > 0 ? 200 : WAIT_MS) == 1) {
        char greeting[GREETING_LENGTH + 1] = "";
        int fd = tcp_accept(listener), i = -1;
        tcp_receive(fd, greeting, GREETING_LENGTH);
        cr_assert_eq(sscanf(greeting, GREETING, &i), 1, "\"%s\"", greeting);
        cr_assert(i >= 0 && i < CLIENTS && upstreams[i] < 0, "client %d twice", i);
        upstreams[i] = fd;
        count++;
    }
    return count;
}

/* Checks, and hangs up, every client that has an upstream now. */
static void serve_and_hang_up(int clients[CLIENTS], const int upstreams[CLIENTS])
{
    for (size_t i = 0; i < CLIENTS; i++) {
        struct tcp_pair pair = {.client = clients[i], .upstream = upstreams[i]};
        if (pair.client < 0 || pair.upstream < 0)
            continue;
        tcp_expect_alive(&pair);
        tcp_close(&pair);
        clients[i] = -1;
    }
}

static const char *start_with_few_descriptors(int parent_fd, void *context)
{
    const struct rlimit *limit = context;
    CLEANUP_FREE char *message = NULL;
    char line[8];

    if (setrlimit(RLIMIT_NOFILE, limit))
        return child_failure("setrlimit: %s", strerror(errno));
    if (gate_try_start(&gate, "{\"exit_with_launcher\": true}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    line_send(parent_fd, gate.target);
    (void)line_receive(parent_fd, line, sizeof line); /* until the test is over */
    return NULL;
}

static struct child start_in_child(const struct rlimit *limit)
{
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};
    char target[128];

    gate_prepare(&gate, &entry, 1);
    struct child child = child_start(start_with_few_descriptors, (void *)(uintptr_t)limit);
    cr_assert(line_receive(child.fd, target, sizeof target));
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_assert_not_null(status, "%s", target);
    gate.relay = (pid_t)member_number(status, "pid");
    gate.target = strdup(target);
    return child;
}

static void exchange(struct transfer ends[2], int client, int upstream, uint64_t seed,
                     uint64_t length)
{
    const int fds[] = {client, upstream};

    for (size_t i = 0; i < 2; i++)
        ends[i] = (struct transfer){.fd = fds[i],
                                    .send_seed = seed + i,
                                    .send_length = length,
                                    .receive_seed = seed + 1 - i,
                                    .receive_length = length};
}

/* Whoever has an upstream exchanges many bytes with it, all at once. */
static void expect_all_move(const int clients[CLIENTS], const int upstreams[CLIENTS])
{
    struct transfer ends[2 * 32];
    size_t count = 0;

    for (size_t i = 0; i < CLIENTS; i++)
        if (upstreams[i] >= 0) {
            cr_assert_lt(count, sizeof ends / sizeof ends[0]);
            exchange(&ends[count], clients[i], upstreams[i], 2 * i, 2 << 20);
            count += 2;
        }
    transfer_all(ends, count);
}

Test(limits, clients_wait_while_all_descriptors_are_in_use)
{
    static const struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    int listener = tcp_listen(gate.upstream_address, PORT, CLIENTS);
    int clients[CLIENTS], upstreams[CLIENTS];
    struct child launcher = start_in_child(&limit);
    int descriptors = gate_count_descriptors(&gate);

    memset(upstreams, -1, sizeof upstreams);
    connect_clients(clients);
    size_t served = accept_all(listener, upstreams);
    cr_expect_gt(served, 5);
    cr_expect_lt(served, 32, "more connections than pairs of descriptors");
    long idle_ms = cpu_of_idle_second();
    cr_expect_lt(idle_ms, SPINS_MS);
    printf("FIGURE processor time of a second in which %zu clients wait for descriptors: %ld ms\n",
           CLIENTS - served, idle_ms);
    (void)fflush(stdout);
    expect_all_move(clients, upstreams);
    cr_expect_eq(gate_count_events(&gate, "accepting-paused"), 1);
    while (served < CLIENTS) {
        serve_and_hang_up(clients, upstreams);
        size_t more = accept_all(listener, upstreams);
        cr_assert_gt(more, 0, "after %zu clients nobody is served", served);
        cr_expect_lt(more, 32, "more connections than pairs of descriptors");
        served += more;
    }
    serve_and_hang_up(clients, upstreams);
    gate_wait_for_status(&gate, "connections_now", 0);
    gate_expect_descriptors(&gate, descriptors);
    cr_expect_eq(gate_count_events(&gate, "refused"), 0);
    gate_stop(&gate);
    child_kill(&launcher);
    cr_assert_eq(close(listener), 0);
}

/* The limit of the running relay, so that system calls fail that it did not expect to. */
static void set_soft_limit(rlim_t descriptors)
{
    struct rlimit limit;

    cr_assert_eq(prlimit(gate.relay, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = descriptors ? descriptors : limit.rlim_max;
    cr_assert_eq(prlimit(gate.relay, RLIMIT_NOFILE, &limit, NULL), 0);
}

static void expect_bulk(const struct tcp_pair *pair)
{
    struct transfer ends[2];

    exchange(ends, pair->client, pair->upstream, 1, 8 << 20);
    transfer_all(ends, 2);
}

/* Clients that have left may get through when there are descriptors again. */
static void hang_up_at_upstream(int listener)
{
    struct pollfd polled = {.fd = listener, .events = POLLIN};

    while (poll(&polled, 1, 1000) == 1)
        cr_assert_eq(close(tcp_accept(listener)), 0);
}

/* Of the test's own ends, so that a direction stands still soon. */
static void keep_buffers_small(const struct tcp_pair *pair)
{
    static const int size = 64 << 10;

    cr_assert_eq(setsockopt(pair->upstream, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    cr_assert_eq(setsockopt(pair->client, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

/*
 * Sessions whose bytes stand still hold a pipe each.  That takes nothing from those to come: a client is
 * served or waits, and is not refused for want of a descriptor.
 */
static void pipes_near_the_limit(rlim_t descriptors)
{
    enum { STALLED = 48 };
    static struct transfer ends[2 * STALLED];
    const struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
    int listener = tcp_listen(gate.upstream_address, PORT, CLIENTS);
    static int clients[CLIENTS], upstreams[CLIENTS];
    struct tcp_pair pairs[STALLED];
    struct child launcher = start_in_child(&limit);

    memset(upstreams, -1, sizeof upstreams);
    for (size_t i = 0; i < STALLED; i++) {
        pairs[i] = tcp_through(gate.address, PORT, listener);
        keep_buffers_small(&pairs[i]);
        exchange(&ends[2 * i], pairs[i].client, pairs[i].upstream, 2 * i, 16 << 20);
        ends[2 * i].receive_length = ends[2 * i + 1].send_length = 0;
        ends[2 * i + 1].paused = true;
    }
    transfer_until_quiet(ends, (size_t)2 * STALLED, 300);
    connect_clients(clients);
    size_t served = accept_all(listener, upstreams);
    cr_assert_eq(gate_count_events(&gate, "refused"), 0, "with %ju descriptors",
                 (uintmax_t)descriptors);
    for (size_t i = 0; i < STALLED; i++)
        tcp_close(&pairs[i]);
    while (served < CLIENTS) {
        served += accept_all(listener, upstreams);
        serve_and_hang_up(clients, upstreams);
    }
    cr_assert_eq(gate_count_events(&gate, "refused"), 0, "with %ju descriptors",
                 (uintmax_t)descriptors);
    gate_stop(&gate);
    child_kill(&launcher);
    cr_assert_eq(close(listener), 0);
}

/* An even number and an odd one: whether the last descriptor is for a client or its upstream. */
Test(limits, stalled_sessions_near_the_limit_of_descriptors)
{
    pipes_near_the_limit(256);
    pipes_near_the_limit(257);
}

Test(limits, descriptors_that_run_out_unexpectedly)
{
    enum { MORE = 20 };
    int listener = tcp_listen(gate.upstream_address, PORT, CLIENTS);
    int clients[MORE];

    gate_run(&gate, gate.upstream_address, PORT, "");
    struct tcp_pair established = tcp_through(gate.address, PORT, listener);
    int descriptors = gate_count_descriptors(&gate);
    if (descriptors < 0)
        cr_skip_test("this user may not count the relay's descriptors");
    /* None for an accepted client; then one for it, and none for its upstream. */
    for (rlim_t spare = 0; spare < 2; spare++) {
        set_soft_limit((rlim_t)descriptors + spare);
        for (size_t i = 0; i < MORE; i++)
            clients[i] = tcp_connect(gate.address, PORT);
        cr_expect_lt(cpu_of_idle_second(), SPINS_MS, "%ju spare", (uintmax_t)spare);
        expect_bulk(&established);
        cr_expect_lt(cpu_of_idle_second(), SPINS_MS, "%ju spare", (uintmax_t)spare);
        for (size_t i = 0; i < MORE; i++)
            cr_assert_eq(close(clients[i]), 0);
        set_soft_limit(0);
        hang_up_at_upstream(listener);
        gate_wait_for_status(&gate, "connections_now", 1);
        expect_bulk(&established);
    }
    struct tcp_pair later = tcp_through(gate.address, PORT, listener);
    tcp_close(&later);
    tcp_close(&established);
    cr_assert_eq(close(listener), 0);
}

Test(limits, idle_connections_take_no_time)
{
    enum { PAIRS = 100 };
    int listener = tcp_listen(gate.upstream_address, PORT, PAIRS);
    struct tcp_pair pairs[PAIRS];

    gate_run(&gate, gate.upstream_address, PORT, "");
    for (size_t i = 0; i < PAIRS; i++)
        pairs[i] = tcp_through(gate.address, PORT, listener);
    cr_expect_leq(cpu_of_idle_second(), 20);
    for (size_t i = 0; i < PAIRS; i++)
        tcp_close(&pairs[i]);
    cr_assert_eq(close(listener), 0);
}

/* ---- connections and dials ---- */

#define NAME "silent.example"

/* Two upstreams of which the first is NAME, or like the second. */
static void start_two(bool with_name, const char *options)
{
    const struct gate_entry entries[] = {{"first", with_name ? NAME : gate.upstream_address, PORT},
                                         {"second", gate.upstream_address, PORT + 1}};
    char all[256];

    gate_prepare(&gate, entries, 2);
    (void)snprintf(all, sizeof all, "\"dns_servers\": [\"%s:%d\"], %s", gate.dns_address, DNS_PORT,
                   options);
    gate_start(&gate, all);
}

/* A client is told of the limit, at once. */
static void expect_limited(uint16_t port, const char *part)
{
    int client = tcp_connect(gate.address, port);
    CLEANUP_FREE char *told = ssh_read_disconnect(client);

    expect_part(told, part);
    cr_assert_eq(close(client), 0);
}

/* Its two lines are there, and none for each client. */
static void expect_limit_events(const char *limit, int64_t value, const char *alias, int64_t count)
{
    CLEANUP_JSON json_object *reached = gate_event(&gate, "limit-reached", 0);
    CLEANUP_JSON json_object *over = gate_event(&gate, "limit-over", 0);
    json_object *events[] = {reached, over};

    for (size_t i = 0; i < 2; i++) {
        json_object *of = NULL;
        cr_expect_str_eq(member_text(events[i], "limit"), limit);
        cr_expect_eq(member_number(events[i], "value"), value);
        if (alias)
            cr_expect_str_eq(member_text(events[i], "bottle_host_alias"), alias);
        else
            cr_expect_not(json_object_object_get_ex(events[i], "bottle_host_alias", &of));
    }
    expect_part(member_text(reached, "message"), limit);
    cr_expect_eq(member_number(over, "count"), count);
    cr_expect_geq(member_number(over, "duration_ms"), 0);
    cr_expect_eq(gate_count_events(&gate, "limit-reached"), 1);
    cr_expect_eq(gate_count_events(&gate, "limit-over"), 1);
}

/* The limit is 3, and first and second tell how many of them each upstream has. */
static void expect_connections_limited(size_t first, const char *limit, const char *alias)
{
    int listeners[] = {tcp_listen(gate.upstream_address, PORT, 8),
                       tcp_listen(gate.upstream_address, PORT + 1, 8)};
    struct tcp_pair pairs[3];
    char option[64], part[64];

    (void)snprintf(option, sizeof option, "\"%s\": 3", limit);
    (void)snprintf(part, sizeof part, "the limit %s is 3", limit);
    start_two(false, option);
    for (size_t i = 0; i < 3; i++)
        pairs[i] = tcp_through(gate.address, i < first ? PORT : PORT + 1, listeners[i >= first]);
    for (size_t i = 0; i < 4; i++)
        expect_limited(PORT, part);
    if (alias) { /* the other upstream has a limit of its own */
        struct tcp_pair other = tcp_through(gate.address, PORT + 1, listeners[1]);
        tcp_close(&other);
    } else {
        expect_limited(PORT + 1, part);
    }
    for (size_t i = 0; i < 3; i++)
        tcp_expect_alive(&pairs[i]);
    cr_expect_eq(gate_sum(&gate, "connections_refused"), alias ? 4 : 5);

    /* Those that were refused do not stand in the way. */
    tcp_close(&pairs[2]);
    gate_wait_for_status(&gate, "connections_now", 2);
    pairs[2] = tcp_through(gate.address, PORT, listeners[0]);
    expect_limited(PORT, part);
    expect_limit_events(limit, 3, alias, alias ? 5 : 6);
    cr_expect_eq(gate_count_events(&gate, "refused"), 0);
    for (size_t i = 0; i < 3; i++)
        tcp_close(&pairs[i]);
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(close(listeners[i]), 0);
}

Test(limits, connections_to_one_upstream)
{
    expect_connections_limited(3, "max_connections_per_upstream", "first");
}

Test(limits, connections_in_all)
{
    expect_connections_limited(1, "max_connections", NULL);
}

/* The limit is 4, and as many wait for DNS. */
static void expect_pending_dials_limited(const char *limit, const char *alias)
{
    enum { PENDING = 4 };
    struct dns_server *dns = dns_start(gate.dns_address, NAME);
    int listeners[] = {tcp_listen(gate.upstream_address, PORT, 8),
                       tcp_listen(gate.upstream_address, PORT + 1, 8)};
    int pending[PENDING];
    char options[96], part[64];

    (void)snprintf(options, sizeof options, "\"resolve_timeout_ms\": 1500, \"%s\": %d", limit,
                   PENDING);
    (void)snprintf(part, sizeof part, "the limit %s is %d", limit, PENDING);
    start_two(true, options);
    dns_set(dns, &(struct dns_answer){.silent = true});
    for (size_t i = 0; i < PENDING; i++)
        pending[i] = tcp_connect(gate.address, PORT);
    expect_limited(PORT, part);
    if (alias) {
        struct tcp_pair other = tcp_through(gate.address, PORT + 1, listeners[1]);
        tcp_close(&other);
    } else {
        expect_limited(PORT + 1, part);
    }

    /* Each ends with what it waited for; then there is room again. */
    for (size_t i = 0; i < PENDING; i++) {
        CLEANUP_FREE char *told = ssh_read_disconnect(pending[i]);
        /* Within the time, or sooner: c-ares 1.34 has learned how fast the server is. */
        expect_part(told, "no answer");
        cr_assert_eq(close(pending[i]), 0);
    }
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address});
    for (int i = 0; i < 2 * PENDING; i++) { /* open ones are not pending */
        struct tcp_pair pair =
            tcp_through(gate.address, (uint16_t)(PORT + i % 2), listeners[i % 2]);
        tcp_close(&pair);
    }
    expect_limit_events(limit, PENDING, alias, alias ? 1 : 2);
    cr_expect_eq(gate_count_events(&gate, "refused"), PENDING);
    dns_stop(dns);
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(close(listeners[i]), 0);
}

Test(limits, pending_dials_of_one_upstream)
{
    expect_pending_dials_limited("max_pending_dials_per_upstream", "first");
}

Test(limits, pending_dials_in_all)
{
    expect_pending_dials_limited("max_pending_dials", NULL);
}

/* True: it got through.  False: it was told of the limit. */
static bool try_client(uint16_t port, int listener, const char *part)
{
    int client = tcp_connect(gate.address, port);
    struct pollfd polled[] = {{.fd = client, .events = POLLIN}, {.fd = listener, .events = POLLIN}};

    cr_assert_gt(poll(polled, 2, WAIT_MS), 0);
    if (polled[1].revents) {
        struct tcp_pair pair = {.client = client, .upstream = tcp_accept(listener)};
        tcp_close(&pair);
        return true;
    }
    CLEANUP_FREE char *told = ssh_read_disconnect(client);
    expect_part(told, part);
    cr_assert_eq(close(client), 0);
    return false;
}

/* The limit is 2 a second: 20 at once, and then 2 for each second that goes by. */
static void expect_dial_rate_limited(const char *limit, const char *alias)
{
    enum { RATE = 2, BURST = 10 * RATE, TRIES = 100 };
    int listeners[] = {tcp_listen(gate.upstream_address, PORT, 8),
                       tcp_listen(gate.upstream_address, PORT + 1, 8)};
    int64_t through = 0, before_ms = now_ms();
    char option[64], part[64];

    (void)snprintf(option, sizeof option, "\"%s\": %d", limit, RATE);
    (void)snprintf(part, sizeof part, "the limit %s is %d", limit, RATE);
    start_two(false, option);
    for (int i = 0; i < TRIES; i++)
        through += try_client(PORT, listeners[0], part);
    int64_t most = BURST + (now_ms() - before_ms) * RATE / 1000 + 1;
    cr_expect_geq(through, BURST);
    cr_expect_leq(through, most);
    cr_expect_eq(gate_sum(&gate, "connections_refused"), TRIES - through);
    if (alias)
        cr_expect(try_client(PORT + 1, listeners[1], part), "the other upstream has its own");

    sleep_ms(1000);
    cr_expect(try_client(alias ? PORT : PORT + 1, listeners[alias ? 0 : 1], part),
              "a second later there is no dial more");
    expect_limit_events(limit, RATE, alias, TRIES - through);
    cr_expect_eq(gate_count_events(&gate, "refused"), 0);
    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(close(listeners[i]), 0);
}

Test(limits, dials_a_second_to_one_upstream)
{
    expect_dial_rate_limited("max_dials_per_second_per_upstream", "first");
}

Test(limits, dials_a_second_in_all)
{
    expect_dial_rate_limited("max_dials_per_second", NULL);
}

/* Thousands are refused: the session goes on, the log has two lines of it, and nothing is left. */
Test(limits, flood_of_clients)
{
    enum { ROUNDS = 50, AT_ONCE = 60 };
    int listener = tcp_listen(gate.upstream_address, PORT, 1), clients[AT_ONCE];

    gate_run(&gate, gate.upstream_address, PORT, "\"max_connections_per_upstream\": 1");
    struct tcp_pair session = tcp_through(gate.address, PORT, listener);
    int descriptors = gate_count_descriptors(&gate);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            clients[i] = tcp_connect(gate.address, PORT);
        tcp_expect_alive(&session);
        for (int i = 0; i < AT_ONCE; i++) {
            CLEANUP_FREE char *told = ssh_read_disconnect(clients[i]);
            expect_part(told, "max_connections_per_upstream");
            cr_assert_eq(close(clients[i]), 0);
        }
    }
    expect_bulk(&session);
    gate_wait_for_status(&gate, "connections_now", 1);
    gate_expect_descriptors(&gate, descriptors);
    cr_expect_lt(cpu_of_idle_second(), SPINS_MS);
    tcp_close(&session);
    gate_stop(&gate); /* which ends it before its time */
    expect_limit_events("max_connections_per_upstream", 1, "upstream", (int64_t)ROUNDS * AT_ONCE);
    CLEANUP_JSON json_object *events = gate_events(&gate);
    cr_expect_lt(json_object_array_length(events), 10, "more than the gate's own few lines");
    cr_assert_eq(close(listener), 0);
}

/* ---- the event log ---- */

#define LOG_MAX_BYTES 65536
#define LOG_OPTION    "\"event_log_max_bytes\": 65536"

static char *event_log_path(void)
{
    char *path = NULL;

    cr_assert_gt(asprintf(&path, "%s/ssh_gate_events.jsonl", gate.stage_dir), 0);
    return path;
}

static off_t event_log_size(void)
{
    CLEANUP_FREE char *path = event_log_path();
    struct stat file;

    cr_assert_eq(stat(path, &file), 0, "%s: %m", path);
    return file.st_size;
}

/* The newest lines are there, none is missing between them, and each is whole. */
static void expect_newest_connections(int64_t last)
{
    CLEANUP_JSON json_object *events = gate_events(&gate);
    size_t count = json_object_array_length(events);
    int64_t expected = last;

    for (size_t i = count; i-- > 0;) {
        json_object *event = json_object_array_get_idx(events, i);
        if (strcmp(member_text(event, "event"), "close") == 0)
            cr_expect_eq(member_number(event, "connection"), expected--);
    }
    cr_expect_gt(last - expected, 20, "only %jd connections are left", (intmax_t)(last - expected));
}

Test(limits, event_log_keeps_the_newest_lines)
{
    enum { ROUNDS = 3000 };
    int listener = tcp_listen(gate.upstream_address, PORT, 8);
    off_t largest = 0;

    gate_run(&gate, gate.upstream_address, PORT, LOG_OPTION);
    for (int i = 1; i <= ROUNDS; i++) {
        struct tcp_pair pair = tcp_through(gate.address, PORT, listener);
        cr_assert_eq(close(pair.client), 0);
        cr_assert_eq(tcp_drain(pair.upstream), 0);
        cr_assert_eq(close(pair.upstream), 0);
        gate_wait_for_status(&gate, "connections_now", 0);
        largest = event_log_size() > largest ? event_log_size() : largest;
        if (i % 500 == 0)
            expect_newest_connections(i);
    }
    cr_expect_leq(largest, LOG_MAX_BYTES);
    cr_expect_gt(largest, LOG_MAX_BYTES / 2, "the limit was never near");
    cr_assert_eq(close(listener), 0);
}

/* What an earlier run left, with a higher limit of its own. */
Test(limits, event_log_that_is_too_large_already)
{
    static const char line[] =
        "{\"event\":\"old\",\"text\":\"................................\"}\n";
    CLEANUP_FREE char *path = event_log_path();
    FILE *file = fopen(path, "we");

    cr_assert_not_null(file);
    for (size_t written = 0; written < (size_t)16 * LOG_MAX_BYTES; written += sizeof line - 1)
        cr_assert_geq(fputs(line, file), 0);
    cr_assert_eq(fclose(file), 0);
    gate_run(&gate, gate.upstream_address, PORT, LOG_OPTION);
    cr_expect_eq(gate_count_events(&gate, "started"), 1);
    cr_expect_leq(event_log_size(), LOG_MAX_BYTES);
    cr_expect_gt(gate_count_events(&gate, "old"), 100, "nothing of the earlier run is left");
}

/* ---- upstreams ---- */

#define UPSTREAMS 128

/* 253 characters, as long as a name may be; the first label is of the index. */
static void long_name(char name[254], size_t index)
{
    (void)snprintf(name, 254, "host-%03zu", index);
    memset(name + 8, 'x', 253 - 8);
    name[253] = '\0';
    for (size_t dot = 8; dot < 253; dot += 62)
        name[dot] = '.';
    name[252] = 'x';
}

Test(limits, as_many_upstreams_as_there_may_be)
{
    static char names[UPSTREAMS][254];
    struct gate_entry entries[UPSTREAMS];
    struct dns_server *dns = dns_start(gate.dns_address, "nobody.example");
    char options[128];

    for (size_t i = 0; i < UPSTREAMS; i++) {
        long_name(names[i], i);
        entries[i] = (struct gate_entry){names[i], names[i], (uint16_t)(PORT + i)};
    }
    gate_prepare(&gate, entries, UPSTREAMS);
    (void)snprintf(options, sizeof options, "\"dns_servers\": [\"%s:%d\"]", gate.dns_address,
                   DNS_PORT);
    gate_start(&gate, options);
    for (size_t i = 0; i < UPSTREAMS; i++) {
        int client = tcp_connect(gate.address, (uint16_t)(PORT + i));
        CLEANUP_FREE char *told = ssh_read_disconnect(client);
        expect_part(told, names[i]);
        cr_assert_eq(close(client), 0);
    }
    CLEANUP_JSON json_object *status = gate_status(&gate);
    json_object *upstreams;
    cr_assert(json_object_object_get_ex(status, "upstreams", &upstreams));
    cr_assert_eq(json_object_array_length(upstreams), UPSTREAMS);
    for (size_t i = 0; i < UPSTREAMS; i++) {
        json_object *upstream = json_object_array_get_idx(upstreams, i), *last_error;
        cr_expect_str_eq(member_text(upstream, "bottle_host_alias"), names[i]);
        cr_expect_str_eq(member_text(upstream, "upstream_host"), names[i]);
        cr_expect_eq(member_number(upstream, "listen_port"), PORT + (int64_t)i);
        cr_assert(json_object_object_get_ex(upstream, "last_error", &last_error));
        expect_part(member_text(last_error, "message"), names[i]);
    }
    gate_stop(&gate);
    dns_stop(dns);
}
