/* SPDX-License-Identifier: MIT */
/*
 * takeover.c: what a relay that starts reads from the one that it takes over from.
 *
 * An input is packets: how many descriptors come with it, its length, its bytes.  No descriptor is
 * lost, whatever comes.
 */
#include "relay/setup/takeover.h"
#include "relay/serve/relay.h"

#include "fuzz.h"

#include "common/process/fd_passing.h"
#include "wire/setup_reply.h"

#include <unistd.h>

static struct relay relay = {.config.slug = "web"}; /* too large for a stack */

/* The lowest number that is free. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    REQUIRE(fd >= 0 && close(fd) == 0);
    return fd;
}

static void send_packets(int to, const uint8_t *data, size_t size)
{
    int fds[FD_PASSING_MAX];

    for (size_t i = 0; i < FD_PASSING_MAX; i++)
        fds[i] = STDERR_FILENO;
    while (size >= 2) {
        size_t count = data[0] % (FD_PASSING_MAX + 1), length = data[1];
        data += 2;
        size -= 2;
        if (length > size)
            length = size;
        /* Beyond what a socket holds the rest is not sent, and the other end sees the end. */
        if (length > 0 && !send_with_fds(to, data, length, fds, count))
            return;
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const union address ADDRESS = {.v4 = {.sin_family = AF_INET}};
    struct setup_reply reply = {.result = BOTTLE_OK};
    struct takeover takeover = NO_TAKEOVER;
    int pair[2], free_before = next_fd();

    REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
    takeover.fd = pair[0];
    send_packets(pair[1], data, size);
    REQUIRE(!shutdown(pair[1], SHUT_WR));
    bool received = takeover_receive(&takeover, &relay, &reply);
    REQUIRE(takeover.count <= sizeof takeover.listeners / sizeof takeover.listeners[0]);
    if (received) {
        REQUIRE(takeover.claim_fd >= 0);
        REQUIRE(takeover_listener(&takeover, &ADDRESS) < 0); /* none of them is a socket */
        (void)takeover_commit(&takeover, &relay, &reply);
        REQUIRE(takeover.fd < 0);
    } else {
        REQUIRE(reply.result > BOTTLE_OK && reply.result <= BOTTLE_INTERNAL && reply.message[0]);
        REQUIRE(memchr(reply.message, '\0', sizeof reply.message));
        REQUIRE(close(pair[0]) == 0);
    }
    takeover_drop_rest(&takeover);
    REQUIRE(takeover.hold_fd < 0 || close(takeover.hold_fd) == 0);
    REQUIRE(takeover.claim_fd < 0 || close(takeover.claim_fd) == 0);
    REQUIRE(takeover.launcher_fd < 0 || close(takeover.launcher_fd) == 0);
    REQUIRE(close(pair[1]) == 0 && next_fd() == free_before);
    return 0;
}
