/* SPDX-License-Identifier: MIT */
/*
 * native_gate.c: see native_gate.h.
 *
 * A gate is first looked for by its control socket in this network namespace (wire/control_client.h), which
 * nearly always finds it, and then as a process, in any namespace (gate_reach.h).
 */
#include "native/native_gate.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "native/gate_reach.h"
#include "native/relay_search.h"
#include "wire/control_client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIST_TRIES   3     /* the kernel's list of sockets may omit one */
#define END_WAIT_MS  3000  /* as wait_process_end() waits */
#define BEGIN_MAX_MS 10000 /* on a busy machine */
#define END_ROUNDS   5

/* ---- status, drain, takeover ---- */

enum bottle_result native_gate_status(const struct target *target, char **text,
                                      struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_status(target, text, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = relay_connect(target, &link, failure);
    return result == BOTTLE_OK ? control_link_status(&link, text, failure) : result;
}

enum bottle_result native_gate_drain(const struct target *target, int64_t grace_ms,
                                     struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_drain(target, grace_ms, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = relay_connect(target, &link, failure);
    return result == BOTTLE_OK ? control_link_drain(&link, grace_ms, failure) : result;
}

enum bottle_result native_gate_yield(const struct target *target, struct failure *failure)
{
    CLEANUP_CONTROL_LINK struct control_link link = NO_CONTROL_LINK;
    enum bottle_result result = control_yield(target, failure);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    result = relay_connect(target, &link, failure);
    return result == BOTTLE_OK ? control_link_yield(&link, failure) : result;
}

static enum bottle_result fail_takeover(const struct relay_process *relay, struct failure *failure)
{
    if (relay_is_own(relay) || geteuid() != 0)
        return relay_fail_unreachable(relay, "a takeover stays in one", failure);
    return failure_set(
        failure, BOTTLE_DENIED,
        "native:%s:%s is a gate of user %u (process %d): only that user can take it over",
        relay->target.slug, relay->target.instance, relay->uid, relay->pid);
}

/* A relay that drains has released the slug, and cannot be taken over from. */
static enum bottle_result fail_drains(const struct relay_process *relay, struct failure *failure)
{
    return failure_set(failure, BOTTLE_NOT_FOUND,
                       "no gate serves as native:%s; native:%s:%s drains: start without a takeover",
                       relay->target.slug, relay->target.slug, relay->target.instance);
}

/* Retries while a relay that has just started makes its control socket, or one that ends is still there. */
enum bottle_result native_gate_request_takeover(const struct target *target, int *connected,
                                                struct failure *failure)
{
    for (int i = 0;; i++) {
        CLEANUP_RELAYS struct relays relays = {0};
        enum bottle_result result = control_request_takeover(target, connected, failure);
        if (result == BOTTLE_NOT_FOUND)
            result = relays_find(target, &relays, failure);
        if (relays.count == 0)
            return result;
        const struct relay_process *relay = &relays.list[0];
        if (target->instance[0] == '\0' && !relay->has_slug)
            return fail_drains(relay, failure);
        if (!relay_is_own(relay) || i == BEGIN_TRIES)
            return fail_takeover(relay, failure);
        (void)wait_readable(relay->fd, BEGIN_PAUSE_MS);
    }
}

/* ---- stop ---- */

static bool send_signal(const struct relay_process *relay, int number)
{
    return !syscall(SYS_pidfd_send_signal, relay->fd, number, NULL, 0) || errno == ESRCH;
}

/* Sends SIGTERM to all of them first, so that they share one timeout before SIGKILL. */
static enum bottle_result end_relays(const struct relays *relays, struct failure *failure)
{
    for (size_t i = 0; i < relays->count; i++)
        if (!send_signal(&relays->list[i], SIGTERM))
            return relay_fail_unreachable(&relays->list[i], strerror(errno), failure);
    int64_t end_ms = wait_now_ms() + END_WAIT_MS;
    for (size_t i = 0; i < relays->count; i++)
        if (!wait_readable(relays->list[i].fd, (int)(end_ms - wait_now_ms())))
            (void)send_signal(&relays->list[i], SIGKILL); /* the wait below reports a failure */
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
 * Ends this user's relays until none is left; those of other users only once, as they could start new ones as fast.
 * BOTTLE_NOT_FOUND: there was none.  BOTTLE_DENIED: there are only those of other users.
 */
static enum bottle_result end_processes(const struct target *of, struct failure *failure)
{
    for (int round = 0; round < END_ROUNDS; round++) {
        CLEANUP_RELAYS struct relays relays = {0};
        struct failure nothing;
        enum bottle_result result = relays_find(of, &relays, round == 0 ? failure : &nothing);
        if (round > 0 && (result != BOTTLE_OK || !relay_is_own(&relays.list[0])))
            return BOTTLE_OK;
        if (result == BOTTLE_OK)
            result = end_relays(&relays, failure);
        if (result == BOTTLE_OK && relays.is_full && !relay_is_own(&relays.list[0]))
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
    /* The slug may have more relays in other network namespaces. */
    more = end_processes(target, &ignored);
    if (more == BOTTLE_NOT_FOUND || more == BOTTLE_DENIED || more == BOTTLE_OK ||
        (more == BOTTLE_UNAVAILABLE && relay_search_is_blind()))
        return result;
    *failure = ignored;
    return more;
}

/* ---- start ---- */

/*
 * Whether the relay's control socket is, or will be, in this network namespace, where the kernel allows the
 * slug's name only once.  A relay starts in the namespace of its launcher and makes its socket first.  If
 * its namespace may not be read, which only root may always do, a relay that has just started gets time to
 * make its socket.  So of two launchers in one namespace never both give up.
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
        return BOTTLE_OK; /* then only the name in this network namespace protects the slug */
    while (relay_search_next(&search, &other))
        if (relay_is_own(&other) && other.has_slug &&
            strcmp(other.target.instance, own->instance) != 0 && !is_here(&other, end_ms))
            return failure_set(
                failure, BOTTLE_CONFLICT,
                "slug \"%s\" has a running gate already, native:%s:%s, process %d, in "
                "another network namespace: stop it first, or choose another slug",
                own->slug, own->slug, other.target.instance, other.pid);
    return BOTTLE_OK;
}
