/* SPDX-License-Identifier: MIT */
/*
 * test_older_kernel.c: system calls that an older kernel, or a container's filter, does not have: there is
 * another way, or one message that names what is missing.
 */
#include "common/cleanup.h"
#include "gate_fixture.h"
#include "missing_calls.h"
#include "tcp.h"

#include <bottle/sidecar.h>

#include <criterion/criterion.h>
#include <seccomp.h>
#include <unistd.h>

#define PORT 2200

static struct gate gate;

static void set_up(void)
{
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};

    gate_set_up(&gate);
    gate_prepare(&gate, &entry, 1);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(older_kernel, .init = set_up, .fini = tear_down, .timeout = 60);

static void hide(int number)
{
    cr_assert(hide_system_call(number), "%m");
}

static void expect_gate_works(void)
{
    CLEANUP_FREE char *message = NULL;
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);

    cr_assert_eq(gate_try_start(&gate, "{}", &message), BOTTLE_OK, "%s", message);
    struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
    gate_wait_for_status(&gate, "connections_now", 1);
    tcp_close(&pair);
    gate_stop(&gate);
    cr_assert_eq(close(upstream), 0);
}

Test(older_kernel, without_close_range)
{
    hide(SCMP_SYS(close_range));
    expect_gate_works();
}

Test(older_kernel, without_faccessat2_and_statx)
{
    hide(SCMP_SYS(faccessat2));
    hide(SCMP_SYS(statx));
    hide(SCMP_SYS(openat2));
    expect_gate_works();
}

Test(older_kernel, without_landlock_and_seccomp)
{
    hide(SCMP_SYS(landlock_create_ruleset));
    hide(SCMP_SYS(seccomp));
    expect_gate_works();
}

Test(older_kernel, without_pidfd_open)
{
    CLEANUP_FREE char *message = NULL;

    hide(SCMP_SYS(pidfd_open));
    cr_expect_eq(gate_try_start(&gate, "{\"exit_with_launcher\": true}", &message),
                 BOTTLE_UNAVAILABLE);
    expect_part(message, "pidfd_open");
    expect_part(message, "5.3");
    expect_gate_works();
}
