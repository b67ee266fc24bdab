/* SPDX-License-Identifier: MIT */
/*
 * test_dial.c: from a client to its upstream: names and addresses, and what the client is told when
 * there is no way through.
 *
 * Names are answered by a DNS server of the test (fixtures/dns_server.h), so no question leaves the
 * machine.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "process.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT        2200
#define NAME        "gitea.example"
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;
static struct dns_server *dns;

static void set_up(void)
{
    gate_set_up(&gate);
    dns = dns_start(gate.dns_address, NAME);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
    dns_stop(dns);
}

TestSuite(dial, .init = set_up, .fini = tear_down, .timeout = 120);

/* more: further options, each after a comma */
static void run_with_dns(const char *host, uint16_t port, const char *more)
{
    char options[256];

    (void)snprintf(options, sizeof options, "\"dns_servers\": [\"%s:%d\"]%s", gate.dns_address,
                   DNS_PORT, more);
    gate_run(&gate, host, port, options);
}

static struct tcp_pair expect_connection(int listener)
{
    return tcp_through(gate.address, tcp_port(listener), listener);
}

static void expect_connects(int listener)
{
    struct tcp_pair pair = expect_connection(listener);

    tcp_close(&pair);
}

/* A client is told this in SSH within the time, and the index-th refusal says the same. */
static void expect_refused(uint16_t port, size_t index, const char *reason, const char *message,
                           int64_t limit_ms)
{
    int64_t started_ms = now_ms();
    int client = tcp_connect(gate.address, port);
    char expected[512];

    tcp_send(client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    CLEANUP_FREE char *told = ssh_read_disconnect(client);
    int64_t took_ms = now_ms() - started_ms;
    (void)snprintf(expected, sizeof expected, "ssh-gate: %s", message);
    cr_expect_str_eq(told, expected);
    cr_expect_leq(took_ms, limit_ms, "told after %jd ms", (intmax_t)took_ms);
    cr_assert_eq(close(client), 0);

    CLEANUP_JSON json_object *event = gate_event(&gate, "refused", index);
    cr_expect_str_eq(member_text(event, "reason"), reason);
    cr_expect_str_eq(member_text(event, "message"), message);
    cr_expect_str_eq(member_text(event, "bottle_host_alias"), "upstream");
    cr_expect_geq(member_number(event, "duration_ms"), 0);
    cr_expect_leq(member_number(event, "duration_ms"), limit_ms);
    gate_wait_for_status(&gate, "connections_now", 0);
}

/* ---- no way through ---- */

/* How much later than its timeout something may be on a busy machine. */
#define LATE_MS 2000

Test(dial, refused_upstream)
{
    int upstream = tcp_reserve(gate.upstream_address, PORT);
    char message[128];

    gate_run(&gate, gate.upstream_address, PORT, "");
    (void)snprintf(message, sizeof message, "cannot reach %s:%d: Connection refused",
                   gate.upstream_address, PORT);
    for (size_t i = 0; i < 3; i++)
        expect_refused(PORT, i, "dial-failed", message, LATE_MS);
    cr_expect_eq(gate_sum(&gate, "connections_refused"), 3);
    cr_assert_eq(listen(upstream, 1), 0);
    expect_connects(upstream);
    cr_assert_eq(close(upstream), 0);
}

Test(dial, name_that_does_not_exist)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);

    run_with_dns(NAME, PORT, "");
    expect_refused(PORT, 0, "resolve-failed", "cannot resolve " NAME ": no such name", LATE_MS);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60});
    expect_connects(upstream);
    cr_assert_eq(close(upstream), 0);
}

/* What did the server at this port do? */
static void expect_dns_failure(int port, const char *did)
{
    char message[256];

    (void)snprintf(message, sizeof message, "cannot resolve " NAME ": DNS server %s:%d %s",
                   gate.dns_address, port, did);
    expect_refused(PORT, 0, "resolve-failed", message, 1000 + LATE_MS);
}

Test(dial, dns_server_that_fails)
{
    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 1000");
    dns_set(dns, &(struct dns_answer){.result = DNS_SERVER_FAILURE});
    expect_dns_failure(DNS_PORT, "failed (SERVFAIL)");
}

Test(dial, dns_server_that_refuses)
{
    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 1000");
    dns_set(dns, &(struct dns_answer){.result = DNS_REFUSED});
    expect_dns_failure(DNS_PORT, "refused to answer");
}

Test(dial, name_without_addresses)
{
    run_with_dns(NAME, PORT, "");
    dns_set(dns, &(struct dns_answer){.ttl_s = 60});
    expect_refused(PORT, 0, "resolve-failed", "cannot resolve " NAME ": the name has no address",
                   LATE_MS);
}

Test(dial, silent_dns_server)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);
    char message[256];

    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 700");
    dns_set(dns, &(struct dns_answer){.silent = true});
    (void)snprintf(message, sizeof message,
                   "cannot resolve " NAME ": no answer within 700 ms: DNS server %s:%d gave no "
                   "answer",
                   gate.dns_address, DNS_PORT);
    expect_refused(PORT, 0, "resolve-timeout", message, 700 + LATE_MS);
    CLEANUP_JSON json_object *event = gate_event(&gate, "refused", 0);
    cr_expect_geq(member_number(event, "duration_ms"), 700);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60});
    expect_connects(upstream);
    cr_assert_eq(close(upstream), 0);
}

/* One lost answer is asked for again. */
Test(dial, dns_server_that_is_silent_at_first)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 1);

    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 10000");
    dns_set(dns, &(struct dns_answer){.silent = true});
    int client = tcp_connect(gate.address, PORT);
    while (dns_count_questions(dns) < 2)
        sleep_ms(1);
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60});
    struct tcp_pair pair = {.client = client, .upstream = tcp_accept(upstream)};
    tcp_expect_alive(&pair);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

Test(dial, nobody_listens_at_the_dns_server)
{
    char options[128];

    (void)snprintf(options, sizeof options,
                   "\"dns_servers\": [\"%s:%d\"], \"resolve_timeout_ms\": 1000", gate.dns_address,
                   DNS_PORT + 1);
    gate_run(&gate, NAME, PORT, options);
    expect_dns_failure(DNS_PORT + 1, "cannot be reached (Connection refused)");
}

/* A listening socket whose queue is full drops what would connect to it. */
static void fill_backlog(int listener, int fds[4])
{
    for (size_t i = 0; i < 4; i++) {
        struct sockaddr_storage address;
        socklen_t length = sizeof address;
        cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
        fds[i] = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        cr_assert(connect(fds[i], (struct sockaddr *)&address, length) == 0 ||
                  errno == EINPROGRESS);
    }
}

Test(dial, upstream_that_never_answers)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 0), fillers[4];
    char message[128];

    fill_backlog(upstream, fillers);
    gate_run(&gate, gate.upstream_address, PORT, "\"dial_timeout_ms\": 600");
    (void)snprintf(message, sizeof message, "cannot reach %s:%d: no answer within 600 ms",
                   gate.upstream_address, PORT);
    expect_refused(PORT, 0, "dial-timeout", message, 600 + LATE_MS);
    CLEANUP_JSON json_object *event = gate_event(&gate, "refused", 0);
    cr_expect_geq(member_number(event, "duration_ms"), 600);

    /* The same upstream, with room in its queue. */
    for (size_t i = 0; i < ROWS(fillers); i++)
        cr_assert_eq(close(fillers[i]), 0);
    cr_assert_eq(listen(upstream, 8), 0);
    while (poll(&(struct pollfd){.fd = upstream, .events = POLLIN}, 1, 200) == 1)
        cr_assert_eq(close(tcp_accept(upstream)), 0);
    expect_connects(upstream);
    cr_assert_eq(close(upstream), 0);
}

/* A client that does not wait for the outcome leaves nothing behind. */
Test(dial, client_that_leaves_while_the_gate_dials)
{
    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 400");
    dns_set(dns, &(struct dns_answer){.silent = true});
    for (int i = 0; i < 40; i++) {
        int client = tcp_connect(gate.address, PORT);
        if (i % 2)
            tcp_reset(client);
        else
            cr_assert_eq(close(client), 0);
    }
    gate_wait_for_status(&gate, "connections_total", 40);
    gate_wait_for_status(&gate, "connections_now", 0);
    cr_expect_eq(gate_count_events(&gate, "refused"), 40);
}

/* stop does not wait for dials, nor for answers of DNS. */
Test(dial, stop_while_the_gate_dials)
{
    run_with_dns(NAME, PORT, ", \"resolve_timeout_ms\": 60000");
    dns_set(dns, &(struct dns_answer){.silent = true});
    int client = tcp_connect(gate.address, PORT);
    gate_wait_for_status(&gate, "connections_now", 1);
    int64_t started_ms = now_ms();
    gate_stop(&gate);
    cr_expect_lt(now_ms() - started_ms, LATE_MS);
    cr_expect_eq(tcp_drain(client), ECONNRESET);
    cr_assert_eq(close(client), 0);
}

/*
 * In a child: sends until the connection breaks, faster than anybody can read, because nothing is
 * copied at this end (sendfile(2)).
 */
static const char *flood(int parent_fd, void *context)
{
    const int *client = context;
    const off_t size = 16 << 20;
    int file = memfd_create("flood", MFD_CLOEXEC);

    (void)parent_fd;
    if (file < 0 || ftruncate(file, size))
        return child_failure("memfd: %s", strerror(errno));
    (void)signal(SIGPIPE, SIG_IGN);
    for (off_t from = 0; sendfile(*client, file, &from, (size_t)size) >= 0; from = 0)
        ;
    return errno == ECONNRESET || errno == EPIPE ? NULL : child_failure("%s", strerror(errno));
}

/* A client that goes on sending after it was told goodbye holds nobody up, and is cut at last. */
Test(dial, flood_after_goodbye_holds_nobody_up)
{
    enum { FLOODS = 3 };
    const struct gate_entry entries[] = {{"refuses", gate.upstream_address, PORT},
                                         {"serves", gate.upstream_address, PORT + 1}};
    int refuses = tcp_reserve(gate.upstream_address, PORT);
    int serves = tcp_listen(gate.upstream_address, PORT + 1, 8);
    struct child children[FLOODS];
    int clients[FLOODS];

    gate_prepare(&gate, entries, ROWS(entries));
    gate_start(&gate, "");
    for (size_t i = 0; i < FLOODS; i++) {
        clients[i] = tcp_connect(gate.address, PORT);
        children[i] = child_start(flood, &clients[i]);
        cr_assert_eq(close(clients[i]), 0);
    }
    struct tcp_pair pair = expect_connection(serves);
    int64_t longest_ms = 0, end_ms = now_ms() + 1500;
    while (now_ms() < end_ms) {
        int64_t started_ms = now_ms();
        tcp_expect_alive(&pair);
        longest_ms = now_ms() - started_ms > longest_ms ? now_ms() - started_ms : longest_ms;
    }
    cr_expect_lt(longest_ms, 1000, "held up for %jd ms", (intmax_t)longest_ms);
    for (size_t i = 0; i < FLOODS; i++)
        child_wait(&children[i]);
    tcp_close(&pair);
    gate_wait_for_status(&gate, "connections_now", 0);
    cr_assert_eq(close(refuses), 0);
    cr_assert_eq(close(serves), 0);
}

/* ---- identification ---- */

static struct tcp_pair open_silent_pair(int upstream)
{
    struct tcp_pair pair = {.client = tcp_connect(gate.address, PORT)};

    pair.upstream = tcp_accept(upstream);
    return pair;
}

static void expect_identification_timeout(size_t index, const char *message)
{
    CLEANUP_JSON json_object *refused = gate_event(&gate, "refused", index);
    CLEANUP_JSON json_object *close = gate_event(&gate, "close", index);

    cr_expect_str_eq(member_text(refused, "reason"), "identification-timeout");
    cr_expect_str_eq(member_text(refused, "message"), message);
    cr_expect_str_eq(member_text(close, "reason"), "identification-timeout");
    cr_expect_str_eq(member_text(close, "ended_by"), "gate");
    cr_expect_geq(member_number(close, "duration_ms"), 500);
}

#define IDENTIFICATION_OPTION "\"identification_timeout_ms\": 500"

Test(dial, server_without_identification)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char message[128], told[160];

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    struct tcp_pair pair = open_silent_pair(upstream);
    tcp_send(pair.client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    CLEANUP_FREE char *description = ssh_read_disconnect(pair.client);
    (void)snprintf(message, sizeof message, "%s:%d sent no SSH identification within 500 ms",
                   gate.upstream_address, PORT);
    (void)snprintf(told, sizeof told, "ssh-gate: %s", message);
    cr_expect_str_eq(description, told);
    cr_expect_neq(tcp_receive_all(pair.upstream, told, sizeof told, &(size_t){0}), EAGAIN);
    expect_identification_timeout(0, message);
    tcp_close(&pair);
    gate_wait_for_status(&gate, "connections_now", 0);

    pair = expect_connection(upstream);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* The server has spoken, so nothing can be said in its place: the connection is cut. */
Test(dial, client_without_identification)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char message[128];

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    struct tcp_pair pair = open_silent_pair(upstream);
    tcp_send(pair.upstream, IDENTIFICATION, IDENTIFICATION_LENGTH);
    cr_expect_eq(tcp_drain(pair.client), ECONNRESET);
    cr_expect_eq(tcp_drain(pair.upstream), ECONNRESET);
    (void)snprintf(message, sizeof message,
                   "the client of %s:%d sent no SSH identification within 500 ms",
                   gate.upstream_address, PORT);
    expect_identification_timeout(0, message);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* RFC 4253 §4.2: a server may send other lines first. */
Test(dial, server_with_lines_before_its_identification)
{
    static const char first[] = "Welcome.\r\nNot-SSH-2.0\nSSH\r\n", rest[] = "SSH-2.0-late\r\n";
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char received[sizeof first + sizeof rest];

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    struct tcp_pair pair = open_silent_pair(upstream);
    tcp_send(pair.client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    tcp_receive(pair.upstream, received, IDENTIFICATION_LENGTH);
    tcp_send(pair.upstream, first, sizeof first - 1);
    sleep_ms(100);
    for (size_t i = 0; i < sizeof rest - 1; i++) { /* in pieces of one byte */
        tcp_send(pair.upstream, &rest[i], 1);
        sleep_ms(5);
    }
    tcp_receive(pair.client, received, sizeof first - 1 + sizeof rest - 1);
    cr_expect_arr_eq(received, first, sizeof first - 1);
    cr_expect_arr_eq(received + sizeof first - 1, rest, sizeof rest - 1);
    sleep_ms(1000);
    tcp_expect_alive(&pair); /* longer than the timeout */
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

Test(dial, server_with_lines_and_no_identification)
{
    static const char lines[] = "220 mail.example ESMTP\r\n SSH-2.0-no\r\nXSSH-2.0-no\r\nSSH-2.0";
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char received[256];
    size_t length;

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    struct tcp_pair pair = open_silent_pair(upstream);
    tcp_send(pair.client, IDENTIFICATION, IDENTIFICATION_LENGTH);
    tcp_send(pair.upstream, lines, sizeof lines - 1);
    cr_expect_eq(tcp_receive_all(pair.client, received, sizeof received, &length), ECONNRESET);
    cr_expect_eq(length, sizeof lines - 1);
    cr_expect_arr_eq(received, lines, sizeof lines - 1);
    tcp_close(&pair);
    cr_assert_eq(close(upstream), 0);
}

/* The gate passes such bytes on and writes none of them: its lines are JSON all the same. */
Test(dial, identifications_of_any_bytes)
{
    static const char *const ENDS[] = {"\r\n", "\"}\n{\"event\":\"forged\"}\n"};
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char bytes[300] = "SSH-2.0-", received[sizeof bytes];

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++) {
        size_t length = strlen("SSH-2.0-");
        for (int byte = 0; byte < 256; byte++)
            bytes[length++] = (char)byte;
        memcpy(bytes + length, ENDS[i], strlen(ENDS[i]));
        length += strlen(ENDS[i]);
        struct tcp_pair pair = open_silent_pair(upstream);
        tcp_send(pair.client, bytes, length);
        tcp_receive(pair.upstream, received, length);
        cr_expect_arr_eq(received, bytes, length);
        tcp_send(pair.upstream, bytes, length);
        tcp_receive(pair.client, received, length);
        cr_expect_arr_eq(received, bytes, length);
        tcp_reset(pair.client);
        cr_assert_eq(close(pair.upstream), 0);
        CLEANUP_JSON json_object *event = gate_event(&gate, "close", i);
        cr_expect_eq(member_number(event, "bytes_up"), (int64_t)length);
        cr_expect_str_eq(member_text(event, "reason"), "reset");
    }
    cr_expect_eq(gate_count_events(&gate, "forged"), 0);
    cr_assert_eq(close(upstream), 0);
}

/* In a child: takes what comes without a copy (tcp(7), MSG_TRUNC), so that the gate is the slowest. */
static const char *swallow(int parent_fd, void *context)
{
    const int *upstream = context;

    (void)parent_fd;
    while (recv(*upstream, NULL, 1 << 20, MSG_TRUNC) > 0)
        ;
    return NULL;
}

/* The goodbye arrives also at a client that sends all the time to a server that only listens. */
Test(dial, goodbye_to_a_client_that_sends_all_the_time)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);

    gate_run(&gate, gate.upstream_address, PORT, IDENTIFICATION_OPTION);
    for (int i = 0; i < 3; i++) {
        struct tcp_pair pair = open_silent_pair(upstream);
        tcp_send(pair.client, IDENTIFICATION, IDENTIFICATION_LENGTH);
        struct child server = child_start(swallow, &pair.upstream);
        struct child client = child_start(flood, &pair.client);
        CLEANUP_FREE char *description = ssh_read_disconnect(pair.client);
        expect_part(description, "sent no SSH identification within 500 ms");
        child_wait(&client);
        child_wait(&server);
        tcp_close(&pair);
    }
    cr_assert_eq(close(upstream), 0);
}

/* ---- names ---- */

Test(dial, bytes_sent_before_the_upstream_answers)
{
    enum { LENGTH = 100000 };
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);

    run_with_dns(NAME, PORT, "");
    dns_set(dns,
            &(struct dns_answer){
                .a = gate.upstream_address, .ttl_s = 60, .a_delay_ms = 300, .aaaa_delay_ms = 300});
    int client = tcp_connect(gate.address, PORT);
    struct transfer ends[] = {{.fd = client, .send_seed = 7, .send_length = LENGTH, .shut = true},
                              {.receive_seed = 7, .receive_length = LENGTH, .wait_for_end = true}};
    transfer_all(ends, 1);
    ends[1].fd = tcp_accept(upstream);
    transfer_all(ends, 2);
    CLEANUP_JSON json_object *open = gate_event(&gate, "open", 0);
    cr_expect_geq(member_number(open, "dial_ms"), 300, "the upstream answered too early");
    cr_assert_eq(close(client), 0);
    cr_assert_eq(close(ends[1].fd), 0);
    cr_assert_eq(close(upstream), 0);
}

/* An answer that does not fit into a packet of UDP is asked for again over TCP (RFC 1035 §4.2.1). */
Test(dial, truncated_answer)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);

    run_with_dns(NAME, PORT, "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60, .truncated = true});
    expect_connects(upstream);
    cr_expect_gt(dns_count_tcp_questions(dns), 0);
    cr_assert_eq(close(upstream), 0);
}

/*
 * Of very many addresses the first are tried, and no more than the gate has room for.  They are those of
 * other tests, perhaps, so the port is of this one alone.
 */
Test(dial, five_hundred_addresses)
{
    enum { OWN_PORT = 3333 };
    int upstream = tcp_listen(gate.upstream_address, OWN_PORT, 8);
    char message[128];

    run_with_dns(NAME, OWN_PORT, "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .a_count = 500});
    expect_connects(upstream);
    cr_expect_gt(dns_count_tcp_questions(dns), 0);

    cr_assert_eq(close(upstream), 0);
    (void)snprintf(message, sizeof message, "cannot reach " NAME ":%d: Connection refused",
                   OWN_PORT);
    expect_refused(OWN_PORT, 0, "dial-failed", message, LATE_MS);
}

/* ::1 is the only IPv6 address of loopback, so its port is what the system gives. */
Test(dial, name_with_both_families_where_only_one_listens)
{
    int v6 = tcp_reserve("::1", 0);
    uint16_t port = tcp_port(v6);
    int v4 = tcp_listen(gate.upstream_address, port, 8);
    char expected[64];

    run_with_dns(NAME, port, "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .aaaa = "::1"});
    expect_connects(v4);
    CLEANUP_JSON json_object *first = gate_event(&gate, "open", 0);
    (void)snprintf(expected, sizeof expected, "%s:%u", gate.upstream_address, port);
    cr_expect_str_eq(member_text(first, "upstream_address"), expected);

    cr_assert_eq(listen(v6, 8), 0);
    cr_assert_eq(close(v4), 0);
    expect_connects(v6);
    CLEANUP_JSON json_object *second = gate_event(&gate, "open", 1);
    (void)snprintf(expected, sizeof expected, "[::1]:%u", port);
    cr_expect_str_eq(member_text(second, "upstream_address"), expected);
    cr_assert_eq(close(v6), 0);
}

/* RFC 8305 §3: IPv6 first; an AAAA answer that does not come holds IPv4 up for 50 ms only. */
Test(dial, aaaa_that_is_late)
{
    int v6 = tcp_listen("::1", 0, 8);
    int v4 = tcp_listen(gate.upstream_address, tcp_port(v6), 8);

    run_with_dns(NAME, tcp_port(v6), "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .aaaa = "::1"});
    expect_connects(v6);
    dns_set(dns,
            &(struct dns_answer){.a = gate.upstream_address, .aaaa = "::1", .aaaa_delay_ms = 3000});
    expect_connects(v4);
    CLEANUP_JSON json_object *open = gate_event(&gate, "open", 1);
    cr_expect_lt(member_number(open, "dial_ms"), 2500);
    cr_assert_eq(close(v6), 0);
    cr_assert_eq(close(v4), 0);
}

/* RFC 8305 §5: an address that does not answer is not waited for to the end. */
Test(dial, ipv6_that_never_answers)
{
    int v6 = tcp_listen("::1", 0, 0), fillers[4];
    int v4 = tcp_listen(gate.upstream_address, tcp_port(v6), 8);

    fill_backlog(v6, fillers);
    run_with_dns(NAME, tcp_port(v6), "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .aaaa = "::1"});
    expect_connects(v4);
    CLEANUP_JSON json_object *open = gate_event(&gate, "open", 0);
    cr_expect_geq(member_number(open, "dial_ms"), 250);
    cr_expect_lt(member_number(open, "dial_ms"), 250 + LATE_MS);
    printf("FIGURE time to reach an upstream over IPv4 while IPv6 does not answer: %jd ms\n",
           (intmax_t)member_number(open, "dial_ms"));
    (void)fflush(stdout);
    for (size_t i = 0; i < ROWS(fillers); i++)
        cr_assert_eq(close(fillers[i]), 0);
    cr_assert_eq(close(v6), 0);
    cr_assert_eq(close(v4), 0);
}

/* What failed is the connection, whatever the other family's answer says after that. */
Test(dial, refusal_is_not_hidden_by_a_late_empty_answer)
{
    int v6 = tcp_reserve("::1", 0);
    char message[128];

    run_with_dns(NAME, tcp_port(v6), "");
    dns_set(dns, &(struct dns_answer){.aaaa = "::1", .a_delay_ms = 300});
    (void)snprintf(message, sizeof message, "cannot reach " NAME ":%u: Connection refused",
                   tcp_port(v6));
    expect_refused(tcp_port(v6), 0, "dial-failed", message, LATE_MS);
    cr_assert_eq(close(v6), 0);
}

/* The port stays bound, so that no other test gets it; the gate can listen on it all the same. */
Test(dial, gate_on_ipv6)
{
    int reserved = tcp_reserve("::1", 0);
    uint16_t port = tcp_port(reserved);
    int upstream = tcp_listen(gate.upstream_address, port, 8);
    const struct gate_entry entry = {
        .alias = "upstream", .host = gate.upstream_address, .port = port};

    gate_prepare(&gate, &entry, 1);
    gate_set_networks(&gate, "::1", "host");
    gate_start(&gate, "");
    struct tcp_pair pair = tcp_through("::1", port, upstream);
    tcp_close(&pair);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_str_eq(member_text(status, "address"), "::1");
    cr_assert_eq(close(upstream), 0);
    cr_assert_eq(close(reserved), 0);
}

/* ---- addresses that change ---- */

static void expect_move(uint32_t ttl_s, int64_t wait_ms)
{
    int before = tcp_listen(gate.upstream_address, PORT, 8);
    int after = tcp_listen(gate.dns_address, PORT, 8);

    run_with_dns(NAME, PORT, "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = ttl_s});
    expect_connects(before);
    dns_set(dns, &(struct dns_answer){.a = gate.dns_address, .ttl_s = ttl_s});
    sleep_ms(wait_ms);
    expect_connects(after);
    cr_assert_eq(close(before), 0);
    cr_assert_eq(close(after), 0);
}

Test(dial, address_that_changes_with_ttl_0)
{
    expect_move(0, 0);
}

/* A name may be remembered for one second at most, whatever its TTL allows. */
Test(dial, address_that_changes_with_a_long_ttl)
{
    expect_move(86400, 1100);
}

Test(dial, burst_of_dials_asks_once)
{
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);

    run_with_dns(NAME, PORT, "");
    dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .ttl_s = 60});
    int64_t started_ms = now_ms();
    for (int i = 0; i < 20; i++)
        expect_connects(upstream);
    unsigned int seconds = (unsigned int)((now_ms() - started_ms) / 1000) + 1;
    cr_expect_leq(dns_count_questions(dns), 2 * seconds);
    cr_assert_eq(close(upstream), 0);
}

/* ---- the gate as its own upstream ---- */

static void expect_loop_refused(const char *host, const char *listen_address)
{
    char message[160];
    CLEANUP_FREE char *told = NULL;

    run_with_dns(host, PORT, "");
    (void)snprintf(message, sizeof message,
                   "ssh-gate: cannot reach %s:%d: that is the gate itself (a loop)", host, PORT);
    int client = tcp_connect(listen_address, PORT);
    told = ssh_read_disconnect(client);
    cr_expect_str_eq(told, message);
    cr_assert_eq(close(client), 0);
    CLEANUP_JSON json_object *status = gate_status(&gate);
    cr_expect_eq(member_number(status, "connections_total"), 1);
}

Test(dial, loop_by_address)
{
    expect_loop_refused(gate.address, gate.address);
}

Test(dial, loop_by_mapped_address)
{
    char mapped[64];

    (void)snprintf(mapped, sizeof mapped, "::ffff:%s", gate.address);
    expect_loop_refused(mapped, gate.address);
}

Test(dial, loop_by_name)
{
    dns_set(dns, &(struct dns_answer){.a = gate.address});
    expect_loop_refused(NAME, gate.address);
}

/* The own address is passed over, another of the same name is not. */
Test(dial, loop_beside_a_real_address)
{
    int v6 = tcp_listen("::1", 0, 8);

    run_with_dns(NAME, tcp_port(v6), "");
    dns_set(dns, &(struct dns_answer){.a = gate.address, .aaaa = "::1"});
    expect_connects(v6);
    cr_assert_eq(close(v6), 0);
}
