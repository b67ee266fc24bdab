/* SPDX-License-Identifier: MIT */
/*
 * detached.c: see detached.h.
 *
 * The host may be any program, with threads, signal handlers and children of its own.  So processes are made
 * with clone(2) in the manner of vfork(2), which copies none of the host's memory and runs none of its
 * code, and twice: the first child makes the second and exits; the second executes the program, and init or
 * a subreaper becomes its parent.  The first child has no exit signal and executes no program.  So the
 * host gets no SIGCHLD, its calls of wait(2) do not see the child, and the child can be reaped here even
 * if the host ignores SIGCHLD (wait(2), __WCLONE).  All signals are blocked while memory is shared, until
 * the second child has reset the host's handlers.
 *
 * The children report success or failure over a socket; the first also passes the second's pidfd.  Shared
 * memory or descriptors would be simpler, but valgrind accepts only the flags of clone(2) that vfork(2) uses,
 * and turns the call into fork(2).  Under valgrind the first child cannot see whether the program was
 * executed; if not, the host gets a process that ends at once.
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

#define SIGNAL_SET_SIZE (_NSIG / 8) /* of the kernel's signal set */

struct child {
    struct detached program; /* with descriptors above those that the child sets up */
    int ours, theirs;        /* the ends of the socket, above those, too */
    char fd_path
        [32]; /* /proc/self/fd/N of program_fd, as valgrind looks the file up by its original name */
    char *stack; /* for both children, CHILD_STACK_SIZE each */
};

/*
 * clone(2) by the C library's internal name.  ThreadSanitizer replaces the usual name with a function that prepares
 * for fork(2), which would break the host's memory, as it is shared here.
 */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the C library's name */
extern __typeof__(clone) __clone;

/*
 * The two children run in the host's memory, so they only make system calls, and by number: a sanitizer or
 * a preloaded library may replace the functions of the C library.
 */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined", "thread")))

IN_CHILD static bool set_up_descriptors(const struct detached *program)
{
    for (size_t i = 0; i < program->fd_count; i++) {
        if (syscall(SYS_dup3, program->fds[i], i, 0) != (long)i)
            return false;
    }
    /* Linux 5.11.  On older kernels the program inherits all descriptors without CLOEXEC. */
    (void)syscall(SYS_close_range, program->fd_count, ~0U, CLOSE_RANGE_CLOEXEC);
    return true;
}

/* Setting the action of SIGKILL and SIGSTOP fails, but they have the default action anyway. */
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

/* Runs in the first child.  If the second one fails, it is reaped here, so that no other process has to. */
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
        *process_fd = fds[0]; /* sent together with 0 */
    return error;
}

/* Returns 0 if the program runs, otherwise an errno value. */
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

    if (copy < 0 && errno == EINVAL) /* RLIMIT_NOFILE is lower than DETACHED_MAX_FDS */
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
