/* SPDX-License-Identifier: MIT */
/*
 * test_status.c: what a gate's status says of each upstream: connections, bytes, how long dials took, the
 * last error.  sample_host.sh and prometheus.sh have what sample-host makes of it.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "tcp.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PORT 2200
#define NAME "slow.example"

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(status, .init = set_up, .fini = tear_down, .timeout = 60);

/* A member of the index-th upstream; the status lives as long as the caller's *status. */
static json_object *upstream_member(json_object **status, size_t index, const char *key)
{
    json_object *upstreams, *value = NULL;

    *status = gate_status(&gate);
    cr_assert(json_object_object_get_ex(*status, "upstreams", &upstreams));
    cr_assert(json_object_object_get_ex(json_object_array_get_idx(upstreams, index), key, &value),
              "no \"%s\" in %s", key, json_object_to_json_string(*status));
    return value;
}

static void expect_counter(size_t index, const char *key, int64_t value)
{
    CLEANUP_JSON json_object *status = NULL;
    int64_t found = json_object_get_int64(upstream_member(&status, index, key));

    cr_expect_eq(found, value, "%s of upstream %zu is %jd, not %jd", key, index, (intmax_t)found,
                 (intmax_t)value);
}

static void expect_null(size_t index, const char *key)
{
    CLEANUP_JSON json_object *status = NULL;

    cr_expect_null(upstream_member(&status, index, key), "%s of upstream %zu", key, index);
}

static const char *const COUNTERS[] = {"connections_now", "connections_total",
                                       "connections_refused", "bytes_up", "bytes_down"};

static void start_two_upstreams(void)
{
    const struct gate_entry entries[] = {{"one", gate.upstream_address, PORT},
                                         {"two", gate.upstream_address, PORT + 1}};

    gate_prepare(&gate, entries, 2);
    gate_start(&gate, "");
}

Test(status, nothing_has_happened)
{
    start_two_upstreams();
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof COUNTERS / sizeof COUNTERS[0]; j++)
            expect_counter(i, COUNTERS[j], 0);
        expect_null(i, "dial_time");
        expect_null(i, "last_error");
    }
}

/* What a client on the port reads, which gets no upstream; malloc'ed. */
static char *turned_away(uint16_t port)
{
    int client = tcp_connect(gate.address, port);
    char *told = ssh_read_disconnect(client);

    cr_assert_eq(close(client), 0);
    return told;
}

/* Each upstream has what is its own. */
Test(status, counts_what_goes_by)
{
    enum { MORE = 1000 };
    char bytes[MORE] = "";
    int listener = tcp_listen(gate.upstream_address, PORT, 1);
    int reserved = tcp_reserve(gate.upstream_address, PORT + 1);

    start_two_upstreams();
    struct tcp_pair pair = tcp_through(gate.address, PORT, listener);
    tcp_send(pair.client, bytes, MORE);
    tcp_receive(pair.upstream, bytes, MORE);
    for (int i = 0; i < 3; i++) {
        CLEANUP_FREE char *told = turned_away(PORT + 1);
        expect_part(told, "refused");
    }
    gate_wait_for_status(&gate, "connections_now", 1);

    static const int64_t EXPECTED[2][5] = {
        {1, 1, 0, IDENTIFICATION_LENGTH + MORE, IDENTIFICATION_LENGTH}, {0, 3, 3, 0, 0}};
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < sizeof COUNTERS / sizeof COUNTERS[0]; j++)
            expect_counter(i, COUNTERS[j], EXPECTED[i][j]);
    expect_null(0, "last_error");
    expect_null(1, "dial_time");
    tcp_close(&pair);
    gate_wait_for_status(&gate, "connections_now", 0);
    expect_counter(0, "bytes_up", EXPECTED[0][3]);
    cr_assert_eq(close(listener), 0);
    cr_assert_eq(close(reserved), 0);
}

Test(status, says_how_long_ago_the_last_error_was)
{
    CLEANUP_JSON json_object *first = NULL;
    CLEANUP_JSON json_object *second = NULL;
    int reserved = tcp_reserve(gate.upstream_address, PORT);
    int64_t before_ms = now_ms();

    gate_run(&gate, gate.upstream_address, PORT, "");
    CLEANUP_FREE char *told = turned_away(PORT);
    json_object *error = upstream_member(&first, 0, "last_error");
    int64_t ago_ms = member_number(error, "ago_ms");
    expect_part(told, member_text(error, "message"));
    cr_expect_geq(ago_ms, 0);
    cr_expect_leq(ago_ms, now_ms() - before_ms);
    sleep_ms(50);
    int64_t later_ms = member_number(upstream_member(&second, 0, "last_error"), "ago_ms");
    cr_expect_geq(later_ms, ago_ms + 49);
    cr_assert_eq(close(reserved), 0);
}

/* A dial is the whole wait of a client, for DNS as well; the one that failed does not count. */
Test(status, tells_how_long_dials_took)
{
    enum { FAST = 9, SLOW_MS = 300, SLOW_US = 300000 };
    CLEANUP_JSON json_object *status = NULL;
    struct dns_server *dns = dns_start(gate.dns_address, NAME);
    struct dns_answer answer = {.result = DNS_SERVER_FAILURE};
    int listener = tcp_listen(gate.upstream_address, PORT, 1);
    char options[128];

    (void)snprintf(options, sizeof options, "\"dns_servers\": [\"%s:%d\"]", gate.dns_address,
                   DNS_PORT);
    gate_run(&gate, NAME, PORT, options);
    dns_set(dns, &answer);
    CLEANUP_FREE char *told = turned_away(PORT);
    expect_part(told, "cannot resolve " NAME);

    answer = (struct dns_answer){.a = gate.upstream_address};
    for (int i = 0; i <= FAST; i++) {
        answer.a_delay_ms = answer.aaaa_delay_ms = i < FAST ? 0 : SLOW_MS;
        dns_set(dns, &answer);
        struct tcp_pair pair = tcp_through(gate.address, PORT, listener);
        tcp_close(&pair);
    }
    json_object *times = upstream_member(&status, 0, "dial_time");
    int64_t p50_us = member_number(times, "p50_us"), p99_us = member_number(times, "p99_us");
    int64_t sum_us = member_number(times, "sum_us");
    cr_expect_eq(member_number(times, "count"), FAST + 1);
    cr_expect_geq(p99_us, SLOW_US);
    cr_expect_gt(p50_us, 0);
    cr_expect_leq(p50_us, p99_us);
    cr_expect_geq(sum_us, p99_us);
    cr_expect_leq(sum_us, (FAST + 1) * p99_us);
    dns_stop(dns);
    cr_assert_eq(close(listener), 0);
}
