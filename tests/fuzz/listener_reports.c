/* SPDX-License-Identifier: MIT */
/*
 * listener_reports.c: what the relay takes from the helper in the agent's namespace.
 *
 * An input is packets: which descriptors come with it, its length, its bytes.  Nothing but the one socket
 * that is wanted becomes a listener, and no descriptor is lost, whatever comes.
 */
#include "relay/serve/relay.h"
#include "relay/setup/listen.h"
#include "relay/setup/listen_inside.h"

#include "fuzz.h"

#include "common/process/fd_passing.h"
#include "wire/setup_reply.h"

#include <sys/stat.h>
#include <unistd.h>

static struct relay relay; /* too large for a stack */

/* The lowest number that is free. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);

    REQUIRE(fd >= 0 && close(fd) == 0);
    return fd;
}

static void send_packets(int to, const uint8_t *data, size_t size, int listener)
{
    while (size >= 2) {
        const int fds[] = {data[0] & 4 ? STDERR_FILENO : listener, listener};
        size_t count = data[0] % 3, length = data[1];
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

static int make_wanted(struct wanted_listener *wanted)
{
    socklen_t length = sizeof wanted->address;

    REQUIRE(address_from_literal("127.0.0.1", 0, &wanted->address));
    int fd = listener_make(&wanted->address, "");
    REQUIRE(fd >= 0 && !getsockname(fd, &wanted->address.any, &length));
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct setup_reply reply = {.result = BOTTLE_OK};
    struct wanted_listener wanted = {.upstream = 0};
    struct stat network;
    int pair[2], free_before = next_fd(), listener = make_wanted(&wanted);

    REQUIRE(!stat("/proc/self/ns/net", &network));
    relay.listen_network_device = network.st_dev;
    relay.listen_network_inode = network.st_ino;
    relay.listener_count = 0;
    REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
    send_packets(pair[1], data, size, listener);
    REQUIRE(!shutdown(pair[1], SHUT_WR));
    bool received = listeners_receive(&relay, pair[0], &wanted, 1, &reply);
    REQUIRE(relay.listener_count <= 1 && (!received || relay.listener_count == 1));
    REQUIRE(received || (reply.result > BOTTLE_OK && reply.result <= BOTTLE_INTERNAL));
    REQUIRE(received || memchr(reply.message, '\0', sizeof reply.message));
    if (relay.listener_count == 1) {
        REQUIRE(address_is_of(relay.listeners[0].watch.fd, &wanted.address));
        REQUIRE(close(relay.listeners[0].watch.fd) == 0);
    }
    REQUIRE(close(listener) == 0 && close(pair[0]) == 0 && close(pair[1]) == 0);
    REQUIRE(next_fd() == free_before);
    return 0;
}
