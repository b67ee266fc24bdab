/* SPDX-License-Identifier: MIT */
/*
 * relay_process.c: from the bytes in the plugin to a process.
 *
 * The image goes into a memfd that is sealed before it runs, so that nobody can change it; where
 * running from memory is forbidden (sysctl vm.memfd_noexec, a seccomp filter), into a file in the
 * stage directory that is unlinked before it runs.
 *
 * The host may be any program, with threads, handlers and children of its own.  So the process
 * comes from clone(2) as vfork(2) does it, without a copy of the host's memory and without running
 * a line of the host's code, twice over: the first child makes the second, which becomes the
 * relay, and ends; the relay is then nobody's child.  The first child has no exit signal and runs
 * no new program, so no SIGCHLD reaches the host, its wait() calls do not see the child, and
 * ignoring SIGCHLD does not take it away from us (wait(2), __WCLONE).  All signals are blocked
 * while memory is shared.  So are descriptors with the first child, not with the second, which is how
 * the second's process descriptor comes to the host.
 */
#include "relay_process.h"

#include "common/cleanup.h"
#include "common/wait.h"
#include "relay/protocol.h"
#include "relay_image.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

#define IMAGE_NAME       "ssh_gate_relay"
#define CHILD_STACK_SIZE ((size_t)64 << 10)
/* execveat fails with ETXTBSY while a child that another thread forked still holds the file for
 * writing. */
#define BUSY_RETRIES 50
#define BUSY_WAIT_NS 2000000

struct child {
    int image_fd, null_fd, event_log_fd, setup_fd;
    int process_fd; /* out: the second child */
    const char *slug;
    char *stack; /* two, of CHILD_STACK_SIZE each */
    int error;
};

static bool write_image(int fd)
{
    const unsigned char *at = relay_image;

    while (at < relay_image_end) {
        ssize_t written = write(fd, at, (size_t)(relay_image_end - at));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
    }
    return true;
}

static int open_image_in_memory(void)
{
    CLEANUP_FD int fd = memfd_create(IMAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(IMAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || !write_image(fd) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        return -1;
    return steal_fd(&fd);
}

static int open_image_in_file(int stage_fd)
{
    CLEANUP_FD int written =
        openat(stage_fd, IMAGE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

    if (written < 0)
        return -1;
    CLEANUP_FD int fd =
        write_image(written) ? openat(stage_fd, IMAGE_NAME, O_RDONLY | O_CLOEXEC) : -1;
    int error = errno;
    if (unlinkat(stage_fd, IMAGE_NAME, 0))
        return -1;
    errno = error;
    return steal_fd(&fd);
}

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

IN_CHILD static bool put_at(int fd, int number)
{
    return syscall(SYS_dup3, fd, number, 0) == number;
}

IN_CHILD __attribute__((noreturn)) static void leave(void)
{
    for (;;)
        (void)syscall(SYS_exit_group, 0);
}

IN_CHILD static int become_relay(void *argument)
{
    struct child *child = argument;
    char name[] = "ssh-gate-relay";
    char *const arguments[] = {name, (char *)(uintptr_t)child->slug, NULL};
    char *const environment[] = {NULL};

    if (put_at(child->null_fd, STDIN_FILENO) && put_at(child->null_fd, STDOUT_FILENO) &&
        put_at(child->event_log_fd, STDERR_FILENO) && put_at(child->setup_fd, SETUP_FD))
        (void)syscall(SYS_execveat, child->image_fd, "", arguments, environment, AT_EMPTY_PATH);
    child->error = errno;
    leave();
}

IN_CHILD static int make_relay(void *argument)
{
    struct child *child = argument;

    if (__clone(become_relay, child->stack + CHILD_STACK_SIZE,
                CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, &child->process_fd) < 0)
        child->error = errno;
    leave();
}

/* Returns 0 when the relay runs, else an errno value. */
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
    pid_t pid = __clone(make_relay, child->stack + 2 * CHILD_STACK_SIZE,
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

static int run_image(struct child *child)
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
static int duplicate_high(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, SETUP_FD + 1);
}

enum bottle_result relay_process_run(const char *slug, int stage_fd, int event_log_fd,
                                     int *setup_fd, int *process_fd, struct failure *failure)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return failure_set(failure, BOTTLE_INTERNAL, "socketpair: %s", strerror(errno));
    CLEANUP_FD int ours = pair[0];
    CLEANUP_FD int theirs = pair[1];
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP_FD int high_null = duplicate_high(null_fd);
    CLEANUP_FD int high_log = duplicate_high(event_log_fd);
    CLEANUP_FD int high_setup = duplicate_high(theirs);
    if (null_fd < 0 || high_null < 0 || high_log < 0 || high_setup < 0)
        return failure_set(failure, BOTTLE_INTERNAL, "descriptors for the relay: %s",
                           strerror(errno));

    struct child child = {
        .null_fd = high_null, .event_log_fd = high_log, .setup_fd = high_setup, .slug = slug};
    CLEANUP_FD int image = open_image_in_memory();
    CLEANUP_FD int high_image = image < 0 ? -1 : duplicate_high(image);
    child.image_fd = high_image;
    int error = high_image < 0 ? EACCES : run_image(&child);
    if (error == EACCES || error == EPERM) {
        CLEANUP_FD int file = open_image_in_file(stage_fd);
        CLEANUP_FD int high_file = file < 0 ? -1 : duplicate_high(file);
        child.image_fd = high_file;
        error = high_file < 0 ? errno : run_image(&child);
    }
    if (error)
        return failure_set(
            failure, result_of_errno(error),
            "the relay cannot be run, neither from memory nor from the stage directory: %s",
            strerror(error));
    *setup_fd = steal_fd(&ours);
    *process_fd = child.process_fd;
    return BOTTLE_OK;
}
