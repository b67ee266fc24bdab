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
#include "native/native_gate.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "native/relay_search.h"
#include "wire/control_client.h"
#include "wire/protocol.h"

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define OTHERS_SIZE 512
/* A relay has its control socket before its connections, after what it took over. */
#define CONTROL_FD_MAX 512
#define LIST_TRIES     3 /* the kernel's list of sockets may leave one out */
#define BEGIN_TRIES    50
#define BEGIN_PAUSE_MS 20
#define END_WAIT_MS    3000  /* as wait_process_end() waits */
#define BEGIN_MAX_MS   10000 /* on a busy machine */
#define RELAYS_MAX     64
#define END_ROUNDS     5

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

/* Those of this user, or else, of an instance, those of others: anybody can take a name that is not his. */
struct relays {
    struct relay_process list[RELAYS_MAX];
    size_t count;
    bool is_full; /* there are more */
};

static void close_relays(struct relays *relays)
{
    while (relays->count > 0)
        relay_process_close(&relays->list[--relays->count]);
}
#define CLEANUP_RELAYS __attribute__((cleanup(close_relays)))

/* Moves what was found into the list. */
static void keep(struct relays *relays, struct relay_process *found)
{
    relays->is_full = relays->count == RELAYS_MAX;
    if (relays->is_full)
        return;
    relays->list[relays->count++] = *found;
    *found = NO_RELAY_PROCESS;
}

static enum bottle_result fail_hidden(const struct target *of, struct failure *failure)
{
    return failure_set(
        failure, BOTTLE_UNAVAILABLE,
        "native:%s%s%s: whether its gate runs cannot be told: none is in this network "
        "namespace, and /proc hides the processes of others (hidepid): call from the "
        "network namespace that its launcher was in, or as root",
        of->slug, of->instance[0] ? ":" : "", of->instance);
}

/* BOTTLE_DENIED: the target is a slug that only others have. */
static enum bottle_result find(const struct target *of, struct relays *relays,
                               struct failure *failure)
{
    CLEANUP_RELAY_SEARCH struct relay_search search = {0};
    CLEANUP_RELAY_PROCESS struct relay_process next = NO_RELAY_PROCESS;
    char others[OTHERS_SIZE] = "";
    bool has_own = false;
    enum bottle_result result = relay_search_begin(&search, of, failure);

    if (result != BOTTLE_OK)
        return result;
    while (relay_search_next(&search, &next)) {
        if (is_own(&next) && !has_own) {
            close_relays(relays);
            has_own = true;
        }
        if (!is_own(&next))
            add_other(others, &next);
        if (is_own(&next) || (!has_own && of->instance[0]))
            keep(relays, &next);
    }
    if (relays->count > 0)
        return BOTTLE_OK;
    if (search.error)
        return fail_search(&search, failure);
    if (others[0])
        return fail_of_others(of, others, failure);
    if (relay_search_is_blind())
        return fail_hidden(of, failure);
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

/* Anybody can take the name of a socket; whose it is, SO_PEERCRED says. */
static int check_peer(const struct relay_process *relay, int connected)
{
    CLEANUP_FD int fd = connected;
    struct ucred peer = {0};
    socklen_t length = sizeof peer;

    if (connected < 0)
        return connected;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) || peer.pid != relay->pid)
        return -EADDRINUSE;
    return steal_fd(&fd);
}

/* From here, or from where its socket is. */
static int connect_to(const struct relay_process *relay)
{
    int connected = check_peer(relay, control_socket(&relay->target, relay->uid));

    return connected == -ECONNREFUSED || connected == -EADDRINUSE
               ? check_peer(relay, control_socket_elsewhere(relay))
               : connected;
}

static enum bottle_result fail_unreachable(const struct relay_process *relay, const char *why,
                                           struct failure *failure)
{
    const struct target *target = &relay->target;

    if (!is_own(relay) && geteuid() != 0)
        return failure_set(
            failure, BOTTLE_DENIED,
            "native:%s:%s is a gate of user %u (process %d), not of user %u: call as "
            "that user, or as root",
            target->slug, target->instance, relay->uid, relay->pid, geteuid());
    if (!is_own(relay))
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "native:%s:%s: no process of another user that has this name is at its "
                           "control socket, nor process %d of user %u (%s): stop it",
                           target->slug, target->instance, relay->pid, relay->uid, why);
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "native:%s:%s runs as process %d, and its control socket is in another "
                       "network namespace (%s): call from the one that its launcher was in, or "
                       "stop it",
                       target->slug, target->instance, relay->pid, why);
}

/* Of a slug the one that serves, or else one that drains. */
static void put_server_first(struct relays *relays)
{
    for (size_t i = 1; i < relays->count && !relays->list[0].has_slug; i++) {
        struct relay_process first = relays->list[0];
        relays->list[0] = relays->list[i];
        relays->list[i] = first;
    }
}

static bool have_ended(const struct relays *relays, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!wait_readable(relays->list[i].fd, 0))
            return false;
    return true;
}

/* Connects to what was not found by its socket: of those of others, the first that answers as itself. */
static enum bottle_result connect_found(const struct target *of, struct control_link *link,
                                        struct failure *failure)
{
    CLEANUP_RELAYS struct relays relays = {0};
    enum bottle_result result = find(of, &relays, failure);
    int connected = -ECONNREFUSED;

    if (result != BOTTLE_OK)
        return result;
    const struct relay_process *relay = relays.list;
    if (!is_own(relay) && geteuid() != 0)
        return fail_unreachable(relay, "", failure);
    put_server_first(&relays);
    size_t count = is_own(relay) ? 1 : relays.count;
    /* One that has just begun has no control socket yet, which takes it some milliseconds. */
    for (int i = 0; i < BEGIN_TRIES; i++) {
        for (size_t j = 0; j < count; j++) {
            relay = &relays.list[j];
            connected = connect_to(relay);
            if (connected >= 0)
                return control_link_open(&relay->target, relay->uid, connected, link, failure);
        }
        if (have_ended(&relays, count))
            return failure_set(failure, BOTTLE_NOT_FOUND, "native:%s:%s has just ended",
                               relay->target.slug, relay->target.instance);
        (void)wait_readable(relay->fd, BEGIN_PAUSE_MS);
    }
    return fail_unreachable(relay, strerror(-connected), failure);
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

static enum bottle_result fail_takeover(const struct relay_process *relay, struct failure *failure)
{
    if (is_own(relay) || geteuid() != 0)
        return fail_unreachable(relay, "a takeover stays in one", failure);
    return failure_set(
        failure, BOTTLE_DENIED,
        "native:%s:%s is a gate of user %u (process %d): only that user can take it over",
        relay->target.slug, relay->target.instance, relay->uid, relay->pid);
}

enum bottle_result native_gate_request_takeover(const struct target *target, int *connected,
                                                struct failure *failure)
{
    CLEANUP_RELAYS struct relays relays = {0};
    enum bottle_result result = control_request_takeover(target, connected, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = find(target, &relays, failure);
    if (result != BOTTLE_OK)
        return result;
    put_server_first(&relays);
    return fail_takeover(&relays.list[0], failure);
}

/* ---- stop ---- */

static bool send_signal(const struct relay_process *relay, int number)
{
    return !syscall(SYS_pidfd_send_signal, relay->fd, number, NULL, 0) || errno == ESRCH;
}

/* All of them have one time to end in, however many there are. */
static enum bottle_result end_relays(const struct relays *relays, struct failure *failure)
{
    for (size_t i = 0; i < relays->count; i++)
        if (!send_signal(&relays->list[i], SIGTERM))
            return fail_unreachable(&relays->list[i], strerror(errno), failure);
    int64_t end_ms = wait_now_ms() + END_WAIT_MS;
    for (size_t i = 0; i < relays->count; i++)
        if (!wait_readable(relays->list[i].fd, (int)(end_ms - wait_now_ms())))
            (void)send_signal(&relays->list[i], SIGKILL); /* the wait below says if it fails */
    for (size_t i = 0; i < relays->count; i++) {
        const struct relay_process *relay = &relays->list[i];
        if (!wait_process_end(relay->fd))
            return failure_set(failure, BOTTLE_TIMEOUT,
                               "native:%s:%s, process %d, ends neither by SIGTERM nor by SIGKILL",
                               relay->target.slug, relay->target.instance, relay->pid);
    }
    return BOTTLE_OK;
}

static enum bottle_result fail_full(const struct target *of, const struct relays *relays,
                                    struct failure *failure)
{
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "native:%s:%s: %d processes of other users with this name were ended, and "
                       "there are more: end those of user %u, then stop it again",
                       of->slug, of->instance, RELAYS_MAX, relays->list[0].uid);
}

/*
 * Once those of others, who may start new ones as fast as they are ended; this user's until none is left.
 * BOTTLE_NOT_FOUND: there was none.  BOTTLE_DENIED: there are only those of other users.
 */
static enum bottle_result end_processes(const struct target *of, struct failure *failure)
{
    for (int round = 0; round < END_ROUNDS; round++) {
        CLEANUP_RELAYS struct relays relays = {0};
        struct failure nothing;
        enum bottle_result result = find(of, &relays, round == 0 ? failure : &nothing);
        if (round > 0 && (result != BOTTLE_OK || !is_own(&relays.list[0])))
            return BOTTLE_OK;
        if (result == BOTTLE_OK)
            result = end_relays(&relays, failure);
        if (result == BOTTLE_OK && relays.is_full && !is_own(&relays.list[0]))
            return fail_full(of, &relays, failure);
        if (result != BOTTLE_OK)
            return result;
    }
    return failure_set(
        failure, BOTTLE_TIMEOUT,
        "native:%s: it was ended %d times, and started again each time: end what starts "
        "it, then stop it again",
        of->slug, END_ROUNDS);
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
    if (more == BOTTLE_NOT_FOUND || more == BOTTLE_DENIED || more == BOTTLE_OK ||
        (more == BOTTLE_UNAVAILABLE && relay_search_is_blind()))
        return result;
    *failure = ignored;
    return more;
}

/* ---- start ---- */

/*
 * Whether its control socket is in this network namespace, where the kernel keeps the slug's name apart, or
 * will be: a relay begins in the namespace of its launcher, and makes its socket before anything else.  Where
 * that may not be looked at, as only root may, a relay that has just begun gets the time for it,
 * so that of two launchers in one namespace never both give way.
 */
static bool is_here(const struct relay_process *relay, int64_t end_ms)
{
    char path[64];
    struct stat own, other;

    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", relay->pid);
    bool is_seen = !stat(path, &other);
    if (is_seen && !stat("/proc/thread-self/ns/net", &own) && own.st_dev == other.st_dev &&
        own.st_ino == other.st_ino)
        return true;
    for (int i = 0; i < LIST_TRIES || (!is_seen && wait_now_ms() < end_ms); i++)
        if (control_is_listed(&relay->target) ||
            wait_readable(relay->fd, is_seen ? 0 : BEGIN_PAUSE_MS)) /* it has ended */
            return true;
    return false;
}

enum bottle_result native_gate_check_slug(const struct target *own, int64_t timeout_ms,
                                          struct failure *failure)
{
    int64_t end_ms = wait_now_ms() + (timeout_ms < BEGIN_MAX_MS ? timeout_ms : BEGIN_MAX_MS);
    CLEANUP_RELAY_SEARCH struct relay_search search = {0};
    CLEANUP_RELAY_PROCESS struct relay_process other = NO_RELAY_PROCESS;
    struct target slug = *own;
    struct failure ignored;

    slug.instance[0] = '\0';
    if (relay_search_begin(&search, &slug, &ignored) != BOTTLE_OK)
        return BOTTLE_OK; /* then the name of this network namespace has to do */
    while (relay_search_next(&search, &other))
        if (is_own(&other) && other.has_slug && strcmp(other.target.instance, own->instance) != 0 &&
            !is_here(&other, end_ms))
            return failure_set(
                failure, BOTTLE_CONFLICT,
                "slug \"%s\" has a running gate already, native:%s:%s, process %d, in "
                "another network namespace: stop it first, or choose another slug",
                own->slug, own->slug, other.target.instance, other.pid);
    return BOTTLE_OK;
}
