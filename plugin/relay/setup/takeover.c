/* SPDX-License-Identifier: MIT */
/*
 * takeover.c: receives the sockets of the relay that this one takes over from (serve/takeover_offer.c).
 *
 * The new relay may have other upstreams, or another network.  It uses the sockets that listen on an address that
 * it wants, in the namespace in which it wants it, and closes the others; the old relay closes its copies when
 * it drains, and then nobody listens there.
 *
 * The last step must not leave two relays that serve, or none: this one serves if it gets the old one's last reply.  If
 * it waits in vain, it shuts the connection down, so that the old relay can no longer send that reply, and then
 * checks once more whether it had arrived before.
 */
#include "relay/setup/takeover.h"

#include "common/process/fd_passing.h"
#include "common/text/failure.h"
#include "relay/serve/relay.h"
#include "wire/control.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OLD_RELAY_WAIT_S 5

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
        (void)shutdown(takeover->fd, SHUT_RDWR); /* fails only if the other end is closed */
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
