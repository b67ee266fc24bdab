/* SPDX-License-Identifier: MIT */
/*
 * control_client.c: see control_client.h.  Each request has its own connection.
 *
 * Any process can bind the names of a relay in the abstract name space, so an answer is trusted only if
 * SO_PEERCRED tells that the other end is this user or root (unix(7)).
 *
 * SO_PEERCRED names the process that called listen(2).  For the name of an instance that is the relay
 * itself; the socket of the slug's name may have been handed over by an earlier relay.  So stop always acts
 * on instances, and finds those of a slug in the kernel's list of sockets; and messages give the process
 * only for an instance.
 */
#include "wire/control_client.h"

#include "common/cleanup.h"
#include "common/process/socket_list.h"
#include "common/process/wait.h"
#include "wire/control.h"
#include "wire/message_size.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#define ANSWER_WAIT_MS 5000
#define LISTENING      " 00010000 " /* the column Flags in the socket list, of a socket that listens */

/* pid: 0: unknown */
static void name_gate(const struct target *target, pid_t pid, char text[CONTROL_GATE_SIZE])
{
    char process[32] = "";

    if (pid > 0)
        (void)snprintf(process, sizeof process, " (process %d)", pid);
    (void)snprintf(text, CONTROL_GATE_SIZE, "native:%s%s%s%s", target->slug,
                   target->instance[0] ? ":" : "", target->instance, process);
}

/* ---- connections ---- */

void control_link_close(const struct control_link *link)
{
    cleanup_fd(&link->fd);
}

static socklen_t control_address(const struct target *target, uid_t owner,
                                 struct sockaddr_un *address)
{
    char *name = address->sun_path + 1;
    const size_t size = sizeof address->sun_path - 1;

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length =
        target->instance[0]
            ? snprintf(name, size, CONTROL_NAME_OF_INSTANCE, owner, target->slug, target->instance)
            : snprintf(name, size, CONTROL_NAME_OF_SLUG, owner, target->slug);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

int control_socket(const struct target *target, uid_t owner)
{
    /* For send(2), and for connect(2), which blocks while the queue of connections is full. */
    const struct timeval limit = {.tv_sec = ANSWER_WAIT_MS / 1000};
    struct sockaddr_un address;
    socklen_t length = control_address(target, owner, &address);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int failed;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit))
        return -errno;
    do {
        failed = connect(fd, (struct sockaddr *)&address, length);
    } while (failed && errno == EINTR);
    return failed ? -errno : steal_fd(&fd);
}

bool control_is_socket_of(int fd, const struct target *target, uid_t owner)
{
    struct sockaddr_un wanted, address = {0};
    socklen_t wanted_length = control_address(target, owner, &wanted), length = sizeof address;

    return getsockname(fd, (struct sockaddr *)&address, &length) == 0 && length == wanted_length &&
           memcmp(&address, &wanted, length) == 0;
}

enum bottle_result control_link_open(const struct target *target, uid_t owner, int connected,
                                     struct control_link *link, struct failure *failure)
{
    CLEANUP_FD int fd = connected;
    struct ucred peer;
    socklen_t length = sizeof peer;

    name_gate(target, 0, link->gate);
    if (connected == -ECONNREFUSED)
        return failure_set(failure, BOTTLE_NOT_FOUND, "no gate runs as %s", link->gate);
    if (connected < 0)
        return failure_set(
            failure, connected == -EAGAIN ? BOTTLE_TIMEOUT : result_of_errno(-connected),
            "%s: no connection to its control socket: %s", link->gate, strerror(-connected));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
        return failure_set(failure, BOTTLE_INTERNAL, "%s: SO_PEERCRED: %s", link->gate,
                           strerror(errno));
    if (peer.uid != owner && peer.uid != 0)
        return failure_set(
            failure, BOTTLE_DENIED,
            "%s: its control socket belongs to process %d of user %u, not to a gate of user %u; "
            "use another slug",
            link->gate, peer.pid, peer.uid, owner);
    link->pid = peer.pid;
    link->fd = steal_fd(&fd);
    if (target->instance[0]) /* the slug's socket may have been made by an earlier relay */
        name_gate(target, peer.pid, link->gate);
    return BOTTLE_OK;
}

static enum bottle_result connect_here(const struct target *target, struct control_link *link,
                                       struct failure *failure)
{
    return control_link_open(target, geteuid(), control_socket(target, geteuid()), link, failure);
}

/* ---- requests ---- */

static enum bottle_result fail_gone(const struct control_link *link, struct failure *failure)
{
    return failure_set(failure, BOTTLE_NOT_FOUND,
                       "%s ended as it was asked: see with status what runs, or start it again",
                       link->gate);
}

static enum bottle_result send_request(const struct control_link *link,
                                       enum control_operation operation, int64_t grace_ms,
                                       struct failure *failure)
{
    const struct control_request request = {
        .version = CONTROL_VERSION, .operation = operation, .grace_ms = grace_ms};

    if (send(link->fd, &request, sizeof request, MSG_NOSIGNAL) == (ssize_t)sizeof request)
        return BOTTLE_OK;
    if (errno == EAGAIN)
        return failure_set(failure, BOTTLE_TIMEOUT, "%s takes no request within %d ms: stop it",
                           link->gate, ANSWER_WAIT_MS);
    return fail_gone(link, failure);
}

/* A refusal without a text comes from a build that does not know the operation or the version. */
static enum bottle_result fail_refused(const struct control_link *link, int32_t result,
                                       const char *text, struct failure *failure)
{
    if (text[0])
        return failure_set(failure, result_of_refusal(result), "%s refuses: %.*s", link->gate,
                           RELAY_MESSAGE_SIZE, text);
    return failure_set(failure, result_of_refusal(result),
                       "%s refuses: it was started by another version of ssh_gate (control version "
                       "%u here): use that version, or stop it and start it again",
                       link->gate, CONTROL_VERSION);
}

/* packet: out: the reply and its text, NUL-terminated, malloc'ed. */
static enum bottle_result receive_reply(const struct control_link *link, char **packet,
                                        struct failure *failure)
{
    char probe;

    if (!wait_readable(link->fd, ANSWER_WAIT_MS))
        return failure_set(failure, BOTTLE_TIMEOUT, "%s does not answer within %d ms: stop it",
                           link->gate, ANSWER_WAIT_MS);
    ssize_t length = recv(link->fd, &probe, sizeof probe, MSG_PEEK | MSG_TRUNC);
    if (length < (ssize_t)sizeof(struct control_reply))
        return fail_gone(link, failure);

    CLEANUP_FREE char *buffer = malloc((size_t)length + 1);
    if (!buffer)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    if (recv(link->fd, buffer, (size_t)length, 0) != length)
        return failure_set(failure, BOTTLE_INTERNAL, "%s: control socket: %s", link->gate,
                           strerror(errno));
    buffer[length] = '\0';

    struct control_reply reply;
    memcpy(&reply, buffer, sizeof reply);
    if (reply.result != BOTTLE_OK)
        return fail_refused(link, reply.result, buffer + sizeof reply, failure);
    *packet = steal_pointer(&buffer);
    return BOTTLE_OK;
}

static enum bottle_result ask(const struct control_link *link, enum control_operation operation,
                              int64_t grace_ms, char **packet, struct failure *failure)
{
    enum bottle_result result = send_request(link, operation, grace_ms, failure);

    return result == BOTTLE_OK ? receive_reply(link, packet, failure) : result;
}

enum bottle_result control_link_drain(const struct control_link *link, int64_t grace_ms,
                                      struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;

    return ask(link, CONTROL_DRAIN, grace_ms, &packet, failure);
}

enum bottle_result control_link_yield(const struct control_link *link, struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;

    return ask(link, CONTROL_YIELD, -1, &packet, failure);
}

enum bottle_result control_link_status(const struct control_link *link, char **text,
                                       struct failure *failure)
{
    CLEANUP_FREE char *packet = NULL;
    enum bottle_result result = ask(link, CONTROL_STATUS, 0, &packet, failure);

    if (result != BOTTLE_OK)
        return result;
    *text = packet ? strdup(packet + sizeof(struct control_reply)) : NULL;
    return *text ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

enum bottle_result control_drain(const struct target *target, int64_t grace_ms,
                                 struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = connect_here(target, &link, failure);

    return result == BOTTLE_OK ? control_link_drain(&link, grace_ms, failure) : result;
}

enum bottle_result control_yield(const struct target *target, struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = connect_here(target, &link, failure);

    return result == BOTTLE_OK ? control_link_yield(&link, failure) : result;
}

enum bottle_result control_request_takeover(const struct target *target, int *connected,
                                            struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = connect_here(target, &link, failure);

    if (result == BOTTLE_OK)
        result = send_request(&link, CONTROL_TAKEOVER, 0, failure);
    if (result == BOTTLE_OK)
        *connected = steal_fd(&link.fd);
    return result;
}

/* ---- stop ---- */

static enum bottle_result stop_instance(const struct target *target, struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = connect_here(target, &link, failure);

    if (result != BOTTLE_OK)
        return result;
    /* The connection is still open, so the PID has not been reused. */
    CLEANUP_FD int process = link.pid > 0 ? (int)syscall(SYS_pidfd_open, link.pid, 0) : -1;
    result = send_request(&link, CONTROL_STOP, 0, failure);
    if (result != BOTTLE_OK && process < 0)
        return result;
    /* A relay that did not take the request ends already, or hangs. */
    if (!(process >= 0 ? wait_process_end(process) : wait_readable(link.fd, ANSWER_WAIT_MS)))
        return failure_set(failure, BOTTLE_TIMEOUT, "%s ends neither by request nor by SIGKILL",
                           link.gate);
    return BOTTLE_OK;
}

/* ---- the relays of a slug ---- */

/* Parses a line of the list (proc(5)).  True: it is of a relay of the slug; sets target->instance. */
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

/* An iteration over the relays of a slug. */
struct instances {
    struct target target; /* set by next_instance() */
    char prefix[128];     /* with which their names begin */
    char *rest;           /* of the list, still to be read */
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

bool control_is_listed(const struct target *target)
{
    CLEANUP_FREE char *list = socket_list_read();
    struct instances instances = instances_of(target, list);

    while (next_instance(&instances))
        if (strcmp(instances.target.instance, target->instance) == 0)
            return true;
    return false;
}

/* Stops the relays in the list.  BOTTLE_NOT_FOUND: there was none. */
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
        if (result == BOTTLE_NOT_FOUND ||
            result == BOTTLE_DENIED) /* it has ended; it is another user's */
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

/* Repeats until the list has none, as the kernel may omit a socket while others disappear. */
static enum bottle_result stop_instances(const struct target *of, struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link claim = NO_CONTROL_LINK;
    enum bottle_result result = stop_listed(of, failure);

    /* Either nobody has the slug's name, or another user, or a relay that the list omitted. */
    if (result == BOTTLE_NOT_FOUND) {
        result = connect_here(of, &claim, failure);
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
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = connect_here(target, &link, failure);

    return result == BOTTLE_OK ? control_link_status(&link, text, failure) : result;
}

/* The status of the first relay in the list that answers. */
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
