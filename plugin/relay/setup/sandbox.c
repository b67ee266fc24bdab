/* SPDX-License-Identifier: MIT */
/*
 * sandbox.c: what the relay gives up once it is set up.
 *
 * A peer controls every byte that the relay moves.  If one exploits a bug in the relay, it must gain nothing: the
 * process can reach the destinations that the bottle has anyway, and nothing else.
 *
 *   no new privileges   a set-uid program cannot be used to get any; the kernel asks for it before seccomp
 *   capabilities        none, in any set; root without them is an ordinary user
 *   dumpable, core      off: no memory of sessions on a disk, no ptrace by other processes of the user
 *   resource limits     memory in proportion to the connections there can be; no locked memory, no
 *                       further process
 *   Landlock            no file system access at all; TCP connections to the declared ports and to the DNS
 *                       servers' only, no TCP bind (Linux 6.7); no abstract sockets and no signals to
 *                       processes outside (Linux 6.12)
 *   seccomp             the system calls that sandbox_filter.c names, sockets of TCP and UDP only; what a
 *                       library may try without harm fails; any other call ends the process
 *
 * A call that ends the process raises SIGSYS first, whose handler writes the event `sandbox-violation`, so that
 * it is noticed if a library's new version makes such a call.  An attacker gains nothing by it: the call was
 * not made; the handler writes a line to the event log, which an attacker in the process can do anyway, and
 * then makes a forbidden call itself, at which the kernel, because SIGSYS is blocked in its
 * handler, ends the process.  It never returns (rt_sigreturn(2) is forbidden), cannot be replaced
 * (rt_sigaction(2) is refused), and a SIGSYS that is blocked or has no handler ends the process at once.
 *
 * The process that opens two files for the relay (dns_opener.c) gives up as much, and the network; it may
 * open files for reading.
 *
 * Where the kernel lacks one of the last two, the relay runs without and says so, unless the start
 * option "sandbox" is "required".  Under AddressSanitizer, whose runtime needs more than the
 * relay, they stay off.
 */
#include "relay/setup/sandbox.h"

#include "relay/base/sanitized.h"
#include "relay/serve/events.h"
#include "relay/serve/relay.h"

#include <bottle/sidecar.h>

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BASE_MEMORY       ((rlim_t)32 << 20)
#define CONNECTION_MEMORY ((rlim_t)8 << 10)

/* linux/landlock.h of a newer kernel than the one this is built on. */
#define ACCESS_FS_TRUNCATE         (1ULL << 14) /* ABI 3 */
#define ACCESS_FS_IOCTL_DEV        (1ULL << 15) /* ABI 5 */
#define ACCESS_NET_BIND_TCP        (1ULL << 0)  /* ABI 4 */
#define ACCESS_NET_CONNECT_TCP     (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL               (1ULL << 1)
#define RULE_NET_PORT              2

#ifndef SYS_SECCOMP /* of siginfo_t.si_code; not every C library's signal.h has it */
#define SYS_SECCOMP 1
#endif

struct ruleset {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

struct net_port_rule {
    uint64_t allowed_access, port;
};

static bool drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    /* Without CAP_SETPCAP the bounding set stays; with no new privileges it gives nothing. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) &&
           !syscall(SYS_capset, &header, none);
}

static bool limit(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit now;

    if (getrlimit(resource, &now))
        return false;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
        value = now.rlim_max;
    const struct rlimit lower = {.rlim_cur = value, .rlim_max = value};
    return !setrlimit(resource, &lower);
}

static bool set_limits(const struct relay *relay)
{
    rlim_t memory = BASE_MEMORY + CONNECTION_MEMORY * relay->connections_max;

    if (!limit(RLIMIT_CORE, 0))
        return false;
    if (SANITIZED) /* LeakSanitizer makes a process, which looks into this one */
        return true;
    return limit(RLIMIT_NPROC, 0) && limit(RLIMIT_DATA, memory) && limit(RLIMIT_MEMLOCK, 0) &&
           !prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* ---- Landlock ---- */

static uint64_t handled_file_system(long abi)
{
    uint64_t access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* ABI 1: all up to here */

    if (abi >= 2)
        access |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        access |= ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        access |= ACCESS_FS_IOCTL_DEV;
    return access;
}

static bool allow_port(int ruleset_fd, uint16_t port)
{
    const struct net_port_rule rule = {.allowed_access = ACCESS_NET_CONNECT_TCP, .port = port};

    return !syscall(SYS_landlock_add_rule, ruleset_fd, RULE_NET_PORT, &rule, 0);
}

static bool allow_ports(const struct relay *relay, int ruleset_fd)
{
    for (size_t i = 0; i < relay->upstream_count; i++)
        if (!allow_port(ruleset_fd, relay->config.upstreams[i].port))
            return false;
    for (size_t i = 0; i < relay->dialler.resolver.conf.server_count; i++)
        if (!allow_port(ruleset_fd, relay->dialler.resolver.conf.servers[i].port))
            return false;
    return true;
}

/* relay: whose ports may be connected to; NULL for the opener, which may read files instead. */
static bool enter_landlock(const struct relay *relay)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;

    const struct ruleset ruleset = {
        .handled_access_fs =
            handled_file_system(abi) & ~(relay ? 0ULL : LANDLOCK_ACCESS_FS_READ_FILE),
        .handled_access_net = abi >= 4 ? ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP : 0,
        .scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0,
    };
    size_t size = abi >= 6   ? sizeof ruleset
                  : abi >= 4 ? offsetof(struct ruleset, scoped)
                             : sizeof(uint64_t);
    int fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    if (fd < 0)
        return false;
    bool entered = (abi < 4 || !relay || allow_ports(relay, fd)) &&
                   !syscall(SYS_landlock_restrict_self, fd, 0);
    (void)close(fd);
    return entered;
}

/* ---- seccomp ---- */

/* The handler's; a handler gets no argument of ours. */
static struct relay *handler_relay;

/* NULL if this kernel's call was not known when the relay was built. */
static const char *system_call_name(int number)
{
    static const char NAMES[] = {
#include "sandbox_names.inc" /* one after the other, by number; sandbox_filter.c made it */
    };
    const char *name = NAMES;

    for (; number > 0 && name < NAMES + sizeof NAMES; number--)
        name += strlen(name) + 1;
    return number == 0 && name < NAMES + sizeof NAMES && *name ? name : NULL;
}

/* Only functions that are async-signal-safe (signal-safety(7)). */
static void end_with_word(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)context;
    if (info->si_code == SYS_SECCOMP) /* not sent with kill(2) */
        event_violation(handler_relay, system_call_name(info->si_syscall), info->si_syscall);
    (void)syscall(SYS_getsid, 0); /* forbidden */
    _exit(EXIT_FAILURE);          /* in case there is no filter */
}

static bool enter_seccomp(struct relay *relay)
{
    struct sigaction action = {.sa_sigaction = end_with_word, .sa_flags = SA_SIGINFO};
    static const struct sock_filter FILTER[] = {
#include "sandbox_filter.inc" /* sandbox_filter.c made it */
    };
    const struct sock_fprog program = {.len = sizeof FILTER / sizeof FILTER[0],
                                       .filter = (struct sock_filter *)FILTER};

    handler_relay = relay;
    return !sigfillset(&action.sa_mask) && !sigaction(SIGSYS, &action, NULL) &&
           !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* ---- the sandbox ---- */

bool sandbox_enter_opener(bool required)
{
    static const struct sock_filter FILTER[] = {
#include "sandbox_opener_filter.inc"
    };
    const struct sock_fprog program = {.len = sizeof FILTER / sizeof FILTER[0],
                                       .filter = (struct sock_filter *)FILTER};

    if (!drop_privileges() || !limit(RLIMIT_CORE, 0))
        return false;
    if (SANITIZED)
        return true;
    if (!limit(RLIMIT_NPROC, 0) || !limit(RLIMIT_MEMLOCK, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return false;
    /* If the kernel lacks one of the two, the other still protects. */
    bool in_landlock = enter_landlock(NULL);
    bool has_filter = !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    return (in_landlock && has_filter) || !required;
}

static void note_missing(struct relay *relay, const char *what)
{
    size_t length = strlen(relay->sandbox_missing);

    (void)snprintf(relay->sandbox_missing + length, sizeof relay->sandbox_missing - length, "%s%s",
                   length > 0 ? ", " : "", what);
}

bool sandbox_enter(struct relay *relay, struct setup_reply *reply)
{
    if (!drop_privileges() || !set_limits(relay)) {
        reply->result = BOTTLE_DENIED;
        (void)snprintf(reply->message, sizeof reply->message,
                       "the relay cannot give up its privileges: %s", strerror(errno));
        return false;
    }
    if (SANITIZED)
        note_missing(relay, "Landlock and seccomp (built with AddressSanitizer)");
    if (!SANITIZED && !enter_landlock(relay))
        note_missing(relay, "Landlock");
    if (!SANITIZED && !enter_seccomp(relay))
        note_missing(relay, "seccomp");
    if (relay->sandbox_missing[0] == '\0')
        return true;
    if (relay->config.sandbox_required) {
        reply->result = BOTTLE_UNAVAILABLE;
        (void)snprintf(reply->message, sizeof reply->message,
                       "sandbox is \"required\", but this system lacks: %s; use another kernel, or "
                       "\"best-effort\"",
                       relay->sandbox_missing);
        return false;
    }
    (void)snprintf(reply->message, sizeof reply->message, "the relay runs without %s",
                   relay->sandbox_missing);
    return true;
}
