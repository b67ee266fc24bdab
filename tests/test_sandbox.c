/* SPDX-License-Identifier: MIT */
/*
 * test_sandbox.c: what a relay that somebody has taken over could still do.
 *
 * The test plays that somebody: it stops the relay with ptrace(2), which root may, puts a system
 * call of its choice into the relay's registers and lets it run.  Each forbidden call must end the
 * process with SIGSYS, and the event log must say which it was; what a library may try must fail, and so
 * must what Landlock forbids.
 *
 * What the relay and its libraries need they must have: names are resolved here behind the whole sandbox.
 */
#include "common/cleanup.h"
#include "dns_server.h"
#include "gate_fixture.h"
#include "missing_calls.h"
#include "process.h"
#include "tcp.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT        2200
#define OTHER_PORT  2201
#define NAME        "gitea.example"
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;

static void set_up(void)
{
    if (SANITIZED)
        cr_skip_test("the relay has no sandbox when it is built with AddressSanitizer");
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(sandbox, .init = set_up, .fini = tear_down, .timeout = 120);

/* ---- a system call in the relay's name ---- */

#ifndef __x86_64__
#error "the registers of a system call on this architecture are not known here"
#endif

#define SYSCALL_INSTRUCTION        0x050f /* 0f 05, little-endian */
#define SYSCALL_INSTRUCTION_LENGTH 2
#define RED_ZONE                   256 /* below the stack pointer; no frame of the relay is there */

static void ptrace_must(enum __ptrace_request request, void *address, void *data)
{
    cr_assert_neq(ptrace(request, gate.relay, address, data), -1, "ptrace %d: %s", (int)request,
                  strerror(errno));
}

/* Stops the relay, which waits in a system call: the instruction of one is right behind it. */
static struct user_regs_struct seize(void)
{
    struct user_regs_struct registers;
    int status;

    ptrace_must(PTRACE_SEIZE, NULL, NULL);
    ptrace_must(PTRACE_INTERRUPT, NULL, NULL);
    cr_assert_eq(waitpid(gate.relay, &status, __WALL), gate.relay);
    cr_assert(WIFSTOPPED(status));
    ptrace_must(PTRACE_GETREGS, NULL, &registers);
    errno = 0;
    long word =
        ptrace(PTRACE_PEEKTEXT, gate.relay, registers.rip - SYSCALL_INSTRUCTION_LENGTH, NULL);
    cr_assert_eq(errno, 0);
    cr_assert_eq(word & 0xffff, SYSCALL_INSTRUCTION);
    return registers;
}

struct call {
    const char *name;
    long number;
    unsigned long arguments[4];
    size_t memory_argument; /* 1 to 4: this argument points to memory; 0: none does */
    const void *memory;
    size_t memory_length;
};

/* Stopped by a SIGSYS that it is about to get; its handler is trapped as well.  The end's wait status. */
static int see_it_end(int status)
{
    while (WIFSTOPPED(status)) {
        long number = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status); /* the single step's */
        ptrace_must(PTRACE_CONT, NULL, (void *)number);
        cr_assert_eq(waitpid(gate.relay, &status, __WALL), gate.relay);
    }
    return status;
}

/* Returns what the call returned, or -1000 - N if signal N ended the relay. */
static long inject(const struct user_regs_struct *stopped, const struct call *call)
{
    struct user_regs_struct registers = *stopped;
    unsigned long arguments[4], memory = (registers.rsp - RED_ZONE) & ~15ul;
    int status;

    memcpy(arguments, call->arguments, sizeof arguments);
    for (size_t at = 0; at < call->memory_length; at += sizeof(long)) {
        long word = 0;
        size_t left = call->memory_length - at;
        memcpy(&word, (const char *)call->memory + at, left < sizeof word ? left : sizeof word);
        ptrace_must(PTRACE_POKEDATA, (void *)(memory + at), (void *)word);
    }
    if (call->memory_argument > 0)
        arguments[call->memory_argument - 1] = memory;
    registers.rip -= SYSCALL_INSTRUCTION_LENGTH;
    registers.orig_rax = (unsigned long)-1; /* no call is under way that could be restarted */
    registers.rax = (unsigned long)call->number;
    registers.rdi = arguments[0];
    registers.rsi = arguments[1];
    registers.rdx = arguments[2];
    registers.r10 = arguments[3];
    ptrace_must(PTRACE_SETREGS, NULL, &registers);
    ptrace_must(PTRACE_SINGLESTEP, NULL, NULL);
    cr_assert_eq(waitpid(gate.relay, &status, __WALL), gate.relay);
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGSYS)
        status = see_it_end(status);
    if (WIFSIGNALED(status))
        return -1000 - WTERMSIG(status);
    cr_assert(WIFSTOPPED(status));
    ptrace_must(PTRACE_GETREGS, NULL, &registers);
    return (long)registers.rax;
}

static void release(const struct user_regs_struct *stopped)
{
    struct user_regs_struct registers = *stopped;

    registers.rax = (unsigned long)-EINTR; /* what the interrupted epoll_wait returns */
    registers.orig_rax = (unsigned long)-1;
    ptrace_must(PTRACE_SETREGS, NULL, &registers);
    ptrace_must(PTRACE_DETACH, NULL, NULL);
}

static void need_root(void)
{
    if (geteuid() == 0)
        return;
    cr_assert_null(getenv("CI"), "run as root, as CI must");
    cr_skip_test("only root may trace the relay");
}

static void run_gate(void)
{
    gate_run(&gate, gate.upstream_address, PORT, "\"sandbox\": \"required\"");
}

static void expect_violation(const struct call *call)
{
    CLEANUP_JSON json_object *event = gate_event(&gate, "sandbox-violation", 0);

    cr_expect_eq(member_number(event, "number"), call->number, "%s", call->name);
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)call->number);
    cr_expect_str_eq(member_text(event, "system_call"), name, "%s", call->name);
    free(name);
}

/* The gate went without a word to stop. */
static void forget_gate(void)
{
    CLEANUP_FREE char *log = NULL;

    cr_expect_eq(gate_try_stop(&gate, gate.target), BOTTLE_OK);
    free(gate.target);
    gate.target = NULL;
    cr_assert_gt(asprintf(&log, "%s/ssh_gate_events.jsonl", gate.stage_dir), 0);
    cr_assert_eq(unlink(log), 0);
}

Test(sandbox, forbidden_calls_end_the_relay)
{
    static const char path[] = "/etc/passwd";
    const struct call calls[] = {
        {"execute a program", SYS_execve, {0, 0, 0}, 1, path, sizeof path},
        {"execute a descriptor", SYS_execveat, {0, 0, 0, 0}, 2, path, sizeof path},
        {"fork", SYS_fork, {0}, 0, NULL, 0},
        {"clone", SYS_clone, {SIGCHLD}, 0, NULL, 0},
        {"trace", SYS_ptrace, {PTRACE_TRACEME}, 0, NULL, 0},
        {"signal", SYS_kill, {1, 0}, 0, NULL, 0},
        {"packet socket", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, 0, NULL, 0},
        {"raw socket", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}, 0, NULL, 0},
        {"vsock socket", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, 0, NULL, 0},
        {"bind", SYS_bind, {0, 0, 0}, 0, NULL, 0},
        {"listen", SYS_listen, {0, 0}, 0, NULL, 0},
        {"enter a namespace", SYS_setns, {0, 0}, 0, NULL, 0},
        {"make a namespace", SYS_unshare, {0}, 0, NULL, 0},
        {"memory that is code",
         SYS_mmap,
         {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE},
         0,
         NULL,
         0},
        {"make memory code", SYS_mprotect, {0, 4096, PROT_EXEC}, 0, NULL, 0},
        {"wait for nobody", SYS_futex, {0, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0}, 0, NULL, 0},
        {"return from a handler", SYS_rt_sigreturn, {0}, 0, NULL, 0},
        {"io_uring", SYS_io_uring_setup, {1, 0}, 0, NULL, 0},
        {"another filter", SYS_seccomp, {0, 0, 0}, 0, NULL, 0},
    };

    need_root();
    for (size_t i = 0; i < ROWS(calls); i++) {
        run_gate();
        const struct user_regs_struct stopped = seize();
        long result = inject(&stopped, &calls[i]);
        cr_expect_eq(result, -1000 - SIGSYS, "%s: %ld", calls[i].name, result);
        expect_violation(&calls[i]);
        forget_gate();
    }
}

/* The number of another machine type's call is not taken for one of this. */
Test(sandbox, another_machine_type_ends_the_relay)
{
    const struct call call = {"x32", 0x40000000 + SYS_getpid, {0}, 0, NULL, 0};

    need_root();
    run_gate();
    const struct user_regs_struct stopped = seize();
    cr_expect_eq(inject(&stopped, &call), -1000 - SIGSYS);
    cr_expect_eq(gate_count_events(&gate, "sandbox-violation"), 0);
    forget_gate();
}

/* What a library may try does not end the connections of all. */
Test(sandbox, harmless_calls_fail)
{
    static const char path[] = "/etc/passwd";
    static const struct {
        struct call call;
        long expected;
    } rows[] = {
        {{"open", SYS_open, {0, O_RDONLY}, 1, path, sizeof path}, -EACCES},
        {{"openat", SYS_openat, {(unsigned long)AT_FDCWD, 0, 0}, 2, path, sizeof path}, -EACCES},
        {{"stat", SYS_stat, {0, 0}, 1, path, sizeof path}, -EACCES},
        {{"readlink", SYS_readlink, {0, 0, 0}, 1, path, sizeof path}, -EACCES},
        {{"statx", SYS_statx, {(unsigned long)AT_FDCWD, 0, 0, 0}, 2, path, sizeof path}, -ENOSYS},
        {{"ioctl", SYS_ioctl, {2, 0x5401 /* TCGETS */, 0}, 0, NULL, 0}, -ENOTTY},
        {{"getuid", SYS_getuid, {0}, 0, NULL, 0}, -EPERM},
        {{"uname", SYS_uname, {0}, 0, NULL, 0}, -EPERM},
        {{"sysinfo", SYS_sysinfo, {0}, 0, NULL, 0}, -EPERM},
        {{"prctl", SYS_prctl, {0}, 0, NULL, 0}, -EPERM},
        {{"clock_nanosleep", SYS_clock_nanosleep, {0}, 0, NULL, 0}, -EPERM},
        {{"tgkill", SYS_tgkill, {1, 1, 0}, 0, NULL, 0}, -EPERM},
        {{"rt_sigaction", SYS_rt_sigaction, {SIGSYS, 0, 0, 8}, 0, NULL, 0}, -EPERM},
        {{"mprotect", SYS_mprotect, {0, 4096, PROT_READ | PROT_WRITE}, 0, NULL, 0}, -ENOMEM},
        {{"wake", SYS_futex, {0, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1}, 0, NULL, 0}, 0},
        {{"unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, 0, NULL, 0}, -EAFNOSUPPORT},
        {{"netlink socket", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, 0, NULL, 0}, -EAFNOSUPPORT},
    };

    need_root();
    run_gate();
    const struct user_regs_struct stopped = seize();
    for (size_t i = 0; i < ROWS(rows); i++)
        cr_expect_eq(inject(&stopped, &rows[i].call), rows[i].expected, "%s", rows[i].call.name);
    release(&stopped);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0, "the relay does not go on");
    cr_expect_eq(gate_count_events(&gate, "sandbox-violation"), 0);
}

/* ---- what is needed ---- */

/* An answer in a packet, one that does not fit and comes over TCP, and none. */
Test(sandbox, resolves_names)
{
    struct dns_server *dns = dns_start(gate.dns_address, NAME);
    int upstream = tcp_listen(gate.upstream_address, PORT, 8);
    char options[128];

    (void)snprintf(options, sizeof options,
                   "\"sandbox\": \"required\", \"dns_servers\": [\"%s:%d\"]", gate.dns_address,
                   DNS_PORT);
    gate_run(&gate, NAME, PORT, options);
    dns_set(dns, &(struct dns_answer){.result = DNS_SERVER_FAILURE});
    int client = tcp_connect(gate.address, PORT);
    CLEANUP_FREE char *told = ssh_read_disconnect(client);
    expect_part(told, NAME);
    cr_assert_eq(close(client), 0);
    for (int i = 0; i < 2; i++) {
        dns_set(dns, &(struct dns_answer){.a = gate.upstream_address, .truncated = i == 1});
        struct tcp_pair pair = tcp_through(gate.address, PORT, upstream);
        tcp_close(&pair);
    }
    cr_expect_gt(dns_count_tcp_questions(dns), 0);
    cr_expect_eq(gate_count_events(&gate, "sandbox-incomplete"), 0);
    gate_stop(&gate);
    dns_stop(dns);
    cr_assert_eq(close(upstream), 0);
}

static struct sockaddr_in endpoint(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    cr_assert_eq(inet_pton(AF_INET, gate.upstream_address, &address.sin_addr), 1);
    return address;
}

/* Nothing listens on either port, and what the relay may not even try fails otherwise. */
Test(sandbox, connects_to_declared_ports_only)
{
    const struct call make = {"socket", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0},
                              0,        NULL,       0};
    const struct {
        uint16_t port;
        long expected;
    } rows[] = {{OTHER_PORT, -EACCES}, {22, -EACCES}, {PORT, -ECONNREFUSED}};

    need_root();
    run_gate();
    const struct user_regs_struct stopped = seize();
    for (size_t i = 0; i < ROWS(rows); i++) {
        const struct sockaddr_in address = endpoint(rows[i].port);
        long fd = inject(&stopped, &make);
        cr_assert_geq(fd, 0);
        const struct call connect_call = {
            "connect", SYS_connect, {(unsigned long)fd, 0, sizeof address},
            2,         &address,    sizeof address};
        cr_expect_eq(inject(&stopped, &connect_call), rows[i].expected, "port %u", rows[i].port);
    }
    release(&stopped);
    cr_expect_eq(tcp_connect_error(gate.address, PORT), 0, "the relay does not go on");
}

/* A line of /proc/PID/FILE; only root may read it of a process that is not dumpable. */
static void expect_line(const char *file, const char *expected)
{
    char path[64], line[256];
    bool found = false;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)gate.relay, file);
    FILE *stream = fopen(path, "re");
    cr_assert_not_null(stream);
    while (!found && fgets(line, sizeof line, stream))
        found = strncmp(line, expected, strlen(expected)) == 0;
    cr_assert_eq(fclose(stream), 0);
    cr_expect(found, "%s has no line that begins with \"%s\"", path, expected);
}

Test(sandbox, has_no_privileges_left)
{
    need_root();
    run_gate();
    expect_line("status", "NoNewPrivs:\t1");
    expect_line("status", "Seccomp:\t2");
    expect_line("status", "CapInh:\t0000000000000000");
    expect_line("status", "CapPrm:\t0000000000000000");
    expect_line("status", "CapEff:\t0000000000000000");
    expect_line("status", "CapBnd:\t0000000000000000");
    expect_line("status", "CapAmb:\t0000000000000000");
    expect_line("limits", "Max core file size        0                    0 ");
    expect_line("limits", "Max processes             0                    0 ");
    expect_line("limits", "Max locked memory         0                    0 ");
}

/* ---- an older kernel ---- */

static const char *start_without_landlock(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;

    (void)parent_fd;
    (void)context;
    if (!hide_system_call(SCMP_SYS(landlock_create_ruleset)))
        return child_failure("seccomp: %s", strerror(errno));
    enum bottle_result result = gate_try_start(&gate, "{\"sandbox\": \"required\"}", &message);
    if (result != BOTTLE_UNAVAILABLE || !message || !strstr(message, "Landlock"))
        return child_failure("required: result %d, message %s", (int)result,
                             message ? message : "none");
    if (gate_try_start(&gate, "{\"sandbox\": \"best-effort\"}", NULL) != BOTTLE_OK)
        return child_failure("best-effort does not start");
    return NULL;
}

Test(sandbox, says_what_the_system_lacks)
{
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};

    gate_prepare(&gate, &entry, 1);
    child_run(start_without_landlock, NULL);
    CLEANUP_JSON json_object *event = gate_event(&gate, "sandbox-incomplete", 0);
    expect_part(member_text(event, "message"), "Landlock");

    char target[64];
    (void)snprintf(target, sizeof target, "native:%s", gate.slug);
    cr_expect_eq(gate_try_stop(&gate, target), BOTTLE_OK);
}

Test(sandbox, refuses_another_value)
{
    CLEANUP_FREE char *message = NULL;
    const struct gate_entry entry = {"upstream", gate.upstream_address, PORT};

    gate_prepare(&gate, &entry, 1);
    cr_expect_eq(gate_try_start(&gate, "{\"sandbox\": \"none\"}", &message), BOTTLE_INVALID);
    expect_part(message, "\"required\" or \"best-effort\"");
}
