/* SPDX-License-Identifier: MIT */
/*
 * setup.c: everything before the loop, in this order:
 *
 *   1. receive the config and the namespaces (protocol.h); in a container, read the arguments.  Receive
 *      the sockets of the relay that is taken over, if one is (takeover.c)
 *      Make the process that opens files for the resolver (dns_opener.c)
 *   2. claim the slug: bind the control names.  An abstract name can be bound once, so of two launchers
 *      that start one slug one gets a conflict, and a relay that was killed leaves no name behind.
 *      In a takeover the claim comes from the old relay: it is held at every moment
 *   3. open the listening sockets that did not come from an old relay (listen.c), in the agent's
 *      namespace through a helper (listen_inside.c)
 *   4. enter the egress namespace
 *   5. set up DNS, signals, the loop
 *   6. give up what the loop does not need (sandbox.c)
 *   7. report to the plugin; wait for its word; have the old relay stop accepting; report that
 *
 * Whatever fails is reported; leaving the process then undoes it all.
 */
#include "relay/setup/setup.h"

#include "common/process/fd_passing.h"
#include "wire/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FAMILY_WAIT_MS   50  /* RFC 8305 §3 */
#define ATTEMPT_WAIT_MS  250 /* RFC 8305 §5 */
#define LOOK_WAIT_MS     1000
#define GOODBYE_WAIT_MS  2000
#define LIMIT_QUIET_MS   5000 /* then what a limit refused is a matter of the past */
#define PAUSE_MS         500
#define IDLE_MS          1000
#define CONTROL_WAIT_MS  5000
#define NETWORK_WAIT_MS  3000
#define VANISHED_LOOK_MS 5000
#define LAUNCHER_WAIT_S  30
#define LAST_WORD_WAIT_S 10

/* Descriptors for DNS, control clients, a few attempts of a dial at once. */
#define RESERVED_DESCRIPTORS 32

/* What comes with the config. */
struct given {
    int listen_fd, egress_fd; /* namespaces; -1: where the relay was started */
    struct takeover takeover;
};
#define NOTHING_GIVEN ((struct given){.listen_fd = -1, .egress_fd = -1, .takeover = NO_TAKEOVER})

bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
{
    va_list arguments;

    reply->result = (int32_t)result;
    va_start(arguments, format);
    (void)vsnprintf(reply->message, sizeof reply->message, format, arguments);
    va_end(arguments);
    return false;
}

bool setup_fail_errno(struct setup_reply *reply, const char *what)
{
    int error = errno;
    bool denied = error == EPERM || error == EACCES;

    return setup_fail(reply, denied ? BOTTLE_DENIED : BOTTLE_INTERNAL, "%s: %s", what,
                      strerror(error));
}

/* ---- 1: the config ---- */

/* As many descriptors as may be, before the first one comes. */
static bool raise_descriptor_limit(struct setup_reply *reply)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        if (!setrlimit(RLIMIT_NOFILE, &limit))
            return true;
    }
    return setup_fail_errno(reply, "the limit of descriptors");
}

/* For the listeners, and one connection. */
static bool check_descriptor_limit(const struct relay *relay, struct setup_reply *reply)
{
    size_t addresses = relay->config.has_listen_namespace ? 2 : relay->config.listen_address_count;
    size_t needed = RESERVED_DESCRIPTORS + relay->upstream_count * addresses + 2;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return setup_fail_errno(reply, "the limit of descriptors");
    return limit.rlim_cur >= needed ||
           setup_fail(
               reply, BOTTLE_UNAVAILABLE,
               "the hard limit of descriptors is %ju, and a gate for %zu upstreams needs %zu: "
               "raise it (ulimit -Hn) for the launcher",
               (uintmax_t)limit.rlim_cur, relay->upstream_count, needed);
}

static bool receive_config(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    struct relay_config *config = &relay->config;
    int fds[FD_PASSING_MAX];
    size_t announced, count;

    ssize_t received = receive_with_fds(SETUP_FD, config, sizeof *config, fds, &count);
    if (received < 0)
        return setup_fail_errno(reply, "the config of the relay");
    if (received < (ssize_t)RELAY_CONFIG_LENGTH(1) ||
        config->upstream_count > RELAY_MAX_UPSTREAMS ||
        config->listen_address_count > RELAY_MAX_ADDRESSES ||
        received != (ssize_t)RELAY_CONFIG_LENGTH(config->upstream_count) ||
        config->dns_server_count > RELAY_MAX_DNS_SERVERS)
        return setup_fail(reply, BOTTLE_INTERNAL, "the relay was started without a config");

    announced = (config->has_listen_namespace ? 1u : 0u) +
                (config->has_egress_namespace ? 1u : 0u) + (config->has_takeover ? 1u : 0u);
    if (count != announced)
        return setup_fail(reply, BOTTLE_INTERNAL, "the relay got %zu descriptors in place of %zu",
                          count, announced);
    count = 0;
    given->listen_fd = config->has_listen_namespace ? fds[count++] : -1;
    given->egress_fd = config->has_egress_namespace ? fds[count++] : -1;
    given->takeover.fd = config->has_takeover ? fds[count] : -1;
    return true;
}

static void use_config(struct relay *relay)
{
    const struct relay_config *config = &relay->config;

    relay->upstream_count = config->upstream_count;
    for (size_t i = 0; i < relay->upstream_count; i++)
        relay->upstreams[i].config = &config->upstreams[i];
    relay->network_hold_fd = relay->network_users.fd = relay->launcher.fd = -1;
    relay->uid = geteuid();
    relay->event_bytes_checked =
        (size_t)config->event_log_max_bytes; /* the log may have lines of an earlier run */
}

/* ---- 2: the claim ---- */

static int bind_control_name(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);

    memcpy(address.sun_path + 1, name, length);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, MAX_CONTROL_CLIENTS)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The instance first, so that whatever holds the claim is found by its instance (control_client.c). */
static bool claim_slug(struct relay *relay, struct takeover *takeover, struct setup_reply *reply)
{
    const struct relay_config *config = &relay->config;
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

    (void)snprintf(name, sizeof name, CONTROL_NAME_OF_INSTANCE, relay->uid, config->slug,
                   config->instance);
    relay->control_of_instance.watch.fd = bind_control_name(name);
    if (relay->control_of_instance.watch.fd < 0)
        return setup_fail_errno(reply, "control socket");
    if (takeover->claim_fd >= 0) {
        relay->control_of_slug.watch.fd = takeover->claim_fd;
        takeover->claim_fd = -1;
        return true;
    }
    (void)snprintf(name, sizeof name, CONTROL_NAME_OF_SLUG, relay->uid, config->slug);
    relay->control_of_slug.watch.fd = bind_control_name(name);
    if (relay->control_of_slug.watch.fd < 0 && errno == EADDRINUSE)
        return setup_fail(
            reply, BOTTLE_CONFLICT,
            "slug \"%s\" has a running gate already: stop native:%s first, or choose another slug",
            config->slug, config->slug);
    return relay->control_of_slug.watch.fd >= 0 || setup_fail_errno(reply, "control socket");
}

/* ---- 3 and 4: namespaces ---- */

bool setup_enter_network(int fd)
{
    struct stat own, wanted;

    if (!stat("/proc/self/ns/net", &own) && !fstat(fd, &wanted) && own.st_ino == wanted.st_ino &&
        own.st_dev == wanted.st_dev)
        return true;
    if (!setns(fd, CLONE_NEWNET))
        return true;
    if (errno != EPERM)
        return false;
    int owner = ioctl(fd, NS_GET_USERNS);
    if (owner < 0)
        return false;
    bool entered = !setns(owner, CLONE_NEWUSER) && !setns(fd, CLONE_NEWNET);
    int error = errno;
    (void)close(owner);
    errno = error;
    return entered;
}

bool setup_fail_enter(struct setup_reply *reply, const char *what, int error)
{
    return setup_fail(
        reply, error == EPERM ? BOTTLE_DENIED : BOTTLE_UNAVAILABLE,
        "%s: cannot enter the network namespace: %s; be root, or the user who made the namespace",
        what, strerror(error));
}

/* fd: a namespace; -1: the one that the process is in. */
static bool look_at_network(int fd, struct stat *network)
{
    return !(fd >= 0 ? fstat(fd, network) : stat("/proc/self/ns/net", network));
}

static bool note_listen_network(struct relay *relay, const struct given *given,
                                struct setup_reply *reply)
{
    struct stat network;

    if (!look_at_network(given->listen_fd, &network))
        return setup_fail(reply, BOTTLE_UNAVAILABLE,
                          "/proc/self/ns/net: %s: the gate needs /proc, mounted where its launcher "
                          "runs",
                          strerror(errno));
    relay->listen_network_device = network.st_dev;
    relay->listen_network_inode = network.st_ino;
    return true;
}

static bool is_listen_network(const struct relay *relay, int fd)
{
    struct stat network;

    if (!look_at_network(fd, &network))
        return true; /* unknown: better refuse a loop than run it */
    return network.st_dev == relay->listen_network_device &&
           network.st_ino == relay->listen_network_inode;
}

static bool enter_egress(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    if (given->egress_fd >= 0 && !setup_enter_network(given->egress_fd))
        return setup_fail_enter(reply, "egress_network", errno);
    relay->listens_where_it_dials = is_listen_network(relay, given->egress_fd);
    if (given->listen_fd >= 0)
        (void)close(given->listen_fd);
    if (given->egress_fd >= 0)
        (void)close(given->egress_fd);
    return true;
}

/* ---- 5: the loop ---- */

static void signal_ready(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, signals);

    (void)events;
    relay_stop(relay, "signal");
}

static bool watch_signals(struct relay *relay)
{
    sigset_t signals;

    if (sigemptyset(&signals) || sigaddset(&signals, SIGTERM) || sigaddset(&signals, SIGINT) ||
        sigprocmask(SIG_BLOCK, &signals, NULL))
        return false;
    relay->signals = (struct watch){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
                                    .ready = signal_ready};
    return relay->signals.fd >= 0 && !loop_add(&relay->loop, &relay->signals, EPOLLIN);
}

static void add_timer_queues(struct relay *relay)
{
    struct loop *loop = &relay->loop;

    loop_add_queue(loop, &relay->family_timers, FAMILY_WAIT_MS);
    loop_add_queue(loop, &relay->attempt_timers, ATTEMPT_WAIT_MS);
    loop_add_queue(loop, &relay->look_timers, LOOK_WAIT_MS);
    loop_add_queue(loop, &relay->resolve_timers, relay->config.resolve_timeout_ms);
    loop_add_queue(loop, &relay->dial_timers, relay->config.dial_timeout_ms);
    loop_add_queue(loop, &relay->identification_timers, relay->config.identification_timeout_ms);
    loop_add_queue(loop, &relay->goodbye_timers, GOODBYE_WAIT_MS);
    loop_add_queue(loop, &relay->limit_timers, LIMIT_QUIET_MS);
    loop_add_queue(loop, &relay->pause_timers, PAUSE_MS);
    loop_add_queue(loop, &relay->control_timers, CONTROL_WAIT_MS);
    loop_add_queue(loop, &relay->grace_timers, 0);
    loop_add_queue(loop, &relay->idle_timers, IDLE_MS);
    loop_add_queue(loop, &relay->network_timers, NETWORK_WAIT_MS);
    loop_add_queue(loop, &relay->vanished_timers, VANISHED_LOOK_MS);
    timer_init(&relay->paused_timer);
    timer_init(&relay->grace_timer);
    timer_init(&relay->idle_timer);
    timer_init(&relay->network_timer);
    timer_init(&relay->vanished_timer);
}

/* Some are set aside, pipes have their part, and each connection takes two. */
static bool share_descriptors(struct relay *relay)
{
    const uint64_t set_aside = RESERVED_DESCRIPTORS + relay->listener_count;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    uint64_t shared = limit.rlim_cur > set_aside ? limit.rlim_cur - set_aside : 0;
    uint64_t for_pipes = pipe_pool_init(&relay->pipes, shared);
    relay->connections_max = shared > for_pipes + 2 ? (shared - for_pipes) / 2 : 1;
    (void)pipe_pool_reserve(&relay->pipes); /* the data path works without, only slower */
    return true;
}

static bool start_loop(struct relay *relay, struct setup_reply *reply)
{
    if (loop_init(&relay->loop))
        return setup_fail_errno(reply, "epoll_create1");
    relay->started_ms = relay->loop.now_ms;
    list_init(&relay->connections);
    list_init(&relay->turns);
    list_init(&relay->discarded);
    add_timer_queues(relay);
    limits_init(&relay->limits, relay, NULL);
    for (size_t i = 0; i < relay->upstream_count; i++)
        limits_init(&relay->upstreams[i].limits, relay, &relay->upstreams[i]);
    bool is_valid = resolver_configure(relay, reply->message);
    if (!is_valid || !resolver_init(relay, reply->message)) {
        reply->result = is_valid ? BOTTLE_INTERNAL : BOTTLE_INVALID;
        return false;
    }
    if (!share_descriptors(relay) || !event_log_set_up(relay) || !watch_signals(relay) ||
        !control_watch(relay))
        return setup_fail_errno(reply, "the relay cannot set itself up");
    listeners_watch(relay);
    return true;
}

/* ---- the whole ---- */

static bool open_listeners(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    return given->listen_fd >= 0 ? listen_inside(relay, &given->takeover, given->listen_fd, reply)
                                 : listen_on_addresses(relay, &given->takeover, reply);
}

static bool set_up(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    use_config(relay);
    dns_opener_start(relay); /* while the relay has nothing yet */
    if (!check_descriptor_limit(relay, reply) || !note_listen_network(relay, given, reply) ||
        (given->takeover.fd >= 0 && !takeover_receive(&given->takeover, relay, reply)) ||
        !claim_slug(relay, &given->takeover, reply) || !open_listeners(relay, given, reply))
        return false;
    takeover_drop_rest(&given->takeover);
    relay->network_hold_fd = given->takeover.hold_fd;
    return enter_egress(relay, given, reply) && start_loop(relay, reply) &&
           launcher_follow(relay, &given->takeover, reply) && sandbox_enter(relay, reply);
}

static bool launcher_says_go(void)
{
    const struct timeval limit = {.tv_sec = LAUNCHER_WAIT_S};
    char go;

    return !setsockopt(SETUP_FD, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) &&
           recv(SETUP_FD, &go, sizeof go, 0) == (ssize_t)sizeof go;
}

static bool tell_plugin(const struct setup_reply *reply)
{
    return send(SETUP_FD, reply, sizeof *reply, MSG_NOSIGNAL) == (ssize_t)sizeof *reply;
}

/* error: relay_setup's.  The config is received all the same: to close with it unread would take the reply away. */
static bool set_up_alone(struct relay *relay, struct given *given, int error,
                         struct setup_reply *reply)
{
    if (!raise_descriptor_limit(reply) || !receive_config(relay, given, reply))
        return false;
    errno = error;
    return error ? setup_fail_errno(reply,
                                    "the relay cannot become independent of its launcher, whose "
                                    "filter of system calls may forbid it")
                 : set_up(relay, given, reply);
}

bool relay_setup(struct relay *relay, int error)
{
    struct setup_reply reply = {.result = BOTTLE_OK};
    struct setup_reply last = {.result = BOTTLE_OK};
    struct given given = NOTHING_GIVEN;
    bool ready = set_up_alone(relay, &given, error, &reply);

    if (!tell_plugin(&reply) || !ready || !launcher_says_go())
        return false;
    bool serves = given.takeover.fd < 0 || takeover_commit(&given.takeover, relay, &last);
    /* A launcher that died after its word to go on is not there to hear that it was followed. */
    (void)tell_plugin(&last);
    (void)close(SETUP_FD);
    return serves;
}

/* ---- in a container ---- */

static bool request_takeover(const struct relay_config *config, struct given *given,
                             struct setup_reply *reply)
{
    struct target from = {0};
    struct failure failure;

    if (config->takeover_instance[0] == '\0')
        return true;
    memcpy(from.slug, config->slug, sizeof from.slug);
    memcpy(from.instance, config->takeover_instance, sizeof from.instance);
    enum bottle_result result = control_request_takeover(&from, &given->takeover.fd, &failure);
    return result == BOTTLE_OK || setup_fail(reply, result, "%s", failure.message);
}

/* What a relay in a container waits for while it has no loop. */
static bool make_set_of_signals(sigset_t *signals)
{
    return !sigemptyset(signals) && !sigaddset(signals, SIGUSR1) && !sigaddset(signals, SIGTERM) &&
           !sigaddset(signals, SIGINT);
}

/* A first process takes only signals that it waits for (pid_namespaces(7)). */
static bool block_signals(struct setup_reply *reply)
{
    sigset_t signals;

    return (make_set_of_signals(&signals) && !sigprocmask(SIG_BLOCK, &signals, NULL)) ||
           setup_fail_errno(reply, "signals");
}

/* The one that came; negative: none did. */
static int wait_for_signal(int seconds)
{
    const struct timespec limit = {.tv_sec = seconds};
    sigset_t signals;
    int number;

    if (!make_set_of_signals(&signals))
        return -1;
    do {
        number = sigtimedwait(&signals, NULL, &limit);
    } while (number < 0 && errno == EINTR);
    return number;
}

static bool wait_for_go(struct relay *relay, struct setup_reply *reply)
{
    event_notice(relay, "ready", "to take over; waits for SIGUSR1");
    return wait_for_signal(LAUNCHER_WAIT_S) == SIGUSR1 ||
           setup_fail(reply, BOTTLE_TIMEOUT, "takeover: the word to go on did not come");
}

static bool serve_from_arguments(struct relay *relay, int count, char **arguments,
                                 struct setup_reply *reply)
{
    struct given given = NOTHING_GIVEN;

    if (!raise_descriptor_limit(reply) || !block_signals(reply) ||
        !arguments_read(count, arguments, &relay->config, reply->message) ||
        !forwarding_refuse(&relay->config, reply) ||
        !request_takeover(&relay->config, &given, reply) || !set_up(relay, &given, reply))
        return false;
    return given.takeover.fd < 0 ||
           (wait_for_go(relay, reply) && takeover_commit(&given.takeover, relay, reply));
}

/* An engine may remove a container with its log as soon as it has ended: the launcher gets time to read it. */
bool relay_setup_from_arguments(struct relay *relay, int count, char **arguments)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    relay->in_container = true;
    if (serve_from_arguments(relay, count, arguments, &reply))
        return true;
    event_notice(relay, "start-failed", reply.message);
    closefrom(STDERR_FILENO + 1); /* this undoes what was done */
    (void)wait_for_signal(LAST_WORD_WAIT_S);
    return false;
}
