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
 * while memory is shared, until the second child has none of the host's handlers left.  So are
 * descriptors with the first child, not with the second, which is how the second's process descriptor
 * comes to the host.
 */
#include "detached.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
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
    int process_fd;          /* out: the second child */
    char *stack;             /* two, of CHILD_STACK_SIZE each */
    int error;
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

IN_CHILD static int become_program(void *argument)
{
    struct child *child = argument;
    const struct detached *program = &child->program;

    if (set_up_descriptors(program) && syscall(SYS_setsid) > 0 && syscall(SYS_chdir, "/") == 0 &&
        reset_signals())
        (void)syscall(SYS_execveat, program->program_fd, program->path, program->arguments,
                      program->environment, AT_EMPTY_PATH);
    child->error = errno;
    leave();
}

IN_CHILD static int make_program(void *argument)
{
    struct child *child = argument;

    if (__clone(become_program, child->stack + CHILD_STACK_SIZE,
                CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &child->process_fd) < 0)
        child->error = errno;
    leave();
}

/* Returns 0 when the program runs, else an errno value. */
static int run_once(struct child *child)
{
    sigset_t all, before;

    child->stack = mmap(NULL, 2 * CHILD_STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (child->stack == MAP_FAILED)
        return errno;
    child->error = 0;
    child->process_fd = -1;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = __clone(make_program, child->stack + 2 * CHILD_STACK_SIZE,
                        CLONE_VM | CLONE_VFORK | CLONE_FILES, child);
    int error = pid < 0 ? errno : child->error;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)munmap(child->stack, 2 * CHILD_STACK_SIZE);
    while (pid > 0 && waitpid(pid, NULL, (int)__WCLONE) < 0 && errno == EINTR)
        ;
    if (error)
        cleanup_fd(&child->process_fd);
    return error;
}

static int run(struct child *child)
{
    int error = run_once(child);

    for (int i = 0; error == ETXTBSY && i < BUSY_RETRIES; i++) {
        const struct timespec wait = {.tv_nsec = BUSY_WAIT_NS};
        (void)nanosleep(&wait, NULL);
        error = run_once(child);
    }
    return error;
}

/* Above the descriptors that the child sets up, so that none overwrites another. */
static bool move_high(int *fd)
{
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, DETACHED_MAX_FDS);
    return *fd >= 0;
}

int detached_run(const struct detached *program, int *process_fd)
{
    struct child child = {.program = *program};
    struct detached *high = &child.program;
    size_t moved = 0;

    while (moved < high->fd_count && move_high(&high->fds[moved]))
        moved++;
    bool ready = moved == high->fd_count && (high->program_fd < 0 || move_high(&high->program_fd));
    int error = ready ? run(&child) : errno;
    if (ready)
        cleanup_fd(&high->program_fd);
    while (moved > 0)
        cleanup_fd(&high->fds[--moved]);
    if (!error)
        *process_fd = child.process_fd;
    return error;
}
