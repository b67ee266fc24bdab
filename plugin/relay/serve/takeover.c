/* SPDX-License-Identifier: MIT */
/*
 * takeover.c: the sockets of a relay that runs become those of one that starts; both ends of it.
 *
 * protocol.h has the packets and their order.  What is handed over is the very socket that the kernel
 * queues clients on, so there is no moment without one, and none in which a client could be lost:
 * whichever relay accepts first serves it.  The claim on the slug is a socket as well.
 *
 * A socket is taken out if it listens on the address that the new relay wants, in the namespace
 * where it wants it: the new relay may have other upstreams, or another network.  What it does not
 * want, it closes; the old relay closes its own when it drains, and then nobody listens there.
 *
 * A container's network ends with the container that it was made for, and with that all connections
 * of the relays in it.  So the first relay, which that container was made for, stays until the others
 * have gone, without sockets of its own if it has no connections.  It knows them by a pipe: each
 * relay holds the writing end, which is handed on from one to the next, and the kernel closes it
 * with whichever way a relay ends.
 *
 * The last step must not leave two relays that serve, or none.  The old relay stops accepting when it
 * has sent its last word, and not if that cannot be sent; the new relay serves if it has that word.  When it
 * waits no longer, it shuts the connection down, which makes the old relay's sending fail, and looks
 * once more whether the word had come before.
 */
#include "relay/relay.h"

#include "common/process/fd_passing.h"
#include "common/text/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define OLD_RELAY_WAIT_S 5

/* ---- the old relay ---- */

static void network_expired(struct timer *timer)
{
    takeover_withdraw(container_of(timer, struct relay, network_timer));
}

/*
 * Podman does not remove a container that ended while one that was in its network is still being removed:
 * so there is a moment for that.
 */
static void network_is_free(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, network_users);

    (void)events;
    loop_remove(&relay->loop, watch);
    timer_start(&relay->loop, &relay->network_timers, &relay->network_timer, network_expired);
}

/* hold_fd: out: to be sent, and closed; -1: there is no network to hold. */
static bool make_network_hold(struct relay *relay, int *hold_fd)
{
    int pair[2];

    *hold_fd = -1;
    if (relay->network_hold_fd >= 0)
        *hold_fd = fcntl(relay->network_hold_fd, F_DUPFD_CLOEXEC, 0);
    if (relay->network_hold_fd >= 0 || !relay->config.holds_network)
        return relay->network_hold_fd < 0 || *hold_fd >= 0;
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK))
        return false;
    relay->network_users = (struct watch){.fd = pair[0], .ready = network_is_free};
    *hold_fd = pair[1];
    return true;
}

bool takeover_yield_network(struct relay *relay)
{
    return relay->network_users.fd < 0 || !loop_add(&relay->loop, &relay->network_users, EPOLLIN);
}

void takeover_withdraw(struct relay *relay)
{
    if (relay->network_users.fd >= 0)
        (void)close(relay->network_users.fd);
    relay->network_users.fd = -1;
}

static bool send_sockets(const struct relay *relay, int client_fd, int hold_fd)
{
    int fds[3 + MAX_LISTENERS];
    size_t count = 0;

    fds[count++] = relay->control_of_slug.watch.fd;
    if (hold_fd >= 0)
        fds[count++] = hold_fd;
    if (relay->launcher.fd >= 0)
        fds[count++] = relay->launcher.fd;
    for (size_t i = 0; i < relay->listener_count; i++)
        fds[count++] = relay->listeners[i].watch.fd;
    for (size_t sent = 0; sent < count;) {
        size_t batch = count - sent < FD_PASSING_MAX ? count - sent : FD_PASSING_MAX;
        const struct handover packet = {
            .reply = {.version = CONTROL_VERSION, .result = BOTTLE_OK},
            .fds_left = (uint32_t)(count - sent - batch),
            .has_network_hold = hold_fd >= 0,
            .has_launcher = relay->launcher.fd >= 0,
            .launcher_pid = relay->launcher_pid,
            .network_device = relay->listen_network_device,
            .network_inode = relay->listen_network_inode,
        };
        if (!send_with_fds(client_fd, &packet, sizeof packet, fds + sent, batch))
            return false;
        sent += batch;
    }
    return true;
}

bool takeover_offer(struct relay *relay, int client_fd)
{
    int hold_fd;

    if (!make_network_hold(relay, &hold_fd))
        return false;
    bool sent = send_sockets(relay, client_fd, hold_fd);
    if (hold_fd >= 0)
        (void)close(hold_fd);
    if (!sent)
        takeover_withdraw(relay);
    return sent;
}

/* ---- the new relay ---- */

union offer {
    struct handover handover;
    struct control_reply reply;
    char bytes[sizeof(struct control_reply) + RELAY_MESSAGE_SIZE / 2]; /* with a text */
};

static bool fail(const struct relay *relay, struct setup_reply *reply, enum bottle_result result,
                 const char *what)
{
    return setup_fail(reply, result, "takeover of slug \"%s\": the running gate %s",
                      relay->config.slug, what);
}

/* A refusal without a text comes from a build that does not know the operation. */
static bool fail_refused(const struct relay *relay, const union offer *offer, size_t length,
                         struct setup_reply *reply)
{
    char what[sizeof offer->bytes + 16];

    if (length <= sizeof offer->reply)
        return fail(
            relay, reply, BOTTLE_UNSUPPORTED,
            "is of another version of ssh_gate, which cannot hand over to this one: stop it "
            "first");
    (void)snprintf(what, sizeof what, "refuses: %.*s", (int)(length - sizeof offer->reply),
                   offer->bytes + sizeof offer->reply);
    return fail(relay, reply, result_of_refusal(offer->reply.result), what);
}

/* received: what recv(2) returned in place of a packet, with errno. */
static bool fail_gone(const struct relay *relay, struct setup_reply *reply, ssize_t received)
{
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return fail(relay, reply, BOTTLE_TIMEOUT, "does not answer: stop it first");
    if (received < 0 && errno == EMFILE)
        return fail(relay, reply, BOTTLE_UNAVAILABLE,
                    "has more sockets than the hard limit of descriptors allows the new one: raise "
                    "it (ulimit -Hn) for the launcher");
    return fail(relay, reply, BOTTLE_NOT_FOUND, "has just ended: start without a takeover");
}

static void take_fds(struct takeover *takeover, const int *fds, size_t count,
                     const struct handover *handover)
{
    size_t at = 0;

    if (takeover->claim_fd < 0 && count > at)
        takeover->claim_fd = fds[at++];
    if (takeover->hold_fd < 0 && handover->has_network_hold && count > at)
        takeover->hold_fd = fds[at++];
    if (takeover->launcher_fd < 0 && handover->has_launcher && count > at) {
        takeover->launcher_fd = fds[at++];
        takeover->launcher_pid = handover->launcher_pid;
    }
    for (; at < count; at++) {
        if (takeover->count < sizeof takeover->listeners / sizeof takeover->listeners[0])
            takeover->listeners[takeover->count++] = fds[at];
        else
            (void)close(fds[at]);
    }
}

/* Returns how many descriptors are to come; -1, with reply filled in, if none will. */
static int64_t receive_packet(struct takeover *takeover, const struct relay *relay,
                              struct setup_reply *reply)
{
    static const struct handover none = {0};
    union offer offer;
    int fds[FD_PASSING_MAX];
    size_t count;
    ssize_t received = receive_with_fds(takeover->fd, &offer, sizeof offer, fds, &count);

    if (received <= 0) {
        (void)fail_gone(relay, reply, received);
        return -1;
    }
    take_fds(takeover, fds, count,
             received == (ssize_t)sizeof offer.handover ? &offer.handover : &none);
    bool refused = received >= (ssize_t)sizeof offer.reply && offer.reply.result != BOTTLE_OK;
    if (refused || received != (ssize_t)sizeof offer.handover ||
        offer.reply.version != CONTROL_VERSION || count == 0) {
        (void)fail_refused(relay, &offer, refused ? (size_t)received : 0, reply);
        return -1;
    }
    if (offer.handover.network_device != relay->listen_network_device ||
        offer.handover.network_inode != relay->listen_network_inode)
        takeover->elsewhere = true;
    return offer.handover.fds_left;
}

bool takeover_receive(struct takeover *takeover, const struct relay *relay,
                      struct setup_reply *reply)
{
    const struct timeval limit = {.tv_sec = OLD_RELAY_WAIT_S};
    int64_t left;

    if (setsockopt(takeover->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit))
        return setup_fail(reply, BOTTLE_INTERNAL, "takeover: %s", strerror(errno));
    do {
        left = receive_packet(takeover, relay, reply);
    } while (left > 0);
    return left == 0;
}

int takeover_listener(struct takeover *takeover, const union address *address)
{
    for (size_t i = 0; i < takeover->count && !takeover->elsewhere; i++) {
        int fd = takeover->listeners[i];
        if (fd >= 0 && address_is_of(fd, address)) {
            takeover->listeners[i] = -1;
            return fd;
        }
    }
    return -1;
}

void takeover_drop_rest(struct takeover *takeover)
{
    for (size_t i = 0; i < takeover->count; i++)
        if (takeover->listeners[i] >= 0)
            (void)close(takeover->listeners[i]);
    takeover->count = 0;
}

bool takeover_commit(struct takeover *takeover, const struct relay *relay,
                     struct setup_reply *reply)
{
    static const struct control_request commit = {.version = CONTROL_VERSION,
                                                  .operation = CONTROL_COMMIT};
    struct control_reply word = {.result = BOTTLE_INTERNAL};
    ssize_t received = send(takeover->fd, &commit, sizeof commit, MSG_NOSIGNAL);

    if (received == (ssize_t)sizeof commit)
        received = recv(takeover->fd, &word, sizeof word, 0);
    if (received < 0) {
        int error = errno;
        (void)shutdown(takeover->fd, SHUT_RDWR); /* fails only where the other end is gone */
        if (recv(takeover->fd, &word, sizeof word, MSG_DONTWAIT) == (ssize_t)sizeof word)
            received = sizeof word;
        errno = error;
    }
    bool committed = received == (ssize_t)sizeof word && word.result == BOTTLE_OK;
    if (!committed)
        (void)fail_gone(relay, reply, received);
    else /* up to the end of file: the old relay has closed its sockets then */
        (void)recv(takeover->fd, &word, sizeof word, 0);
    (void)close(takeover->fd);
    takeover->fd = -1;
    return committed;
}
