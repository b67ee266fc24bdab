/* SPDX-License-Identifier: MIT */
/*
 * setup.c: everything before the loop, in this order:
 *
 *   1. receive the config and the namespaces (config.c); in a container, read the arguments.  Receive
 *      the sockets of the relay that is taken over, if one is (takeover.c)
 *      Make the process that opens files for the resolver (dns_opener.c)
 *   2. claim the slug (claim.c): bind the control names.  An abstract name can be bound once, so of two launchers
 *      that start one slug one gets a conflict, and a relay that was killed leaves no name behind.
 *      In a takeover the claim comes from the old relay: it is held at every moment
 *   3. open the listening sockets that did not come from an old relay (listen.c), in the agent's
 *      namespace through a helper (listen_inside.c)
 *   4. enter the egress namespace (network.c)
 *   5. set up DNS, signals (signals.c), the loop
 *   6. give up what the loop does not need (sandbox.c)
 *   7. report to the plugin; wait until it says to go on; have the old relay stop accepting; report that
 *
 * A failure is reported; the end of the process then undoes everything.
 *
 * In setup/ belongs what runs before the sandbox closes.  What a peer's bytes reach is in serve/ and dial/.
 */
#include "relay/setup/setup.h"

#include "relay/dial/dns_opener.h"
#include "relay/serve/relay.h"
#include "relay/setup/claim.h"
#include "relay/setup/config.h"
#include "relay/setup/forwarding.h"
#include "relay/setup/launcher.h"
#include "relay/setup/listen.h"
#include "relay/setup/listen_inside.h"
#include "relay/setup/network.h"
#include "relay/setup/sandbox.h"
#include "relay/setup/signals.h"
#include "wire/command_line.h"
#include "wire/control_client.h"
#include "wire/process_name.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define GOODBYE_WAIT_MS  2000
#define LIMIT_QUIET_MS   5000 /* after that time without a refusal, a limit reports its count */
#define PAUSE_MS         500
#define IDLE_MS          1000
#define CONTROL_WAIT_MS  5000
#define NETWORK_WAIT_MS  3000
#define VANISHED_LOOK_MS 5000
#define LAUNCHER_WAIT_S  30
#define LAST_WORD_WAIT_S 10

static void add_timer_queues(struct relay *relay)
{
    struct loop *loop = &relay->loop;

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

/* Some descriptors are reserved, pipes get a share, and each connection needs two. */
static bool share_descriptors(struct relay *relay)
{
    const uint64_t set_aside = RESERVED_DESCRIPTORS + relay->listener_count;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return false;
    uint64_t shared = limit.rlim_cur > set_aside ? limit.rlim_cur - set_aside : 0;
    uint64_t for_pipes = pipe_pool_init(&relay->pipes, shared);
    relay->connections_max = shared > for_pipes + 2 ? (shared - for_pipes) / 2 : 1;
    (void)pipe_pool_reserve(&relay->pipes); /* without them the data path works, but is slower */
    return true;
}

static bool start_loop(struct relay *relay, struct setup_reply *reply)
{
    bool is_invalid;

    if (loop_init(&relay->loop))
        return setup_fail_errno(reply, "epoll_create1");
    relay->started_ms = relay->loop.now_ms;
    list_init(&relay->connections);
    list_init(&relay->turns);
    add_timer_queues(relay);
    limits_init(&relay->limits, relay, NULL);
    for (size_t i = 0; i < relay->upstream_count; i++)
        limits_init(&relay->upstreams[i].limits, relay, &relay->upstreams[i]);
    if (!dialler_watch(&relay->dialler, &is_invalid, reply->message)) {
        reply->result = is_invalid ? BOTTLE_INVALID : BOTTLE_INTERNAL;
        return false;
    }
    if (!share_descriptors(relay) || !event_log_set_up(&relay->log, &relay->loop) ||
        !watch_signals(relay) || !control_watch(relay))
        return setup_fail_errno(reply, "the relay cannot set itself up");
    listeners_watch(relay);
    return true;
}

/* ---- with a set-up socket ---- */

static bool open_listeners(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    return given->listen_fd >= 0 ? listen_inside(relay, &given->takeover, given->listen_fd, reply)
                                 : listen_on_addresses(relay, &given->takeover, reply);
}

/* With the relay's own name it would look like another relay of the target. */
static bool confine_opener(void *context)
{
    const struct relay *relay = context;

    if (relay->process_name)
        memcpy(relay->process_name, RELAY_NAME_OPENER, sizeof RELAY_NAME_OPENER);
    return sandbox_enter_opener(relay->config.sandbox_required);
}

static bool set_up(struct relay *relay, struct given *given, struct setup_reply *reply)
{
    use_config(relay);
    if (!relay
             ->in_container) /* there the engine mounts the two files, and nobody can replace them */
        dns_opener_start(&relay->dialler, confine_opener, relay);
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
    /* Ignored: a launcher that has died after it said to go on does not read the reply. */
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

static bool wait_for_go(struct relay *relay, struct setup_reply *reply)
{
    event_notice(&relay->log, "ready", "to take over; waits for SIGUSR1");
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

/* Waits, as an engine may remove a container and its log when it ends, so that the launcher can read the log. */
bool relay_setup_from_arguments(struct relay *relay, int count, char **arguments)
{
    struct setup_reply reply = {.result = BOTTLE_OK};

    relay->in_container = true;
    if (serve_from_arguments(relay, count, arguments, &reply))
        return true;
    event_notice(&relay->log, "start-failed", reply.message);
    closefrom(STDERR_FILENO + 1); /* closing the descriptors undoes what was done */
    (void)wait_for_signal(LAST_WORD_WAIT_S);
    return false;
}
