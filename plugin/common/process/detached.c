/* SPDX-License-Identifier: MIT */
/*
 * detached.c: from a program to a process.
 *
 * The host may be any program, with threads, handlers and children of its own.  So the process
 * comes from clone(2) as vfork(2) does it, without a copy of the host's memory and without running
 * a line of the host's code, twice over: the first child makes the second, which becomes the
 * program, and ends; the program is then nobody's child.  The first child has no exit signal and runs
 * no new program, so no SIGCHLD reaches the host, its wait() calls do not see the child, and
 * ignoring SIGCHLD does not take it away from us (wait(2), __WCLONE).  All signals are blocked
 * while memory is shared, until the second child has none of the host's handlers left.
 *
 * The children say how it went over a socket, the first with the second's process descriptor.  Shared memory
 * or descriptors would be simpler, but valgrind, under which hosts are developed, takes no flags of clone(2)
 * but those of vfork(2), and makes them a fork(2).  There the first child does not see whether the program
 * could be run: the host finds a process that ends at once.
 */
#include "common/process/detached.h"

#include "common/cleanup.h"
#include "common/process/fd_passing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define CHILD_STACK_SIZE ((size_t)64 << 10)
/* execveat fails with ETXTBSY while a child that another thread forked still holds the file for
 * writing. */
#define BUSY_RETRIES 50
#define BUSY_WAIT_NS 2000000

#define SIGNAL_SET_SIZE (_NSIG / 8) /* as the kernel has it */

struct child {
    struct detached program; /* whose descriptors are above those that the child sets up */
    int ours, theirs;        /* the socket's ends, above those as well */
    char fd_path[32];        /* of program_fd: valgrind looks for a file of the name that it had */
    char *stack;             /* two, of CHILD_STACK_SIZE each */
};

/*
 * clone(2) by its other name: under the usual one ThreadSanitizer has a function of its own, which makes
 * ready for a fork(2), in memory that here stays the host's.
 */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the C library's name */
extern __typeof__(clone) __clone;

/*
 * The two children run on stacks of their own, in the host's memory: system calls only.  Nor by their
 * names, under which a sanitizer or a preloaded library may have functions of its own.
 */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

IN_CHILD static bool set_up_descriptors(const struct detached *program)
{
    for (size_t i = 0; i < program->fd_count; i++) {
        if (syscall(SYS_dup3, program->fds[i], i, 0) != (long)i)
            return false;
    }
    /* Linux 5.11; before that, what is not CLOEXEC here is the program's too. */
    (void)syscall(SYS_close_range, program->fd_count, ~0U, CLOSE_RANGE_CLOEXEC);
    return true;
}

/* Those that cannot have another action have the default one. */
IN_CHILD static bool reset_signals(void)
{
    static const unsigned long NONE[16] = {0}; /* SIG_DFL, and an empty set */

    for (int number = 1; number < _NSIG; number++)
        (void)syscall(SYS_rt_sigaction, number, NONE, NULL, SIGNAL_SET_SIZE);
    return syscall(SYS_rt_sigprocmask, SIG_SETMASK, NONE, NULL, SIGNAL_SET_SIZE) == 0;
}

IN_CHILD __attribute__((noreturn)) static void leave(void)
{
    for (;;)
        (void)syscall(SYS_exit_group, 0);
}

/* process_fd: -1: none */
IN_CHILD static bool report(int socket_fd, int error, int process_fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec data = {.iov_base = &error, .iov_len = sizeof error};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (process_fd >= 0) {
        *(int *)(void *)CMSG_DATA(&control.header) = process_fd;
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
    }
    return syscall(SYS_sendmsg, socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
}

IN_CHILD static int become_program(void *argument)
{
    const struct child *child = argument;
    const struct detached *program = &child->program;

    if (set_up_descriptors(program) && syscall(SYS_setsid) > 0 && syscall(SYS_chdir, "/") == 0 &&
        reset_signals()) {
        (void)syscall(SYS_execveat, program->program_fd, program->path, program->arguments,
                      program->environment, AT_EMPTY_PATH);
        if (errno == ENOENT && program->program_fd >= 0)
            (void)syscall(SYS_execve, child->fd_path, program->arguments, program->environment);
    }
    (void)report(child->theirs, errno, -1);
    leave();
}

/* Whether become_program has reported. */
IN_CHILD static bool has_failed(const struct child *child)
{
    int error;

    return syscall(SYS_recvfrom, child->ours, &error, sizeof error, MSG_PEEK | MSG_DONTWAIT, NULL,
                   NULL) > 0;
}

/* What has failed is reaped here, so that it falls to nobody else. */
IN_CHILD static int make_program(void *argument)
{
    const struct child *child = argument;
    int process_fd = -1;
    int pid = __clone(become_program, child->stack + CHILD_STACK_SIZE,
                      CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, argument, &process_fd);
    int error = pid < 0 ? errno : 0;
    bool failed = pid > 0 && has_failed(child);

    if (pid > 0 && !failed && !report(child->theirs, 0, process_fd)) {
        error = errno;
        (void)syscall(SYS_kill, pid, SIGKILL);
    }
    if (error)
        (void)report(child->theirs, error, -1);
    if (failed || (pid > 0 && error))
        (void)syscall(SYS_wait4, pid, NULL, 0, NULL);
    leave();
}

/* Returns 0 and the program's process descriptor, or an errno value. */
static int receive_process(int socket_fd, int *process_fd)
{
    int fds[FD_PASSING_MAX], error;
    size_t count;
    ssize_t received = receive_with_fds(socket_fd, &error, sizeof error, fds, &count);

    if (received != (ssize_t)sizeof error)
        return received < 0 && errno != EAGAIN ? errno : ECHILD;
    if (error == 0)
        *process_fd = fds[0]; /* there is one with it */
    return error;
}

/* Returns 0 when the program runs, else an errno value. */
static int run_once(struct child *child, int *process_fd)
{
    sigset_t all, before;

    child->stack = mmap(NULL, 2 * CHILD_STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (child->stack == MAP_FAILED)
        return errno;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid =
        __clone(make_program, child->stack + 2 * CHILD_STACK_SIZE, CLONE_VM | CLONE_VFORK, child);
    int error = pid < 0 ? errno : 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (pid > 0 && waitpid(pid, NULL, (int)__WCLONE) < 0 && errno == EINTR)
        ;
    (void)munmap(child->stack, 2 * CHILD_STACK_SIZE);
    return error ? error : receive_process(child->ours, process_fd);
}

static int run(struct child *child, int *process_fd)
{
    int error = run_once(child, process_fd);

    for (int i = 0; error == ETXTBSY && i < BUSY_RETRIES; i++) {
        const struct timespec wait = {.tv_nsec = BUSY_WAIT_NS};
        (void)nanosleep(&wait, NULL);
        error = run_once(child, process_fd);
    }
    return error;
}

/* A copy above the descriptors that the child sets up, so that none overwrites another. */
static int high_copy(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, DETACHED_MAX_FDS);

    if (copy < 0 && errno == EINVAL) /* the limit of descriptors is not even that high */
        errno = EMFILE;
    return copy;
}

static void close_child(const struct child *child)
{
    for (size_t i = 0; i < child->program.fd_count; i++)
        cleanup_fd(&child->program.fds[i]);
    cleanup_fd(&child->program.program_fd);
    cleanup_fd(&child->ours);
    cleanup_fd(&child->theirs);
}
#define CLEANUP_CHILD __attribute__((cleanup(close_child)))

static bool make_socket(struct child *child)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair))
        return false;
    child->ours = high_copy(pair[0]);
    child->theirs = child->ours < 0 ? -1 : high_copy(pair[1]);
    int error = errno;
    (void)close(pair[0]);
    (void)close(pair[1]);
    errno = error;
    return child->theirs >= 0;
}

int detached_run(const struct detached *program, int *process_fd)
{
    CLEANUP_CHILD struct child child = {.program = *program, .ours = -1, .theirs = -1};
    struct detached *high = &child.program;

    high->program_fd = -1;
    for (high->fd_count = 0; high->fd_count < program->fd_count; high->fd_count++) {
        int fd = high_copy(program->fds[high->fd_count]);
        if (fd < 0)
            return errno;
        high->fds[high->fd_count] = fd;
    }
    if (program->program_fd >= 0)
        high->program_fd = high_copy(program->program_fd);
    if ((program->program_fd >= 0 && high->program_fd < 0) || !make_socket(&child))
        return errno;
    (void)snprintf(child.fd_path, sizeof child.fd_path, "/proc/self/fd/%d", high->program_fd);
    return run(&child, process_fd);
}
