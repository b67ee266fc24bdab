/* SPDX-License-Identifier: MIT */
/*
 * control_request.c: what clients of the control socket send to a relay.
 *
 * The relay's control.c runs in its own loop, on sockets of the target's.  An input is steps: a byte
 * below 128 is the length of a packet that the present client sends; the others are in enum step.
 * Every answer is whole and of this version, a status is JSON, no descriptor is lost.
 */
#include "relay/serve/lifecycle.h"
#include "relay/serve/relay.h"
#include "relay/serve/takeover_offer.h"

#include "fuzz.h"

#include "common/cleanup.h"
#include "common/process/fd_passing.h"
#include "wire/control.h"

#include <sys/un.h>

#define CLIENTS   4
#define LISTENERS 2

enum step { SWITCH_CLIENT, HANG_UP, READ, LET_TIME_PASS, STEPS };

static struct relay relay; /* too large for a stack */
static int clients[CLIENTS];
static size_t present;
static struct sockaddr_un address;
static socklen_t address_size;

static int listen_abstract(int type)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    /* A name of the kernel's choice: unix(7), autobind. */
    REQUIRE(fd >= 0 && !bind(fd, (struct sockaddr *)&any, sizeof any.sun_family));
    REQUIRE(!listen(fd, CLIENTS));
    return fd;
}

static void set_up(void)
{
    memset(&relay, 0, sizeof relay);
    REQUIRE(!loop_init(&relay.loop));
    list_init(&relay.connections);
    list_init(&relay.turns);
    loop_add_queue(&relay.loop, &relay.control_timers, 1000);
    loop_add_queue(&relay.loop, &relay.grace_timers, 0);
    loop_add_queue(&relay.loop, &relay.pause_timers, 1000);
    timer_init(&relay.grace_timer);
    timer_init(&relay.paused_timer);
    loop_add_queue(&relay.loop, &relay.network_timers, 1000);
    timer_init(&relay.network_timer);
    relay.uid = geteuid();
    relay.network_hold_fd = relay.network_users.fd = -1;
    relay.config.holds_network = true;
    relay.config.upstream_count = 1;
    (void)snprintf(relay.config.upstreams[0].host, RELAY_HOST_SIZE, "host\x01\xff\"");
    relay.upstream_count = 1;
    relay.dialler.destinations[0].config = &relay.config.upstreams[0];
    relay.upstreams[0].destination = &relay.dialler.destinations[0];
    (void)snprintf(relay.upstreams[0].last_error, RELAY_MESSAGE_SIZE, "\\\n\xe2\x82");
    for (size_t i = 0; i < LISTENERS; i++)
        relay.listeners[relay.listener_count++] =
            (struct listener){.watch.fd = listen_abstract(SOCK_STREAM),
                              .relay = &relay,
                              .upstream = &relay.upstreams[0]};
    listeners_watch(&relay);
    relay.control_of_slug.watch.fd = listen_abstract(SOCK_SEQPACKET);
    relay.control_of_instance.watch.fd = listen_abstract(SOCK_SEQPACKET);
    address_size = sizeof address;
    REQUIRE(!getsockname(relay.control_of_instance.watch.fd, (struct sockaddr *)&address,
                         &address_size));
    REQUIRE(control_watch(&relay));
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = -1;
    present = 0;
}

static void hang_up(size_t client)
{
    if (clients[client] >= 0)
        REQUIRE(close(clients[client]) == 0);
    clients[client] = -1;
}

static void tear_down(void)
{
    for (size_t i = 0; i < CLIENTS; i++)
        hang_up(i);
    relay_stop(&relay, "over");
    takeover_withdraw(&relay);
    listeners_close(&relay);
    for (size_t i = 0; i < MAX_CONTROL_CLIENTS; i++)
        if (relay.control_clients[i].watch.fd >= 0)
            REQUIRE(close(relay.control_clients[i].watch.fd) == 0);
    if (relay.control_of_slug.watch.fd >= 0)
        REQUIRE(close(relay.control_of_slug.watch.fd) == 0);
    REQUIRE(close(relay.control_of_instance.watch.fd) == 0);
    REQUIRE(close(relay.loop.epoll_fd) == 0);
}

static void check_answer(const char *packet, size_t length)
{
    CLEANUP_JSON json_object *status = NULL;
    struct control_reply reply;
    struct failure failure;

    REQUIRE(length >= sizeof reply);
    memcpy(&reply, packet, sizeof reply);
    REQUIRE(reply.version == CONTROL_VERSION);
    if (packet[sizeof reply] == '{') {
        REQUIRE(reply.result == BOTTLE_OK);
        REQUIRE(json_text_parse("status", packet + sizeof reply, &status, &failure) == BOTTLE_OK);
    }
}

static void read_answers(int fd)
{
    static char packet[sizeof(struct control_reply) + CONTROL_MAX_STATUS + 1];
    int fds[FD_PASSING_MAX];
    size_t count;
    ssize_t length;

    while (fd >= 0 && (length = receive_with_fds(fd, packet, sizeof packet - 1, fds, &count)) > 0) {
        packet[length] = '\0';
        check_answer(packet, (size_t)length);
        for (size_t i = 0; i < count; i++)
            REQUIRE(close(fds[i]) == 0);
    }
}

static void send_packet(const uint8_t *bytes, size_t length)
{
    if (clients[present] < 0) {
        clients[present] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        REQUIRE(clients[present] >= 0);
        REQUIRE(!connect(clients[present], (struct sockaddr *)&address, address_size));
    }
    /* The relay may have hung up already. */
    (void)send(clients[present], bytes, length, MSG_NOSIGNAL);
}

static void take_step(enum step step)
{
    switch (step) {
    case SWITCH_CLIENT:
        present = (present + 1) % CLIENTS;
        break;
    case HANG_UP:
        hang_up(present);
        break;
    case READ:
        read_answers(clients[present]);
        break;
    default:
        for (size_t i = 0; i < MAX_CONTROL_CLIENTS; i++)
            relay.control_clients[i].timer.due_ms = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int free_before = dup(STDERR_FILENO);

    REQUIRE(free_before >= 0 && close(free_before) == 0);
    set_up();
    while (size > 0 && relay.state != RELAY_STOPPED) {
        size_t length = *data++;
        size--;
        if (length >= 128) {
            take_step(length % STEPS);
        } else {
            length = length < size ? length : size;
            send_packet(data, length);
            data += length;
            size -= length;
        }
        loop_wait(&relay.loop, 0); /* takes the client */
        loop_wait(&relay.loop, 0); /* hears it */
        REQUIRE(!relay.successor || relay.successor->watch.fd >= 0);
        REQUIRE(relay.state != RELAY_DRAINING || relay.listener_count == 0);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        read_answers(clients[i]);
    tear_down();
    int free_after = dup(STDERR_FILENO);
    REQUIRE(free_after == free_before && close(free_after) == 0);
    return 0;
}
