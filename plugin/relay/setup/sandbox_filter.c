/* SPDX-License-Identifier: MIT */
/*
 * sandbox_filter.c: the system calls that the relay may make, as a filter of seccomp(2).
 *
 * A program that runs while the relay is built: it prints the filter that libseccomp makes of the tables
 * below, and sandbox.c takes it in.  So the relay begins sooner, and has no part that makes filters in the
 * process that a peer may attack.
 *
 *     sandbox_filter filter [MACHINE]      the instructions, for a table of struct sock_filter
 *     sandbox_filter opener [MACHINE]      those for the process of dns_opener.c, which is killed at all else
 *     sandbox_filter names [MACHINE]       the names of the system calls, in the order of their numbers, each
 *                                          ended by a zero; for a table of char.  A number without a call has
 *                                          an empty name
 *     sandbox_filter constants             a C source that compiles only for a machine type whose constants
 *                                          are those that the filters were made with
 *
 * MACHINE is the type of the machine that the relay is built for, such as aarch64 (seccomp_arch_resolve_name(3));
 * without it, the one that this program is built for.  libseccomp translates the numbers of the calls, but not
 * the values of their arguments nor of errno, so a build for another type compiles the constants too.
 *
 * A call has one of four outcomes:
 *
 *   allowed   what the loop needs (ALLOWED), and nothing that libraries might just like to have
 *   refused   with an errno value (REFUSED): what a library may call, in some version of it, without harm
 *             to anybody, and without need: it looks around, or knows a way without the call.  Where it
 *             needs the call after all, a name is not resolved; the connections that there are go on
 *   trapped   everything else.  The kernel raises SIGSYS; sandbox.c logs the call, and the relay ends
 *   killed    a call of another machine type (32 bits, x32): only somebody who has taken over the process
 *             makes it, and its number would be taken for another call's
 *
 * tests/sandbox_calls.py compares ALLOWED and OPENER_CALLS with what the code calls, in both directions.
 * A call that a library needs in a new version is found by the tests, which run the whole relay behind the
 * filter, or by the event `sandbox-violation`.
 */
#include "relay/dial/dns_file_flags.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Everything that the loop calls, and what it is for. */
static const int ALLOWED[] = {
    /* the loop and its clocks */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(restart_syscall), /* of epoll_wait(2), after the process was stopped and goes on */
    /* in a container: for the word to take over; and when a start failed, which closes all */
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(close_range),
    /* connections: accepting, dialling, moving bytes, ending; socket(2) has rules of its own */
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg), /* questions of DNS; the listening sockets, to a relay that takes over */
    SCMP_SYS(recvmsg), /* the files that dns_opener.c opens */
    SCMP_SYS(splice),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    /* pipes */
    SCMP_SYS(pipe2),
    SCMP_SYS(fcntl),
    /* DNS: c-ares reads and writes TCP this way, asks for random numbers, and since 1.34 for its own
       address, without which it takes the server for unreachable */
    SCMP_SYS(read),
    SCMP_SYS(writev),
    SCMP_SYS(getrandom),
    SCMP_SYS(getsockname),
    /* event lines, the bound on their file, and the files that the resolver follows */
    SCMP_SYS(write),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), /* how the C library spells fstat */
    /* memory; mmap(2) has rules of its own */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    /* status names the process; ending, after the process of dns_opener.c has */
    SCMP_SYS(getpid),
    SCMP_SYS(wait4),
    SCMP_SYS(exit_group),
};

#define NUMBERS 600 /* of system calls; there are fewer */

struct refusal {
    int call, error;
};

/*
 * What a library may call without harm, and what it hears.  Those that are not of every machine type have
 * no place in its filter (libseccomp leaves them out).
 */
static const struct refusal REFUSED[] = {
    /* Files, as under Landlock: a time zone, /etc/localtime, /dev/urandom, /proc/sys, NSS */
    {SCMP_SYS(open), EACCES},
    {SCMP_SYS(openat), EACCES},
    {SCMP_SYS(stat), EACCES},
    {SCMP_SYS(lstat), EACCES},
    {SCMP_SYS(access), EACCES},
    {SCMP_SYS(faccessat), EACCES},
    {SCMP_SYS(readlink), EACCES},
    {SCMP_SYS(readlinkat), EACCES},
    {SCMP_SYS(getcwd), EACCES},
    {SCMP_SYS(statfs), EACCES},
    {SCMP_SYS(fstatfs), EACCES},
    {SCMP_SYS(openat2), ENOSYS}, /* of these the C library knows older forms */
    {SCMP_SYS(statx), ENOSYS},
    {SCMP_SYS(faccessat2), ENOSYS},
    /* Standard I/O asks whether a descriptor is a terminal, others what waits in it */
    {SCMP_SYS(lseek), ESPIPE}, /* ioctl(2) has rules of its own */
    /* Who and what it is; the relay uses none of it */
    {SCMP_SYS(getuid), EPERM},
    {SCMP_SYS(geteuid), EPERM},
    {SCMP_SYS(getgid), EPERM},
    {SCMP_SYS(getegid), EPERM},
    {SCMP_SYS(getresuid), EPERM},
    {SCMP_SYS(getresgid), EPERM},
    {SCMP_SYS(getgroups), EPERM},
    {SCMP_SYS(getppid), EPERM},
    {SCMP_SYS(gettid), EPERM},
    {SCMP_SYS(getpeername), EPERM},
    {SCMP_SYS(uname), EPERM},
    /* How large the machine is: malloc(3) asks before it makes an arena, qsort(3), sysconf(3) */
    {SCMP_SYS(sysinfo), EPERM},
    {SCMP_SYS(sched_getaffinity), EPERM},
    {SCMP_SYS(getcpu), EPERM},
    {SCMP_SYS(getrlimit), EPERM},
    {SCMP_SYS(prlimit64), EPERM},
    {SCMP_SYS(getrusage), EPERM},
    {SCMP_SYS(times), EPERM},
    {SCMP_SYS(clock_getres), EPERM},
    /* Waiting: nothing in the relay may wait but the loop */
    {SCMP_SYS(nanosleep), EPERM},
    {SCMP_SYS(clock_nanosleep), EPERM},
    {SCMP_SYS(sched_yield), EPERM},
    {SCMP_SYS(poll), EPERM},
    {SCMP_SYS(ppoll), EPERM},
    {SCMP_SYS(select), EPERM},
    {SCMP_SYS(pselect6), EPERM},
    /* The process's own settings: names of memory and threads, signals.  abort(3) calls the last few, and
       ends the process without them as well */
    {SCMP_SYS(prctl), EPERM},
    {SCMP_SYS(arch_prctl), EPERM},
    {SCMP_SYS(rseq), ENOSYS},
    {SCMP_SYS(set_robust_list), ENOSYS},
    {SCMP_SYS(membarrier), ENOSYS},
    {SCMP_SYS(mlock), EPERM},
    {SCMP_SYS(munlock), EPERM},
    {SCMP_SYS(sigaltstack), EPERM},
    {SCMP_SYS(rt_sigaction), EPERM},
    {SCMP_SYS(rt_sigprocmask), EPERM},
    {SCMP_SYS(tkill), EPERM},
    {SCMP_SYS(tgkill), EPERM},
    /* Other ways to do what ALLOWED has a call for */
    {SCMP_SYS(readv), ENOSYS},
    {SCMP_SYS(recvmmsg), ENOSYS},
    {SCMP_SYS(sendmmsg), ENOSYS},
    {SCMP_SYS(epoll_create1), ENOSYS},
    {SCMP_SYS(epoll_pwait2), ENOSYS},
    {SCMP_SYS(eventfd2), ENOSYS},
    {SCMP_SYS(timerfd_create), ENOSYS},
    {SCMP_SYS(inotify_init1), ENOSYS},
};

/* What the process of dns_opener.c calls; openat(2) has a rule of its own. */
static const int OPENER_CALLS[] = {
    SCMP_SYS(recvfrom),      SCMP_SYS(sendmsg), SCMP_SYS(fstat),           SCMP_SYS(newfstatat),
    SCMP_SYS(clock_gettime), SCMP_SYS(close),   SCMP_SYS(restart_syscall), SCMP_SYS(exit_group),
};

static bool allow(scmp_filter_ctx filter, int call)
{
    return !seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}

static bool add_tables(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof ALLOWED / sizeof ALLOWED[0]; i++)
        if (!allow(filter, ALLOWED[i]))
            return false;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned int)REFUSED[i].error),
                             REFUSED[i].call, 0))
            return false;
    return true;
}

/* TCP and UDP over IP, nothing else.  A library that asks for interfaces (netlink) or for a system
   service (unix) hears that there are none; raw, packet and vsock sockets are no library's. */
static bool add_socket_rules(scmp_filter_ctx filter)
{
    static const unsigned int IP_FAMILIES[] = {AF_INET, AF_INET6},
                              TYPES[] = {SOCK_STREAM, SOCK_DGRAM},
                              LOCAL_FAMILIES[] = {AF_UNIX, AF_NETLINK};
    const scmp_datum_t type_mask = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                 SCMP_A0(SCMP_CMP_EQ, IP_FAMILIES[i], 0),
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, TYPES[j])))
                return false;
    for (size_t i = 0; i < 2; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                             SCMP_A0(SCMP_CMP_EQ, LOCAL_FAMILIES[i], 0)))
            return false;
    return true;
}

/* Memory that holds data cannot become code.  malloc(3) that finds no memory tries to open another arena
   with mprotect(2). */
static bool add_memory_rules(scmp_filter_ctx filter)
{
    return !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
           !seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOMEM), SCMP_SYS(mprotect), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* pthread_once(3) wakes others without asking whether there are any: there are none, which is what 0
   says.  To wait for one is to wait for ever, so it is trapped. */
static bool add_futex_rule(scmp_filter_ctx filter)
{
    return !seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), SCMP_SYS(futex), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, (uint32_t)FUTEX_CMD_MASK, FUTEX_WAKE));
}

/* The number of an interface, for the zone of a DNS server; standard I/O asks whether a descriptor is a
   terminal. */
static bool add_ioctl_rules(scmp_filter_ctx filter)
{
    return !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, SIOCGIFINDEX, 0)) &&
           !seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_NE, SIOCGIFINDEX, 0));
}

static bool add_relay_rules(scmp_filter_ctx filter)
{
    return add_tables(filter) && add_socket_rules(filter) && add_memory_rules(filter) &&
           add_futex_rule(filter) && add_ioctl_rules(filter);
}

static bool add_opener_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof OPENER_CALLS / sizeof OPENER_CALLS[0]; i++)
        if (!allow(filter, OPENER_CALLS[i]))
            return false;
    return !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_EQ, DNS_FILE_FLAGS, 0));
}

static bool print_instructions(FILE *program)
{
    struct sock_filter instruction;

    while (fread(&instruction, sizeof instruction, 1, program) == 1)
        if (printf("{%#x, %u, %u, %#x},\n", instruction.code, instruction.jt, instruction.jf,
                   instruction.k) < 0)
            return false;
    return feof(program);
}

/* Makes the filter one for the machine in place of the one for this program's. */
static bool set_machine(scmp_filter_ctx filter, uint32_t machine)
{
    return machine == seccomp_arch_native() ||
           (!seccomp_arch_add(filter, machine) &&
            !seccomp_arch_remove(filter, seccomp_arch_native()));
}

/* other: for a call of no rule. */
static bool print_filter(uint32_t machine, uint32_t other,
                         bool (*add_rules)(scmp_filter_ctx filter))
{
    /* What the filter is must not depend on the kernel that it is built on. */
    scmp_filter_ctx filter = seccomp_api_set(3) ? NULL : seccomp_init(other);
    FILE *program = tmpfile();
    bool printed =
        filter && program && set_machine(filter, machine) &&
        !seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) &&
        /* A tree, so that each call takes few comparisons where the kernel keeps no cache (before 5.11). */
        !seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) && add_rules(filter) &&
        !seccomp_export_bpf(filter, fileno(program)) && !fseek(program, 0, SEEK_SET) &&
        print_instructions(program);

    seccomp_release(filter);
    if (program && fclose(program))
        return false;
    return printed;
}

static bool print_names(uint32_t machine)
{
    for (int number = 0; number < NUMBERS; number++) {
        char *name = seccomp_syscall_resolve_num_arch(machine, number);
        for (const char *letter = name; letter && *letter; letter++)
            (void)printf("'%c', ", *letter); /* main() asks ferror(3) */
        (void)puts("0,");
        free(name);
    }
    return true;
}

#define CONSTANT(name)                                                                             \
    {                                                                                              \
#name, (unsigned int)(name)                                                                \
    }

static bool print_constants(void)
{
    static const struct {
        const char *name;
        unsigned int value;
    } CONSTANTS[] = {
        CONSTANT(DNS_FILE_FLAGS), CONSTANT(EACCES),       CONSTANT(EAFNOSUPPORT),
        CONSTANT(ENOMEM),         CONSTANT(ENOSYS),       CONSTANT(ENOTTY),
        CONSTANT(EPERM),          CONSTANT(ESPIPE),       CONSTANT(AF_INET),
        CONSTANT(AF_INET6),       CONSTANT(AF_NETLINK),   CONSTANT(AF_UNIX),
        CONSTANT(SOCK_CLOEXEC),   CONSTANT(SOCK_DGRAM),   CONSTANT(SOCK_NONBLOCK),
        CONSTANT(SOCK_STREAM),    CONSTANT(FUTEX_WAKE),   CONSTANT(FUTEX_CMD_MASK),
        CONSTANT(PROT_EXEC),      CONSTANT(SIOCGIFINDEX),
    };

    (void)puts("#include \"relay/dial/dns_file_flags.h\"\n#include <errno.h>\n"
               "#include <linux/futex.h>\n#include <sys/ioctl.h>\n#include <sys/mman.h>\n"
               "#include <sys/socket.h>");
    for (size_t i = 0; i < sizeof CONSTANTS / sizeof CONSTANTS[0]; i++)
        (void)printf("_Static_assert((unsigned int)(%s) == %#xU, \"%s\");\n", CONSTANTS[i].name,
                     CONSTANTS[i].value, CONSTANTS[i].name);
    return true;
}

int main(int count, char **arguments)
{
    const char *what = count == 2 || count == 3 ? arguments[1] : "";
    const char *machine_name = count == 3 ? arguments[2] : NULL;
    uint32_t machine =
        machine_name ? seccomp_arch_resolve_name(machine_name) : seccomp_arch_native();
    bool printed = false;

    if (!machine) {
        (void)fprintf(stderr, "sandbox_filter: libseccomp knows no machine type \"%s\"\n",
                      machine_name);
        return EXIT_FAILURE;
    }
    if (strcmp(what, "filter") == 0)
        printed = print_filter(machine, SCMP_ACT_TRAP, add_relay_rules);
    else if (strcmp(what, "opener") == 0)
        printed = print_filter(machine, SCMP_ACT_KILL_PROCESS, add_opener_rules);
    else if (strcmp(what, "names") == 0)
        printed = print_names(machine);
    else if (strcmp(what, "constants") == 0)
        printed = print_constants();
    if (!printed || fflush(stdout) || ferror(stdout)) {
        (void)fputs(
            "sandbox_filter: libseccomp makes no filter of these system calls, or no names\n",
            stderr);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
