/* SPDX-License-Identifier: MIT */
/*
 * test_swaps.c: a gate is swapped a hundred times in a row while it is used as hard as it can be
 * (fixtures/load.h).  No connection may be refused or reset, no byte be wrong, no long session end.
 *
 * The clients and the upstream are processes of their own; what they share with the test is a struct.  The
 * event log is kept as short as it may be: it is shortened while the relays that drain write to it.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "load.h"
#include "process.h"
#include "wire/control.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PORT  2200
#define SWAPS (SANITIZED ? 25 : 100)
#define OPTIONS                                                                                    \
    "\"event_log_max_bytes\": 65536, \"max_dials_per_second\": 1000000, "                          \
    "\"max_dials_per_second_per_upstream\": 1000000"
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;
static struct load *load;

static void set_up(void)
{
    gate_set_up(&gate);
    load = mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(load, MAP_FAILED);
    load->gate = load_address(gate.address, PORT);
    load->swaps_planned = SWAPS;
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(swaps, .init = set_up, .fini = tear_down, .timeout = 240);

/* ---- the processes ---- */

static void say_listens(int fd)
{
    line_send(fd, "listens");
}

static const char *be_upstream(int parent_fd, void *context)
{
    const struct sockaddr_in address = load_address(gate.upstream_address, PORT);

    (void)context;
    return child_failure("upstream: %s", load_serve(&address, say_listens, parent_fd));
}

static const char *be_clients(int parent_fd, void *context)
{
    (void)parent_fd;
    (void)context;
    return load_run(load);
}

/* ---- the swaps ---- */

static void swap(const struct bottle_plugin *plugin)
{
    CLEANUP_FREE char *old = gate.target;
    CLEANUP_FREE char *message = NULL;

    gate.target = NULL;
    enum bottle_result result = bottle_plugin_start(plugin, NULL, gate.plan, NULL,
                                                    "{\"exit_with_launcher\": true, " OPTIONS "}",
                                                    old, &gate.target, &message);
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
    gate_start(&gate, OPTIONS);
    struct child clients = child_start(be_clients, NULL);
    cr_assert(load_wait_for(&load->sessions_begun, LOAD_EARLY));

    int64_t begun_ms = now_ms();
    for (size_t i = 0; i < SWAPS; i++) {
        int done = load->clients_done;
        swap(plugins[(i + 1) % plugin_count]);
        cr_assert(
            load_wait_for(&load->clients_done, done + LOAD_CLIENTS)); /* each gate gets some */
    }
    int64_t ended_ms = now_ms();
    cr_assert(load_wait_for(&load->sessions_begun, LOAD_SESSIONS));
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
    cr_expect_eq(load->sessions_whole, LOAD_SESSIONS);
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
