/* SPDX-License-Identifier: MIT */
/*
 * sandbox_filter.c: the system calls that the relay may make, as a filter of seccomp(2).
 *
 * A program that runs while the relay is built: it prints the filter that libseccomp makes of the tables
 * below, and sandbox.c takes it in.  So the relay begins sooner, and has no part that makes filters in the
 * process that a peer may attack.  The filter is for the machine type that it is built on.
 */
#include <linux/filter.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* Everything that the loop calls, and what it is for. */
static const int SYSTEM_CALLS[] = {
    /* the loop and its clocks */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigreturn),
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
    SCMP_SYS(sendmsg), /* the listening sockets, to a relay that takes over */
    SCMP_SYS(splice),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    /* pipes */
    SCMP_SYS(pipe2),
    SCMP_SYS(fcntl),
    /* DNS: c-ares reads and writes TCP this way, and asks for random numbers */
    SCMP_SYS(read),
    SCMP_SYS(writev),
    SCMP_SYS(getrandom),
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
    /* status names the process; ending */
    SCMP_SYS(getpid),
    SCMP_SYS(exit_group),
};

/* TCP and UDP over IP, nothing else: no raw, packet, netlink, unix or vsock sockets. */
static bool allow_sockets(scmp_filter_ctx filter)
{
    static const unsigned int FAMILIES[] = {AF_INET, AF_INET6}, TYPES[] = {SOCK_STREAM, SOCK_DGRAM};
    const scmp_datum_t type_mask = ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);

    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                 SCMP_A0(SCMP_CMP_EQ, FAMILIES[i], 0),
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, TYPES[j])))
                return false;
    return true;
}

static bool add_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof SYSTEM_CALLS / sizeof SYSTEM_CALLS[0]; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYSTEM_CALLS[i], 0))
            return false;
    /* Memory that holds data cannot become code. */
    return !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
           allow_sockets(filter);
}

static bool print_filter(FILE *program)
{
    struct sock_filter instruction;

    while (fread(&instruction, sizeof instruction, 1, program) == 1)
        if (printf("{%#x, %u, %u, %#x},\n", instruction.code, instruction.jt, instruction.jf,
                   instruction.k) < 0)
            return false;
    return feof(program) && !fflush(stdout);
}

int main(void)
{
    /* What the filter is must not depend on the kernel that it is built on. */
    scmp_filter_ctx filter = seccomp_api_set(3) ? NULL : seccomp_init(SCMP_ACT_KILL_PROCESS);
    FILE *program = tmpfile();

    if (!filter || !program || !add_rules(filter) || seccomp_export_bpf(filter, fileno(program)) ||
        fseek(program, 0, SEEK_SET) || !print_filter(program)) {
        (void)fputs("sandbox_filter: libseccomp makes no filter of these system calls\n", stderr);
        return EXIT_FAILURE;
    }
    seccomp_release(filter);
    return fclose(program) ? EXIT_FAILURE : EXIT_SUCCESS;
}
