/* SPDX-License-Identifier: MIT */
/*
 * gate_reach.c: see gate_reach.h.
 *
 * A control socket's name is in the network namespace of the launcher, where the bottle cannot reach it.  So a
 * process or thread in another network namespace cannot find it; and it contains the user's ID, so another
 * user does not look for it.  A relay that is not found by its socket is looked for as a process
 * (relay_search.c).  A signal ends it from anywhere.  To connect to it, a caller with the right to do so
 * enters the network namespace of its socket.  A temporary thread does that, so that the caller's own
 * threads never change their namespace.
 */
#include "native/gate_reach.h"

#include "common/cleanup.h"
#include "common/process/wait.h"

#include <errno.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OTHERS_SIZE 512
/* The control socket has a low number: a relay opens it before it accepts connections. */
#define CONTROL_FD_MAX 512

bool relay_is_own(const struct relay_process *relay)
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

void relays_close(struct relays *relays)
{
    while (relays->count > 0)
        relay_process_close(&relays->list[--relays->count]);
}

/* Moves a relay into the list. */
static void keep(struct relays *relays, struct relay_process *found)
{
    relays->is_full = relays->count == RELAYS_MAX;
    if (relays->is_full)
        return;
    relays->list[relays->count++] = *found;
    *found = NO_RELAY_PROCESS;
}

/* Moves a relay that holds its slug to the front; the others drain. */
static void put_server_first(struct relays *relays)
{
    for (size_t i = 1; i < relays->count && !relays->list[0].has_slug; i++) {
        struct relay_process first = relays->list[0];
        relays->list[0] = relays->list[i];
        relays->list[i] = first;
    }
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

enum bottle_result relays_find(const struct target *of, struct relays *relays,
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
        if (relay_is_own(&next) && !has_own) {
            relays_close(relays);
            has_own = true;
        }
        if (!relay_is_own(&next))
            add_other(others, &next);
        if (relay_is_own(&next) || (!has_own && of->instance[0]))
            keep(relays, &next);
    }
    put_server_first(relays);
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

/* The network namespace of the relay's control socket, read from a copy of that; or a negative errno value. */
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

/* Runs the function in a thread with all signals blocked, so that it never runs one of the host's handlers. */
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

/* A connection, or a negative errno value, as control_socket() returns. */
static int control_socket_elsewhere(const struct relay_process *relay)
{
    CLEANUP_FD int network_fd = control_network(relay);
    struct visit visit = {.relay = relay, .network_fd = network_fd};

    if (network_fd < 0)
        return network_fd;
    int error = run_to_end(connect_there, &visit);
    return error ? -error : visit.connected;
}

/* Checks with SO_PEERCRED that the relay owns the socket, as any process can bind its name. */
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

/* Connects from this network namespace or, if the socket is not here, from its own. */
static int connect_to(const struct relay_process *relay)
{
    int connected = check_peer(relay, control_socket(&relay->target, relay->uid));

    return connected == -ECONNREFUSED || connected == -EADDRINUSE
               ? check_peer(relay, control_socket_elsewhere(relay))
               : connected;
}

enum bottle_result relay_fail_unreachable(const struct relay_process *relay, const char *why,
                                          struct failure *failure)
{
    const struct target *target = &relay->target;

    if (!relay_is_own(relay) && geteuid() != 0)
        return failure_set(
            failure, BOTTLE_DENIED,
            "native:%s:%s is a gate of user %u (process %d), not of user %u: call as "
            "that user, or as root",
            target->slug, target->instance, relay->uid, relay->pid, geteuid());
    if (!relay_is_own(relay))
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

static bool have_ended(const struct relays *relays, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!wait_readable(relays->list[i].fd, 0))
            return false;
    return true;
}

enum bottle_result relay_connect(const struct target *of, struct control_link *link,
                                 struct failure *failure)
{
    CLEANUP_RELAYS struct relays relays = {0};
    enum bottle_result result = relays_find(of, &relays, failure);
    int connected = -ECONNREFUSED;

    if (result != BOTTLE_OK)
        return result;
    const struct relay_process *relay = relays.list;
    if (!relay_is_own(relay) && geteuid() != 0)
        return relay_fail_unreachable(relay, "", failure);
    size_t count = relay_is_own(relay) ? 1 : relays.count;
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
    return relay_fail_unreachable(relay, strerror(-connected), failure);
}
