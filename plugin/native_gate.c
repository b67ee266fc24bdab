/* SPDX-License-Identifier: MIT */
/*
 * native_gate.c: see native_gate.h.
 *
 * A control socket has its name in the network namespace that the launcher was in, out of the bottle's
 * reach; so a process, or a thread, of another network namespace does not find it, nor does another user look
 * for it.  What is not found by its socket is looked for as a process (relay_search.c): a signal ends it
 * from anywhere, and whoever may enter the namespace of its socket connects to it there.  That is done
 * by a thread of its own, which is gone when this returns, so the caller is in no other namespace at any time.
 */
#include "native_gate.h"

#include "common/cleanup.h"
#include "common/wait.h"
#include "control_client.h"
#include "relay/protocol.h"
#include "relay_search.h"

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OTHERS_SIZE 512
/* A relay has its control socket before its connections, after what it took over. */
#define CONTROL_FD_MAX 512
#define LIST_TRIES     3 /* the kernel's list of sockets may leave one out */
#define BEGIN_TRIES    50
#define BEGIN_PAUSE_MS 20

static bool is_own(const struct relay_process *relay)
{
    return relay->uid == geteuid();
}

/* ---- finding ---- */

static void add_other(char others[OTHERS_SIZE], const struct relay_process *relay)
{
    size_t length = strlen(others);

    (void)snprintf(others + length, OTHERS_SIZE - length, "%snative:%s:%s of user %u (process %d)",
                   length > 0 ? ", " : "", relay->target.slug, relay->target.instance, relay->uid,
                   relay->pid);
}

static enum bottle_result fail_of_others(const struct target *of, const char *others,
                                         struct failure *failure)
{
    return failure_set(failure, BOTTLE_DENIED, "user %u runs no gate native:%s; there is %s: %s",
                       geteuid(), of->slug, others,
                       geteuid() == 0 ? "root has to name it in full"
                                      : "only that user, and root, can reach it");
}

static enum bottle_result fail_search(const struct relay_search *search, struct failure *failure)
{
    return failure_set(failure, result_of_errno(search->error),
                       "native:%s: its process cannot be looked at: pidfd_open: %s%s",
                       search->of->slug, strerror(search->error),
                       search->error == ENOSYS ? "; it takes Linux 5.3" : "");
}

/* Moves what was found to where it is kept. */
static void keep(struct relay_process *kept, struct relay_process *found)
{
    relay_process_close(kept);
    *kept = *found;
    *found = NO_RELAY_PROCESS;
}

/*
 * This user's relay: of a slug the one that serves, or else one that drains.  Of an instance, if this user has
 * none, that of another user; there may be more than one, as anybody can take a name that is not his.
 * @found: out; BOTTLE_DENIED: there are only those of other users
 * @count: out: how many of other users there are
 */
static enum bottle_result find(const struct target *of, struct relay_process *found, size_t *count,
                               struct failure *failure)
{
    CLEANUP_RELAY_SEARCH struct relay_search search = {0};
    CLEANUP_RELAY_PROCESS struct relay_process next = NO_RELAY_PROCESS;
    CLEANUP_RELAY_PROCESS struct relay_process other = NO_RELAY_PROCESS;
    char others[OTHERS_SIZE] = "";
    enum bottle_result result = relay_search_begin(&search, of, failure);

    *count = 0;
    if (result != BOTTLE_OK)
        return result;
    while (!found->has_slug && relay_search_next(&search, &next)) {
        if (!is_own(&next)) {
            add_other(others, &next);
            *count += 1;
            keep(&other, &next);
        } else if (found->fd < 0 || next.has_slug) {
            keep(found, &next);
        }
    }
    if (found->fd < 0 && of->instance[0])
        keep(found, &other);
    if (found->fd >= 0)
        return BOTTLE_OK;
    if (search.error)
        return fail_search(&search, failure);
    if (others[0])
        return fail_of_others(of, others, failure);
    return failure_set(failure, BOTTLE_NOT_FOUND, "no gate runs as native:%s%s%s", of->slug,
                       of->instance[0] ? ":" : "", of->instance);
}

/* ---- entering ---- */

/* The network namespace of its control socket, by a copy of that; or a negative errno value. */
static int control_network(const struct relay_process *relay)
{
    for (int number = 0; number < CONTROL_FD_MAX; number++) {
        CLEANUP_FD int copy = (int)syscall(SYS_pidfd_getfd, relay->fd, number, 0);
        if (copy < 0 && errno != EBADF)
            return -errno;
        if (copy >= 0 && control_is_socket_of(copy, &relay->target, relay->uid)) {
            int network_fd = ioctl(copy, SIOCGSKNS);
            return network_fd >= 0 ? network_fd : -errno;
        }
    }
    return -ENOENT;
}

struct visit {
    const struct relay_process *relay;
    int network_fd;
    int connected; /* out: as control_socket() returns it */
};

static void *connect_there(void *context)
{
    struct visit *visit = context;

    visit->connected = setns(visit->network_fd, CLONE_NEWNET)
                           ? -errno
                           : control_socket(&visit->relay->target, visit->relay->uid);
    return NULL;
}

/* The host's signals are none of the thread's business. */
static int run_to_end(void *(*function)(void *context), void *context)
{
    sigset_t all, before;
    pthread_t thread;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, function, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error ? error : pthread_join(thread, NULL);
}

/* As control_socket() returns it. */
static int control_socket_elsewhere(const struct relay_process *relay)
{
    CLEANUP_FD int network_fd = control_network(relay);
    struct visit visit = {.relay = relay, .network_fd = network_fd};

    if (network_fd < 0)
        return network_fd;
    int error = run_to_end(connect_there, &visit);
    return error ? -error : visit.connected;
}

/* From here, or from where its socket is. */
static int connect_to(const struct relay_process *relay)
{
    int connected = control_socket(&relay->target, relay->uid);

    return connected == -ECONNREFUSED ? control_socket_elsewhere(relay) : connected;
}

static enum bottle_result fail_unreachable(const struct relay_process *relay, const char *why,
                                           struct failure *failure)
{
    const struct target *target = &relay->target;

    if (!is_own(relay))
        return failure_set(
            failure, BOTTLE_DENIED,
            "native:%s:%s is a gate of user %u (process %d), not of user %u: call as "
            "that user, or as root",
            target->slug, target->instance, relay->uid, relay->pid, geteuid());
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "native:%s:%s runs as process %d, and its control socket is in another "
                       "network namespace (%s): call from the one that its launcher was in, or "
                       "stop it",
                       target->slug, target->instance, relay->pid, why);
}

/* Connects to what was not found by its socket. */
static enum bottle_result connect_found(const struct target *of, struct control_link *link,
                                        struct failure *failure)
{
    CLEANUP_RELAY_PROCESS struct relay_process relay = NO_RELAY_PROCESS;
    size_t count;
    enum bottle_result result = find(of, &relay, &count, failure);

    if (result != BOTTLE_OK)
        return result;
    if (!is_own(&relay) && (geteuid() != 0 || count > 1))
        return fail_unreachable(&relay, "", failure);
    int connected = connect_to(&relay);
    /* One that has just begun has no control socket yet, which takes it some milliseconds. */
    for (int i = 0; connected < 0 && i < BEGIN_TRIES; i++) {
        if (wait_readable(relay.fd, BEGIN_PAUSE_MS))
            return failure_set(failure, BOTTLE_NOT_FOUND, "native:%s:%s has just ended",
                               relay.target.slug, relay.target.instance);
        connected = connect_to(&relay);
    }
    if (connected < 0)
        return fail_unreachable(&relay, strerror(-connected), failure);
    return control_link_open(&relay.target, relay.uid, connected, link, failure);
}

/* ---- what is done with it ---- */

enum bottle_result native_gate_status(const struct target *target, char **text,
                                      struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_status(target, text, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = connect_found(target, &link, failure);
    return result == BOTTLE_OK ? control_link_status(&link, text, failure) : result;
}

enum bottle_result native_gate_drain(const struct target *target, int64_t grace_ms,
                                     struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_drain(target, grace_ms, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = connect_found(target, &link, failure);
    return result == BOTTLE_OK ? control_link_drain(&link, grace_ms, failure) : result;
}

enum bottle_result native_gate_yield(const struct target *target, struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_yield(target, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = connect_found(target, &link, failure);
    return result == BOTTLE_OK ? control_link_yield(&link, failure) : result;
}

enum bottle_result native_gate_request_takeover(const struct target *target, int *connected,
                                                struct failure *failure)
{
    CLEANUP_RELAY_PROCESS struct relay_process relay = NO_RELAY_PROCESS;
    size_t count;
    enum bottle_result result = control_request_takeover(target, connected, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = find(target, &relay, &count, failure);
    return result == BOTTLE_OK ? fail_unreachable(&relay, "a takeover stays in one", failure)
                               : result;
}

/* ---- stop ---- */

static enum bottle_result end_process(const struct relay_process *relay, struct failure *failure)
{
    if (syscall(SYS_pidfd_send_signal, relay->fd, SIGTERM, NULL, 0) && errno != ESRCH)
        return fail_unreachable(relay, strerror(errno), failure);
    if (wait_process_end(relay->fd))
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "native:%s:%s, process %d, ends neither by SIGTERM nor by SIGKILL",
                       relay->target.slug, relay->target.instance, relay->pid);
}

/* BOTTLE_NOT_FOUND: there was none.  BOTTLE_DENIED: there are only those of other users. */
static enum bottle_result end_processes(const struct target *of, struct failure *failure)
{
    enum bottle_result all = BOTTLE_NOT_FOUND;

    for (;;) {
        CLEANUP_RELAY_PROCESS struct relay_process relay = NO_RELAY_PROCESS;
        size_t count;
        enum bottle_result result = find(of, &relay, &count, failure);
        if (result == BOTTLE_OK)
            result = end_process(&relay, failure);
        else if (all == BOTTLE_OK && (result == BOTTLE_NOT_FOUND || result == BOTTLE_DENIED))
            return BOTTLE_OK;
        if (result != BOTTLE_OK)
            return result;
        all = BOTTLE_OK;
    }
}

enum bottle_result native_gate_stop(const struct target *target, struct failure *failure)
{
    enum bottle_result result = control_stop(target, failure), more;
    struct failure ignored;

    if (result == BOTTLE_NOT_FOUND)
        return end_processes(target, failure);
    if (result != BOTTLE_OK || target->instance[0])
        return result;
    /* Of a slug there may be more in other network namespaces. */
    more = end_processes(target, &ignored);
    if (more == BOTTLE_NOT_FOUND || more == BOTTLE_DENIED || more == BOTTLE_OK)
        return result;
    *failure = ignored;
    return more;
}

/* ---- start ---- */

/*
 * Whether its control socket is in this network namespace, where the kernel keeps the slug's name apart, or
 * will be: a relay begins in the namespace of its launcher, and makes its socket before anything else.  Where
 * that may not be looked at, as only root may, a relay that has just begun gets the time for it.
 */
static bool is_here(const struct relay_process *relay)
{
    char path[64];
    struct stat own, other;

    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", relay->pid);
    bool is_seen = !stat(path, &other);
    if (is_seen && !stat("/proc/thread-self/ns/net", &own) && own.st_dev == other.st_dev &&
        own.st_ino == other.st_ino)
        return true;
    for (int i = 0; i < (is_seen ? LIST_TRIES : BEGIN_TRIES); i++)
        if (control_is_listed(&relay->target) ||
            wait_readable(relay->fd, is_seen ? 0 : BEGIN_PAUSE_MS)) /* it has ended */
            return true;
    return false;
}

enum bottle_result native_gate_check_slug(const struct target *own, struct failure *failure)
{
    CLEANUP_RELAY_SEARCH struct relay_search search = {0};
    CLEANUP_RELAY_PROCESS struct relay_process other = NO_RELAY_PROCESS;
    struct target slug = *own;
    struct failure ignored;

    slug.instance[0] = '\0';
    if (relay_search_begin(&search, &slug, &ignored) != BOTTLE_OK)
        return BOTTLE_OK; /* then the name of this network namespace has to do */
    while (relay_search_next(&search, &other))
        if (is_own(&other) && other.has_slug && strcmp(other.target.instance, own->instance) != 0 &&
            !is_here(&other))
            return failure_set(
                failure, BOTTLE_CONFLICT,
                "slug \"%s\" has a running gate already, native:%s:%s, process %d, in "
                "another network namespace: stop it first, or choose another slug",
                own->slug, own->slug, other.target.instance, other.pid);
    return BOTTLE_OK;
}
