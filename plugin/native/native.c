/* SPDX-License-Identifier: MIT */
/*
 * native.c: the backend that runs the relay as a process on this machine.
 *
 * start opens the namespaces and the event log in the launcher, so that a wrong path is reported
 * there, runs the relay (relay_process.c), sends it its config with the namespaces, and waits until it
 * reports that every port listens.  Then it writes the gate's address into the agent's ssh_config and
 * tells the relay to go on, and the relay reports that it serves.  If anything fails before that, the set-up
 * socket is closed, on which the relay ends, and start waits for its end.
 *
 * In a takeover the new relay also gets a connection to the running relay, and the two do the takeover
 * between them (wire/control.h).  So the launcher may die at any moment: before it has told the new relay
 * to go on, nothing has changed; after that, the new relay takes over.
 *
 * The gate listens on internal_network: an IP address of this machine, or the path of a network
 * namespace, on whose loopback it then listens.  It dials from egress_network: "host", which is
 * the launcher's network, or the path of a network namespace.  A running gate is found by its control
 * socket or as a process (native_gate.c); there is no other record of it that could be out of date.
 *
 * In native/ belongs what is specific to a gate that runs as a process on this machine: running it, finding it,
 * connecting to it.  What the running gate itself does is in relay/.
 */
#include "backend.h"

#include "bottle/prepare.h"
#include "bottle/relay_config.h"
#include "common/cleanup.h"
#include "common/process/fd_passing.h"
#include "common/process/wait.h"
#include "common/sidecar/host_log.h"
#include "common/sidecar/options.h"
#include "common/sidecar/stage_claim.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_text.h"
#include "native/native_gate.h"
#include "native/relay_process.h"
#include "wire/setup_reply.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* For the relay's second reply; a takeover cannot take longer after the relay was told to go on. */
#define LAST_WORD_WAIT_MS 15000

static const char *const OPTION_KEYS[] = {RELAY_CONFIG_OPTION_KEYS, "exit_with_launcher",
                                          "start_timeout_ms", NULL};

/* ---- options ---- */

static enum bottle_result read_options(json_object *options, struct relay_config *config,
                                       int32_t *start_timeout_ms, struct failure *failure)
{
    const bool is_given = json_object_object_get_ex(options, "exit_with_launcher", NULL);
    bool exit_with_launcher = false;
    enum bottle_result result = json_check_keys(options, "start options", OPTION_KEYS, failure);

    *start_timeout_ms = 10000;
    if (result == BOTTLE_OK)
        result = relay_config_take_options(config, options, failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "start_timeout_ms", 1, DAY_MS, start_timeout_ms, failure);
    if (result == BOTTLE_OK)
        result = option_boolean(options, "exit_with_launcher", &exit_with_launcher, failure);
    config->launcher = (uint8_t)(!is_given            ? LAUNCHER_AS_BEFORE
                                 : exit_with_launcher ? LAUNCHER_FOLLOWED
                                                      : LAUNCHER_IGNORED);
    return result;
}

/* ---- networks ---- */

static enum bottle_result open_namespace(const char *what, const char *path, int *opened,
                                         struct failure *failure)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct statfs filesystem;

    if (fd < 0)
        return failure_set(
            failure, errno == ENOENT ? BOTTLE_UNAVAILABLE : result_of_errno(errno),
            "%s: \"%s\": %s; give the path of a network namespace, such as /run/netns/NAME or "
            "/proc/PID/ns/net",
            what, path, strerror(errno));
    if (fstatfs(fd, &filesystem) || filesystem.f_type != NSFS_MAGIC ||
        ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return failure_set(
            failure, BOTTLE_INVALID,
            "%s: \"%s\" is no network namespace; give a path such as /run/netns/NAME or "
            "/proc/PID/ns/net",
            what, path);
    *opened = steal_fd(&fd);
    return BOTTLE_OK;
}

static void take_listen_address(struct relay_config *config, const char *address)
{
    config->listen_address_count = 1;
    (void)snprintf(config->listen_addresses[0].address, sizeof config->listen_addresses[0].address,
                   "%s", address);
}

/* Names made by ip-netns(8) may have their own resolv.conf and hosts in /etc/netns; the relay uses those. */
static void take_netns_name(struct relay_config *config, const char *path)
{
    static const char *const DIRECTORIES[] = {"/run/netns/", "/var/run/netns/"};

    for (size_t i = 0; i < sizeof DIRECTORIES / sizeof DIRECTORIES[0]; i++) {
        size_t length = strlen(DIRECTORIES[i]);
        const char *name = path + length;
        if (strncmp(path, DIRECTORIES[i], length) == 0 && name[0] && name[0] != '.' &&
            !strchr(name, '/') && strlen(name) < sizeof config->egress_netns)
            (void)snprintf(config->egress_netns, sizeof config->egress_netns, "%s", name);
    }
}

struct networks {
    int internal_fd; /* -1: the gate listens on an address */
    int egress_fd;   /* -1: the launcher's network */
};

static void close_networks(const struct networks *networks)
{
    cleanup_fd(&networks->internal_fd);
    cleanup_fd(&networks->egress_fd);
}

static enum bottle_result open_networks(const struct plan *plan, struct networks *networks,
                                        struct relay_config *config, struct failure *failure)
{
    enum bottle_result result = BOTTLE_OK;

    if (plan->internal_network[0] == '/')
        result = open_namespace("internal_network", plan->internal_network, &networks->internal_fd,
                                failure);
    else if (grammar_listen_address(plan->internal_network))
        take_listen_address(config, plan->internal_network);
    else
        return failure_set(failure, BOTTLE_INVALID,
                           "internal_network: \"%s\" is neither one IP address of this machine, "
                           "such as 127.0.0.1, nor "
                           "the path of a network namespace, such as /proc/PID/ns/net",
                           plan->internal_network);
    if (result == BOTTLE_OK && plan->egress_network[0] == '/')
        result =
            open_namespace("egress_network", plan->egress_network, &networks->egress_fd, failure);
    else if (result == BOTTLE_OK && strcmp(plan->egress_network, "host") != 0)
        return failure_set(
            failure, BOTTLE_INVALID,
            "egress_network: \"%s\" is neither \"host\" nor the path of a network namespace",
            plan->egress_network);
    if (networks->egress_fd >= 0)
        take_netns_name(config, plan->egress_network);
    config->has_listen_namespace = networks->internal_fd >= 0;
    config->has_egress_namespace = networks->egress_fd >= 0;
    return result;
}

/* ---- start ---- */

static bool send_config(int setup_fd, const struct relay_config *config,
                        const struct networks *networks, int takeover_fd)
{
    int fds[3];
    size_t count = 0;

    if (networks->internal_fd >= 0)
        fds[count++] = networks->internal_fd;
    if (networks->egress_fd >= 0)
        fds[count++] = networks->egress_fd;
    if (takeover_fd >= 0)
        fds[count++] = takeover_fd;
    return send_with_fds(setup_fd, config, RELAY_CONFIG_LENGTH(config->upstream_count), fds, count);
}

static enum bottle_result receive_setup_reply(const struct bottle_host *host, int setup_fd,
                                              int32_t timeout_ms, struct failure *failure)
{
    struct setup_reply reply;

    if (!wait_readable(setup_fd, timeout_ms))
        return failure_set(failure, BOTTLE_TIMEOUT,
                           "the relay was not ready within start_timeout_ms, %d ms", timeout_ms);
    if (recv(setup_fd, &reply, sizeof reply, 0) != (ssize_t)sizeof reply)
        return failure_set(failure, BOTTLE_INTERNAL, "the relay ended before it was ready");
    reply.message[sizeof reply.message - 1] = '\0';
    if (reply.result != BOTTLE_OK)
        return failure_set(failure, (enum bottle_result)reply.result, "%s", reply.message);
    if (reply.message[0])
        host_log(host, BOTTLE_LOG_WARNING, "%s", reply.message);
    return BOTTLE_OK;
}

/* What the steps of one start share. */
struct native_start {
    const struct bottle_host *host;
    const struct plan *plan;
    struct relay_config *config;
    struct networks networks;
    const char *target; /* the long form */
    int32_t timeout_ms;
    int takeover_fd; /* a control connection on which CONTROL_TAKEOVER was sent; -1: no takeover */
    int stage_fd, event_log_fd, setup_fd, process_fd;
};

static void close_start(const struct native_start *start)
{
    close_networks(&start->networks);
    cleanup_fd(&start->takeover_fd);
    cleanup_fd(&start->stage_fd);
    cleanup_fd(&start->event_log_fd);
    cleanup_fd(&start->setup_fd);
    cleanup_fd(&start->process_fd);
    free(start->config);
}
#define CLEANUP_START __attribute__((cleanup(close_start)))

static struct target own_target(const struct native_start *start)
{
    struct target target = {0};

    memcpy(target.slug, start->plan->slug, sizeof target.slug);
    memcpy(target.instance, start->config->instance, sizeof target.instance);
    return target;
}

/* Runs the relay, and waits until it reports that every port listens. */
static enum bottle_result run_relay(struct native_start *start, struct failure *failure)
{
    const struct target own = own_target(start);
    enum bottle_result result =
        relay_process_run(start->target, start->stage_fd, start->event_log_fd, &start->setup_fd,
                          &start->process_fd, failure);

    if (result != BOTTLE_OK)
        return result;
    if (!send_config(start->setup_fd, start->config, &start->networks, start->takeover_fd))
        return failure_set(failure, BOTTLE_INTERNAL, "the relay does not take its config: %s",
                           strerror(errno));
    /* Only the new relay may hold it, so that the old one sees end of file if the new one ends. */
    if (start->takeover_fd >= 0)
        (void)close(steal_fd(&start->takeover_fd));
    else /* meanwhile the relay sets itself up */
        result = native_gate_check_slug(&own, start->timeout_ms, failure);
    if (result != BOTTLE_OK)
        return result;
    return receive_setup_reply(start->host, start->setup_fd, start->timeout_ms, failure);
}

static enum bottle_result let_relay_serve(const struct native_start *start, struct failure *failure)
{
    static const char GO = 1;

    if (send(start->setup_fd, &GO, sizeof GO, MSG_NOSIGNAL) != (ssize_t)sizeof GO)
        return failure_set(failure, BOTTLE_INTERNAL, "the relay ended before it could serve");
    return receive_setup_reply(start->host, start->setup_fd, LAST_WORD_WAIT_MS, failure);
}

/* Writes the agent's files before the relay serves, and restores them if it fails to. */
static enum bottle_result finish_start(const struct native_start *start, struct failure *failure)
{
    const struct relay_config *config = start->config;
    CLEANUP_AGENT_FILES struct agent_files before = {0};
    enum bottle_result result = agent_files_read(start->plan, start->stage_fd, &before, failure);

    if (result == BOTTLE_OK)
        result = agent_files_write(
            start->plan, start->stage_fd,
            config->listen_address_count > 0 ? config->listen_addresses[0].address : "127.0.0.1",
            failure);
    if (result != BOTTLE_OK)
        return result;
    result = let_relay_serve(start, failure);
    if (result != BOTTLE_OK)
        agent_files_restore(start->host, start->plan, start->stage_fd, &before);
    return result;
}

static enum bottle_result start_relay(struct native_start *start, struct failure *failure)
{
    enum bottle_result result =
        stage_dir_open(start->plan->stage_dir, &start->stage_fd, NULL, failure);

    if (result == BOTTLE_OK)
        result =
            stage_claim_check(start->stage_fd, start->plan->stage_dir, start->plan->slug, failure);
    if (result == BOTTLE_OK)
        result = stage_dir_open_log(start->stage_fd, start->plan->stage_dir, EVENT_LOG_FILE,
                                    &start->event_log_fd, failure);
    if (result == BOTTLE_OK)
        result = run_relay(start, failure);
    if (result == BOTTLE_OK)
        result = finish_start(start, failure);
    /* So that its ports and its slug are free when start returns, unless it does not even end by SIGKILL. */
    if (result != BOTTLE_OK && start->process_fd >= 0) {
        (void)close(steal_fd(&start->setup_fd));
        (void)wait_process_end(start->process_fd);
    }
    return result;
}

static enum bottle_result request_takeover(struct native_start *start, const struct target *from,
                                           struct failure *failure)
{
    if (!from)
        return BOTTLE_OK;
    start->config->has_takeover = true;
    return native_gate_request_takeover(from, &start->takeover_fd, failure);
}

static enum bottle_result native_start(const struct bottle_host *host, const struct plan *plan,
                                       json_object *options, const struct target *from,
                                       char **target, struct failure *failure)
{
    CLEANUP_START struct native_start start = {
        .host = host,
        .plan = plan,
        .config = calloc(1, sizeof *start.config),
        .networks = {.internal_fd = -1, .egress_fd = -1},
        .takeover_fd = -1,
        .stage_fd = -1,
        .event_log_fd = -1,
        .setup_fd = -1,
        .process_fd = -1,
    };

    if (!start.config)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = read_options(options, start.config, &start.timeout_ms, failure);
    if (result == BOTTLE_OK)
        result = relay_config_take_plan(start.config, plan, failure);
    if (result == BOTTLE_OK)
        result = open_networks(plan, &start.networks, start.config, failure);
    if (result == BOTTLE_OK)
        result = target_text("native", plan->slug, start.config->instance, target, failure);
    start.target = *target;
    if (result == BOTTLE_OK)
        result = request_takeover(&start, from, failure);
    if (result == BOTTLE_OK)
        result = start_relay(&start, failure);
    if (result == BOTTLE_OK)
        host_log(host, BOTTLE_LOG_INFO, "gate %s listens for %zu upstreams on %s", *target,
                 plan->upstream_count, plan->internal_network);
    return result;
}

/* ---- the running gate ---- */

static enum bottle_result native_status(const struct target *target, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_FREE char *text = NULL;
    enum bottle_result result = native_gate_status(target, &text, failure);
    json_object *instance;

    if (result != BOTTLE_OK)
        return result;
    CLEANUP_JSON json_object *parsed = json_tokener_parse(text);
    if (!parsed || !json_object_object_get_ex(parsed, "instance", &instance))
        return failure_set(failure, BOTTLE_INTERNAL,
                           "native:%s: the relay's status is not JSON, or has no instance",
                           target->slug);

    CLEANUP_FREE char *full = NULL;
    result = target_text("native", target->slug, json_object_get_string(instance), &full, failure);
    if (result != BOTTLE_OK)
        return result;
    json_object_object_del(parsed, "instance");
    if (json_object_object_add(parsed, "target", json_object_new_string(full)))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&parsed);
    return BOTTLE_OK;
}

const struct backend backend_native = {
    .name = "native",
    .of_target = {.stop = native_gate_stop, .status = native_status},
    .start = native_start,
    .drain = native_gate_drain,
    .yield = native_gate_yield,
};
