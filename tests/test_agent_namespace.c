/* SPDX-License-Identifier: MIT */
/*
 * test_agent_namespace.c: an agent that is root in its own user and network namespace, and sees the
 * processes outside, gets nothing of the one that enters to open the gate's listening sockets.
 *
 * It has all the time that it wants: start runs under a filter (seccomp_unotify(2)) that stops whoever
 * makes one of the calls below until the test lets it go on, and the agent attacks before that.
 */
#include "common/cleanup.h"
#include "common/process/fd_passing.h"
#include "gate_fixture.h"
#include "network.h"
#include "process.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER        4242 /* root needs no user namespace to enter a network: the launcher is another */
#define PORT        2200
#define GUESSED_FDS 8
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static struct gate gate;

static void set_up(void)
{
    gate_set_up(&gate);
}

static void tear_down(void)
{
    gate_tear_down(&gate);
}

TestSuite(agent_namespace, .init = set_up, .fini = tear_down, .timeout = 120);

/* ---- the agent ---- */

enum attack { SEIZE, WRITE_MEMORY, READ_MEMORY, TAKE_DESCRIPTOR, OPEN_ROOT, OPEN_DESCRIPTOR };
static const char *const ATTACKS[] = {
    [SEIZE] = "ptrace",
    [WRITE_MEMORY] = "/proc/PID/mem",
    [READ_MEMORY] = "process_vm_readv",
    [TAKE_DESCRIPTOR] = "pidfd_getfd",
    [OPEN_ROOT] = "/proc/PID/root",
    [OPEN_DESCRIPTOR] = "/proc/PID/fd",
};

static bool opens(pid_t pid, const char *file, int flags)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    CLEANUP_FD int fd = open(path, flags | O_CLOEXEC);
    return fd >= 0;
}

static bool follows_descriptor(pid_t pid)
{
    char path[64], link[64];
    bool followed = false;

    for (int number = 0; number < GUESSED_FDS; number++) {
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
        followed = followed || readlink(path, link, sizeof link) >= 0;
    }
    return followed;
}

static bool takes_descriptor(pid_t pid)
{
    CLEANUP_FD int process = (int)syscall(SYS_pidfd_open, pid, 0);
    bool taken = false;

    for (int number = 0; number < GUESSED_FDS && process >= 0; number++) {
        CLEANUP_FD int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
        taken = taken || fd >= 0 || (errno != EPERM && errno != EBADF);
    }
    return taken;
}

/* Where nothing is mapped the answer is EFAULT, but only to who may ask. */
static bool reads_memory(pid_t pid)
{
    char byte;
    struct iovec local = {&byte, sizeof byte}, remote = {NULL, sizeof byte};

    return process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0 || errno != EPERM;
}

/* Each bit an attack that succeeded. */
static unsigned int attack(pid_t pid)
{
    unsigned int done = 0;

    done |= (unsigned int)opens(pid, "mem", O_RDWR) << WRITE_MEMORY;
    done |= (unsigned int)reads_memory(pid) << READ_MEMORY;
    done |= (unsigned int)takes_descriptor(pid) << TAKE_DESCRIPTOR;
    done |= (unsigned int)opens(pid, "root/", O_RDONLY | O_DIRECTORY) << OPEN_ROOT;
    done |= (unsigned int)follows_descriptor(pid) << OPEN_DESCRIPTOR;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
        done |= 1U << SEIZE;
        (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
    return done;
}

static bool become_user(void)
{
    return geteuid() != 0 ||
           (setresgid(USER, USER, USER) == 0 && setresuid(USER, USER, USER) == 0 &&
            prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
}

static const char *be_agent(int parent_fd, void *context)
{
    pid_t victim;

    (void)context;
    if (!become_user() || unshare(CLONE_NEWUSER | CLONE_NEWNET))
        return child_failure("the agent's namespaces: %s", strerror(errno));
    line_send(parent_fd, "ready");
    while (recv(parent_fd, &victim, sizeof victim, 0) == (ssize_t)sizeof victim) {
        unsigned int done = attack(victim);
        if (send(parent_fd, &done, sizeof done, MSG_NOSIGNAL) != (ssize_t)sizeof done)
            break;
    }
    return NULL;
}

/* ---- the launcher ---- */

/* In the launcher: from now on these calls, of all that it starts too, wait for the test's word. */
static int filter_calls(void)
{
    static const int CALLS[] = {SYS_setns, SYS_prctl,      SYS_ioctl, SYS_socket,
                                SYS_bind,  SYS_setsockopt, SYS_listen};
    struct sock_filter filter[ROWS(CALLS) + 3];
    size_t length = 0;

    filter[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < ROWS(CALLS); i++)
        filter[length++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)CALLS[i], (uint8_t)(ROWS(CALLS) - i), 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    const struct sock_fprog program = {.len = (unsigned short)length, .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return -1;
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                        &program);
}

static const char *start_filtered(int parent_fd, void *context)
{
    CLEANUP_FREE char *message = NULL;
    char line[16];

    (void)context;
    if (!become_user())
        return child_failure("%s", strerror(errno));
    int calls = filter_calls();
    if (calls < 0 || !send_with_fds(parent_fd, "", 1, &calls, 1) || close(calls))
        return child_failure("seccomp: %s", strerror(errno));
    if (gate_try_start(&gate, "{\"exit_with_launcher\": true}", &message) != BOTTLE_OK)
        return child_failure("start: %s", message);
    line_send(parent_fd, "started");
    (void)line_receive(parent_fd, line, sizeof line);
    return NULL;
}

/* ---- the test ---- */

struct siege {
    struct child agent, launcher;
    int calls_fd;
    pid_t inside; /* the process that entered a namespace; 0: none yet */
    size_t attacks_inside;
    int descriptors_inside; /* the most that were seen */
};

static void expect_no_attack_succeeds(const struct siege *siege, pid_t victim, int call)
{
    unsigned int done;

    cr_assert_eq(send(siege->agent.fd, &victim, sizeof victim, MSG_NOSIGNAL),
                 (ssize_t)sizeof victim);
    cr_assert_eq(recv(siege->agent.fd, &done, sizeof done, 0), (ssize_t)sizeof done);
    for (size_t i = 0; i < ROWS(ATTACKS); i++)
        cr_expect_not(done & (1U << i), "before system call %d: the agent can use %s", call,
                      ATTACKS[i]);
}

/* One process that waits for the test's word. */
static void let_one_call_go_on(struct siege *siege)
{
    struct seccomp_notif call = {0};

    if (ioctl(siege->calls_fd, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
        cr_assert(errno == ENOENT || errno == EINTR, "%m"); /* it has just been killed */
        return;
    }
    expect_no_attack_succeeds(siege, (pid_t)call.pid, call.data.nr);
    if ((pid_t)call.pid == siege->inside) {
        int descriptors = process_count_descriptors(siege->inside);
        siege->attacks_inside++;
        if (descriptors > siege->descriptors_inside)
            siege->descriptors_inside = descriptors;
    }
    if (call.data.nr == SYS_setns)
        siege->inside = (pid_t)call.pid;
    struct seccomp_notif_resp answer = {.id = call.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    cr_assert(ioctl(siege->calls_fd, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 || errno == ENOENT,
              "%m");
}

static void give_stage_dir_away(void)
{
    DIR *directory = opendir(gate.stage_dir);
    const struct dirent *entry;

    cr_assert_not_null(directory);
    while ((entry = readdir(directory)))
        if (strcmp(entry->d_name, "..") != 0)
            cr_assert_eq(fchownat(dirfd(directory), entry->d_name, USER, USER, 0), 0, "%m");
    cr_assert_eq(closedir(directory), 0);
}

static void begin(struct siege *siege)
{
    const struct gate_entry entries[] = {{"first", gate.upstream_address, PORT},
                                         {"second", gate.upstream_address, PORT + 1}};
    char line[256], path[64];
    int fds[FD_PASSING_MAX];
    size_t count;

    *siege = (struct siege){.agent = child_start(be_agent, NULL)};
    cr_assert(line_receive(siege->agent.fd, line, sizeof line));
    cr_assert_str_eq(line, "ready");
    gate_prepare(&gate, entries, ROWS(entries));
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", siege->agent.pid);
    gate_set_networks(&gate, path, "host");
    if (geteuid() == 0)
        give_stage_dir_away();
    siege->launcher = child_start(start_filtered, NULL);
    ssize_t received = receive_with_fds(siege->launcher.fd, line, sizeof line - 1, fds, &count);
    line[received > 0 ? received : 0] = '\0';
    cr_assert_eq(count, 1, "%s", line);
    siege->calls_fd = fds[0];
}

Test(agent_namespace, the_agent_gets_nothing_of_what_enters)
{
    struct siege siege;
    char line[512];

    begin(&siege);
    struct pollfd waited[] = {{.fd = siege.calls_fd, .events = POLLIN},
                              {.fd = siege.launcher.fd, .events = POLLIN}};
    while (!waited[1].revents) {
        cr_assert_gt(poll(waited, ROWS(waited), WAIT_MS), 0, "start stands still");
        if (waited[0].revents & POLLIN)
            let_one_call_go_on(&siege);
    }
    cr_assert(line_receive(siege.launcher.fd, line, sizeof line));
    cr_assert_str_eq(line, "started");
    /* What it makes inside, two sockets for each of two upstreams, takes more calls than these. */
    cr_expect_geq(siege.attacks_inside, 8, "it was attacked %zu times", siege.attacks_inside);
    /* Where reports go, the namespace and that of its owner, or a socket that it makes. */
    cr_expect_leq(siege.descriptors_inside, 3);
    child_kill(&siege.launcher);
    cr_assert_eq(close(siege.calls_fd), 0);
    child_kill(&siege.agent);
}
