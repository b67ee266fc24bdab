/* SPDX-License-Identifier: MIT */
/*
 * control_client.c: one connection a request.
 *
 * The relay's names in the abstract name space are bound by whoever comes first, so each answer is
 * trusted only after SO_PEERCRED has said that this user, or root, is at the other end (unix(7)).
 *
 * SO_PEERCRED names the process that made the socket listen.  That is the relay itself for the
 * name of an instance; the claim on the slug may be an earlier relay's, which handed it over.  So
 * who stops is always an instance, and those of a slug are found in the kernel's list of sockets.
 */
#include "control_client.h"

#include "common/cleanup.h"
#include "common/socket_list.h"
#include "common/wait.h"
#include "relay/protocol.h"
#include "relay_process.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#define ANSWER_WAIT_MS 5000
#define LISTENING      " 00010000 " /* in the column Flags of the socket list */

static void shown(const struct target *target, char text[SLUG_SIZE + TARGET_INSTANCE_SIZE + 16])
{
    (void)snprintf(text, SLUG_SIZE + TARGET_INSTANCE_SIZE + 16, "native:%s%s%s", target->slug,
                   target->instance[0] ? ":" : "", target->instance);
}

static enum bottle_result connect_control(const struct target *target, int *connected, pid_t *pid,
                                          struct failure *failure)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *name = address.sun_path + 1, text[SLUG_SIZE + TARGET_INSTANCE_SIZE + 16];
    const size_t size = sizeof address.sun_path - 1;
    /* For connect(2), which waits while others ask, and send(2). */
    const struct timeval limit = {.tv_sec = ANSWER_WAIT_MS / 1000};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    shown(target, text);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit))
        return failure_set(failure, BOTTLE_INTERNAL, "%s: socket: %s", text, strerror(errno));
    int length = target->instance[0]
                     ? snprintf(name, size, CONTROL_NAME_OF_INSTANCE, geteuid(), target->slug,
                                target->instance)
                     : snprintf(name, size, CONTROL_NAME_OF_SLUG, geteuid(), target->slug);
    socklen_t address_length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int failed;
    do {
        failed = connect(fd, (struct sockaddr *)&address, address_length);
    } while (failed && errno == EINTR);
    if (failed) {
        if (errno == ECONNREFUSED)
            return failure_set(failure, BOTTLE_NOT_FOUND, "no gate runs as %s", text);
        return failure_set(failure, errno == EAGAIN ? BOTTLE_TIMEOUT : result_of_errno(errno),
                           "%s: control socket: %s", text, strerror(errno));
    }

    struct ucred peer;
    socklen_t peer_length = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_length))
        return failure_set(failure, BOTTLE_INTERNAL, "%s: SO_PEERCRED: %s", text, strerror(errno));
    if (peer.uid != geteuid() && peer.uid != 0)
        return failure_set(
            failure, BOTTLE_DENIED,
            "%s: its control socket belongs to process %d of user %u, not to a gate of this user; "
            "use another slug",
            text, peer.pid, peer.uid);
    *pid = peer.pid;
    *connected = steal_fd(&fd);
    return BOTTLE_OK;
}

static enum bottle_result send_request(int fd, enum control_operation operation, int64_t grace_ms,
                                       struct failure *failure)
{
    const struct control_request request = {
        .version = CONTROL_VERSION, .operation = operation, .grace_ms = grace_ms};

    if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        return failure_set(failure, BOTTLE_NOT_FOUND, "the gate went away: %s", strerror(errno));
    return BOTTLE_OK;
}

/* packet: out: the reply and its text, NUL-terminated, malloc'ed. */
static enum bottle_result receive_reply(int fd, char **packet, struct failure *failure)
{
    char probe;

    if (!wait_readable(fd, ANSWER_WAIT_MS))
        return failure_set(failure, BOTTLE_TIMEOUT,
                           "the gate does not answer within %d ms; stop it", ANSWER_WAIT_MS);
    ssize_t length = recv(fd, &probe, sizeof probe, MSG_PEEK | MSG_TRUNC);
    if (length < (ssize_t)sizeof(struct control_reply))
        return failure_set(failure, BOTTLE_NOT_FOUND, "the gate went away");

    CLEANUP_FREE char *buffer = malloc((size_t)length + 1);
    if (!buffer)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    if (recv(fd, buffer, (size_t)length, 0) != length)
        return failure_set(failure, BOTTLE_INTERNAL, "control socket: %s", strerror(errno));
    buffer[length] = '\0';

    struct control_reply reply;
    memcpy(&reply, buffer, sizeof reply);
    if (reply.result != BOTTLE_OK)
        return failure_set(failure, result_of_refusal(reply.result),
                           "the gate refuses: it was started by another version of ssh_gate "
                           "(control version %u here)",
                           CONTROL_VERSION);
    *packet = steal_pointer(&buffer);
    return BOTTLE_OK;
}

static enum bottle_result ask(const struct target *target, enum control_operation operation,
                              int64_t grace_ms, char **packet, struct failure *failure)
{
    CLEANUP_FD int fd = -1;
    pid_t pid;
    enum bottle_result result = connect_control(target, &fd, &pid, failure);

    if (result == BOTTLE_OK)
        result = send_request(fd, operation, grace_ms, failure);
    if (result == BOTTLE_OK)
        result = receive_reply(fd, packet, failure);
    return result;
}

enum bottle_result control_drain(const struct target *target, int64_t grace_ms,
                                 struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;

    return ask(target, CONTROL_DRAIN, grace_ms, &packet, failure);
}

enum bottle_result control_yield(const struct target *target, struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;

    return ask(target, CONTROL_YIELD, -1, &packet, failure);
}

enum bottle_result control_request_takeover(const struct target *target, int *connected,
                                            struct failure *failure)
{
    CLEANUP_FD int fd = -1;
    pid_t pid;
    enum bottle_result result = connect_control(target, &fd, &pid, failure);

    if (result == BOTTLE_OK)
        result = send_request(fd, CONTROL_TAKEOVER, 0, failure);
    if (result == BOTTLE_OK)
        *connected = steal_fd(&fd);
    return result;
}

static enum bottle_result stop_instance(const struct target *target, struct failure *failure)
{
    CLEANUP_FD int fd = -1;
    pid_t pid = 0;
    enum bottle_result result = connect_control(target, &fd, &pid, failure);

    if (result != BOTTLE_OK)
        return result;
    /* The connection was up when the descriptor was made, so the number was still that process's.
     */
    CLEANUP_FD int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    result = send_request(fd, CONTROL_STOP, 0, failure);
    if (result != BOTTLE_OK && process < 0)
        return result;
    /* A relay that did not take the request is about to end, or hangs. */
    if (!(process >= 0 ? wait_process_end(process) : wait_readable(fd, ANSWER_WAIT_MS)))
        return failure_set(
            failure, BOTTLE_TIMEOUT,
            "native:%s: the relay, process %d, ends neither by request nor by SIGKILL",
            target->slug, pid);
    return BOTTLE_OK;
}

/* Takes the instance out of a line of the list (proc(5)) that is of a relay of the slug. */
static bool is_instance_of(const char *line, const char *prefix, struct target *target)
{
    const char *name = strrchr(line, ' ');

    if (!name || !strstr(line, LISTENING) || strncmp(name + 1, prefix, strlen(prefix)) != 0)
        return false;
    const char *instance = name + 1 + strlen(prefix);
    size_t length = strlen(instance);
    if (length == 0 || length >= sizeof target->instance)
        return false;
    memcpy(target->instance, instance, length + 1);
    return true;
}

/* Those that run under a slug. */
struct instances {
    struct target target; /* the one that next_instance() found */
    char prefix[128];     /* of their names */
    char *rest;           /* of the list */
};

static struct instances instances_of(const struct target *of, char *list)
{
    struct instances instances = {.target = *of, .rest = list};

    (void)snprintf(instances.prefix, sizeof instances.prefix, "@" CONTROL_NAME_OF_INSTANCE,
                   geteuid(), of->slug, "");
    return instances;
}

static bool next_instance(struct instances *instances)
{
    for (char *line; (line = strsep(&instances->rest, "\n"));)
        if (is_instance_of(line, instances->prefix, &instances->target))
            return true;
    return false;
}

/* One pass over the list.  BOTTLE_NOT_FOUND: there was none to stop. */
static enum bottle_result stop_listed(const struct target *of, struct failure *failure)
{
    CLEANUP_FREE char *list = socket_list_read();
    struct instances instances = instances_of(of, list);
    enum bottle_result all = BOTTLE_NOT_FOUND;

    if (!list)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "native:%s: its relays cannot be found in " SOCKET_LIST
                           ": %s; stop them by the targets that start returned",
                           of->slug, strerror(errno));
    while (next_instance(&instances)) {
        struct failure one;
        enum bottle_result result = stop_instance(&instances.target, &one);
        if (result == BOTTLE_NOT_FOUND) /* it went meanwhile */
            continue;
        if (result != BOTTLE_OK)
            *failure = one;
        if (all == BOTTLE_NOT_FOUND || result != BOTTLE_OK)
            all = result;
    }
    if (all == BOTTLE_NOT_FOUND)
        return failure_set(failure, all, "no gate runs as native:%s", of->slug);
    return all;
}

/* The kernel may skip one while others go, so it takes a list without any to be sure. */
static enum bottle_result stop_instances(const struct target *of, struct failure *failure)
{
    CLEANUP_FD int claim_fd = -1;
    pid_t pid;
    enum bottle_result result = stop_listed(of, failure);

    /* Then nobody holds the claim, or a stranger does, or a relay that was skipped. */
    if (result == BOTTLE_NOT_FOUND) {
        result = connect_control(of, &claim_fd, &pid, failure);
        if (result == BOTTLE_OK)
            result = stop_listed(of, failure);
        if (result != BOTTLE_OK)
            return result;
    }
    while (result == BOTTLE_OK)
        result = stop_listed(of, failure);
    return result == BOTTLE_NOT_FOUND ? BOTTLE_OK : result;
}

enum bottle_result control_stop(const struct target *target, struct failure *failure)
{
    return target->instance[0] ? stop_instance(target, failure) : stop_instances(target, failure);
}

/* ---- status ---- */

static enum bottle_result status_of(const struct target *target, char **text,
                                    struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;
    enum bottle_result result = ask(target, CONTROL_STATUS, 0, &packet, failure);

    if (result != BOTTLE_OK)
        return result;
    *text = packet ? strdup(packet + sizeof(struct control_reply)) : NULL;
    return *text ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* The first in the list. */
static enum bottle_result status_of_any(const struct target *of, char **text,
                                        struct failure *failure)
{
    CLEANUP_FREE char *list = socket_list_read();
    struct instances instances = instances_of(of, list);
    enum bottle_result result = BOTTLE_NOT_FOUND;

    while (result == BOTTLE_NOT_FOUND && next_instance(&instances))
        result = status_of(&instances.target, text, failure);
    return result;
}

enum bottle_result control_status(const struct target *target, char **text, struct failure *failure)
{
    struct failure of_any;
    enum bottle_result result = status_of(target, text, failure);

    if (result != BOTTLE_NOT_FOUND || target->instance[0])
        return result;
    result = status_of_any(target, text, &of_any);
    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        *failure = of_any;
    return result;
}
