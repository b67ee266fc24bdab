/* SPDX-License-Identifier: MIT */
/*
 * test_swaps.c: a gate is swapped a hundred times in a row while it is used as hard as it can be: by
 * clients that open, exchange bytes and close without pause, and by long sessions that transfer all
 * the time.  No connection may be refused or reset, no byte be wrong, no long session end.
 *
 * The clients and the upstream are processes of their own; what they share with the test is a struct.
 * The long sessions begin at different swaps, so that many relays drain at the same time.  The event
 * log is kept as short as it may be: it is shortened while the relays that drain write to it.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "process.h"
#include "relay/protocol.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT          2200
#define SWAPS         100
#define CLIENTS       8
#define SESSIONS      50
#define EARLY         25 /* sessions that begin before the first swap */
#define CLIENT_BYTES  ((size_t)8 << 10)
#define SESSION_BYTES ((size_t)32 << 10)
#define STACK_SIZE    ((size_t)256 << 10)
#define OPTIONS       "{\"exit_with_launcher\": true, \"event_log_max_bytes\": 65536}"
#define ROWS(table)   (sizeof(table) / sizeof((table)[0]))

struct load {
    atomic_int swaps;
    atomic_bool stop;
    atomic_int clients_done;   /* exchanges that were as they should be */
    atomic_int refused, reset; /* connections, of clients and sessions */
    atomic_int wrong, silent;  /* bytes that are others; no answer in time */
    atomic_int sessions_begun, sessions_whole;
    atomic_llong session_bytes;
};

static struct gate gate;
static struct load *load;

static void set_up(void)
{
    gate_set_up(&gate);
    load = mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(load, MAP_FAILED);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(swaps, .init = set_up, .fini = tear_down, .timeout = 240);

static bool start_thread(void *(*run)(void *), void *context, pthread_t *thread)
{
    pthread_attr_t attributes;

    return !pthread_attr_init(&attributes) && !pthread_attr_setstacksize(&attributes, STACK_SIZE) &&
           !pthread_create(thread, &attributes, run, context) && !pthread_attr_destroy(&attributes);
}

static struct sockaddr_in ipv4(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};

    (void)inet_pton(AF_INET, text, &address.sin_addr);
    return address;
}

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* ---- the upstream: sends back what it gets ---- */

static void *echo(void *context)
{
    char bytes[16384];
    int fd = (int)(intptr_t)context;
    ssize_t received;

    while ((received = recv(fd, bytes, sizeof bytes, 0)) > 0 &&
           send_all(fd, bytes, (size_t)received))
        ;
    (void)close(fd);
    return NULL;
}

static const char *be_upstream(int parent_fd, void *context)
{
    const struct sockaddr_in address = ipv4(gate.upstream_address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)context;
    if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) ||
        listen(listener, SOMAXCONN))
        return child_failure("upstream: %s", strerror(errno));
    line_send(parent_fd, "listens");
    for (;;) {
        pthread_t thread;
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 || !start_thread(echo, (void *)(intptr_t)fd, &thread) || pthread_detach(thread))
            return child_failure("upstream: %s", strerror(errno));
    }
}

/* ---- the clients ---- */

static void count_failure(int error)
{
    if (error == ECONNREFUSED)
        load->refused++;
    else if (error == EAGAIN)
        load->silent++;
    else
        load->reset++;
}

/* A connection through the gate; -1: counted. */
static int open_connection(void)
{
    const struct sockaddr_in address = ipv4(gate.address);
    const struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
        connect(fd, (const struct sockaddr *)&address, sizeof address)) {
        count_failure(errno);
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Sends a part of the sequence and gets it back. */
static bool exchange(int fd, uint64_t seed, uint64_t from, size_t length)
{
    char sent[SESSION_BYTES], received[SESSION_BYTES];

    sequence_fill(sent, seed, from, length);
    errno = 0;
    if (!send_all(fd, sent, length)) {
        count_failure(errno);
        return false;
    }
    for (size_t at = 0; at < length;) {
        ssize_t got = recv(fd, received + at, length - at, 0);
        if (got <= 0) {
            count_failure(got == 0 ? ECONNRESET : errno);
            return false;
        }
        at += (size_t)got;
    }
    if (memcmp(sent, received, length) == 0)
        return true;
    load->wrong++;
    return false;
}

/* After its last byte either side may be the first to close. */
static bool end_in_order(int fd)
{
    char byte;

    if (shutdown(fd, SHUT_WR))
        return false;
    ssize_t received = recv(fd, &byte, 1, 0);
    if (received < 0)
        count_failure(errno);
    return received == 0;
}

static void *be_client(void *context)
{
    uint64_t seed = (uint64_t)(uintptr_t)context << 24;

    while (!load->stop) {
        int fd = open_connection();
        if (fd < 0)
            continue;
        size_t length = 64 + (size_t)(++seed * 131 % (CLIENT_BYTES - 64));
        if (exchange(fd, seed, 0, length) && end_in_order(fd))
            load->clients_done++;
        (void)close(fd);
    }
    return NULL;
}

/* Begins at its swap, and ends with one exchange more when all are over. */
static void *be_session(void *context)
{
    uint64_t number = (uint64_t)(uintptr_t)context, from = 0;
    int begin = number < EARLY ? 0 : (int)(number - EARLY + 1) * SWAPS / (SESSIONS - EARLY + 1);
    bool last = false, whole = true;

    while (load->swaps < begin)
        sleep_ms(1);
    int fd = open_connection();
    if (fd < 0)
        return NULL;
    while (whole && !last) {
        last = load->stop;
        whole = exchange(fd, number, from, SESSION_BYTES);
        load->sessions_begun += from == 0;
        from += SESSION_BYTES;
    }
    load->session_bytes += (long long)from;
    load->sessions_whole += whole && end_in_order(fd);
    (void)close(fd);
    return NULL;
}

static const char *be_clients(int parent_fd, void *context)
{
    pthread_t threads[CLIENTS + SESSIONS];

    (void)parent_fd;
    (void)context;
    for (size_t i = 0; i < ROWS(threads); i++) {
        bool client = i < CLIENTS;
        uintptr_t number = client ? i + 1 : i - CLIENTS;
        if (!start_thread(client ? be_client : be_session, (void *)number, &threads[i]))
            return "a thread cannot be started";
    }
    for (size_t i = 0; i < ROWS(threads); i++)
        (void)pthread_join(threads[i], NULL);
    return NULL;
}

/* ---- the swaps ---- */

static void wait_for(atomic_int *counter, int value)
{
    int64_t end_ms = now_ms() + WAIT_MS;

    while (*counter < value && now_ms() < end_ms)
        sleep_ms(1);
    cr_assert_geq(*counter, value);
}

static void swap(const struct bottle_plugin *plugin)
{
    CLEANUP_FREE char *old = gate.target;
    CLEANUP_FREE char *message = NULL;

    gate.target = NULL;
    enum bottle_result result =
        bottle_plugin_start(plugin, NULL, gate.plan, NULL, OPTIONS, old, &gate.target, &message);
    if (result != BOTTLE_OK)
        gate.target = strdup(old);
    cr_assert_eq(result, BOTTLE_OK, "swap %d: %s", load->swaps, message);
    load->swaps++;
}

static int count_events_lost(void)
{
    CLEANUP_JSON json_object *events = gate_events(&gate);
    int lost = 0;

    for (size_t i = 0; i < json_object_array_length(events); i++) {
        json_object *event = json_object_array_get_idx(events, i);
        if (strcmp(member_text(event, "event"), "events-lost") == 0)
            lost += (int)member_number(event, "count");
    }
    return lost;
}

/* The relays of the slug, by the names that they listen on (proc(5), /proc/net/unix). */
static int count_relays(void)
{
    char name[128], line[512];
    int count = 0;

    (void)snprintf(name, sizeof name, "@" CONTROL_NAME_OF_INSTANCE, geteuid(), gate.slug, "");
    FILE *sockets = fopen("/proc/net/unix", "re");
    cr_assert_not_null(sockets);
    while (fgets(line, sizeof line, sockets))
        count += strstr(line, " 00010000 ") && strstr(line, name);
    cr_assert_eq(fclose(sockets), 0);
    return count;
}

/* Those that have drained go by themselves. */
static void expect_one_relay(void)
{
    int64_t end_ms = now_ms() + WAIT_MS;

    while (count_relays() > 1 && now_ms() < end_ms)
        sleep_ms(10);
    cr_expect_eq(count_relays(), 1);
}

static void swap_under_load(const struct bottle_plugin *const *plugins, size_t plugin_count)
{
    char line[64];
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};
    struct child upstream = child_start(be_upstream, NULL);
    cr_assert(line_receive(upstream.fd, line, sizeof line));
    cr_assert_str_eq(line, "listens");
    gate_prepare(&gate, &entry, 1);
    gate_start(&gate, "\"event_log_max_bytes\": 65536");
    struct child clients = child_start(be_clients, NULL);
    wait_for(&load->sessions_begun, EARLY);

    int64_t begun_ms = now_ms();
    for (size_t i = 0; i < SWAPS; i++) {
        int done = load->clients_done;
        swap(plugins[(i + 1) % plugin_count]);
        wait_for(&load->clients_done, done + CLIENTS); /* each gate gets some */
    }
    int64_t ended_ms = now_ms();
    wait_for(&load->sessions_begun, SESSIONS);
    load->stop = true;
    child_wait(&clients);
    child_kill(&upstream);

    printf("FIGURE %d swaps under load in %jd ms: %d short connections, %d long sessions whole, "
           "%lld MB "
           "in them; refused %d, reset %d, wrong %d, without an answer %d; event lines lost %d\n",
           load->swaps, (intmax_t)(ended_ms - begun_ms), load->clients_done, load->sessions_whole,
           load->session_bytes >> 20, load->refused, load->reset, load->wrong, load->silent,
           count_events_lost());
    cr_expect_eq(load->refused, 0);
    cr_expect_eq(load->reset, 0);
    cr_expect_eq(load->wrong, 0);
    cr_expect_eq(load->silent, 0);
    cr_expect_eq(load->sessions_whole, SESSIONS);
    expect_one_relay();
}

Test(swaps, a_hundred_under_load)
{
    const struct bottle_plugin *const plugins[] = {gate.plugin};

    swap_under_load(plugins, ROWS(plugins));
}

Test(swaps, a_hundred_between_two_builds_under_load)
{
    CLEANUP_FREE char *path = build_path("tests/fixtures/ssh_gate_next.so");
    CLEANUP_FREE char *message = NULL;
    struct bottle_plugin *next = NULL;

    cr_assert_eq(bottle_plugin_load(path, &next, &message), BOTTLE_OK, "%s", message);
    cr_assert_str_neq(bottle_plugin_table(next)->version,
                      bottle_plugin_table(gate.plugin)->version);
    const struct bottle_plugin *const plugins[] = {gate.plugin, next};
    swap_under_load(plugins, ROWS(plugins));
    bottle_plugin_unload(next);
}
