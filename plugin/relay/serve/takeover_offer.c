/* SPDX-License-Identifier: MIT */
/*
 * takeover_offer.c: hands the sockets of this relay over to one that starts (setup/takeover.c).
 *
 * wire/control.h has the packets and their order.  The sockets on which the kernel queues clients are shared,
 * so there is always one, and no client is lost: the relay that accepts first serves it.  The claim on the
 * slug is a socket, too.
 *
 * A container's network ends with the container that it was made for, and with that all connections
 * of the relays in it.  So the first relay, for whose container it was made, stays until the others have
 * ended, even if it has no connections left.  It notices their end by a pipe: each relay holds the
 * writing end, which it got from the one before, and which the kernel closes however a relay ends.
 *
 * The last step must not leave two relays that serve, or none: this one stops accepting once it has sent its last
 * reply, and keeps serving if that cannot be sent (control.c).
 */
#include "relay/serve/takeover_offer.h"

#include "common/process/fd_passing.h"
#include "relay/serve/relay.h"
#include "wire/control.h"

#include <bottle/sidecar.h>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

static void network_expired(struct timer *timer)
{
    takeover_withdraw(container_of(timer, struct relay, network_timer));
}

/*
 * How long to wait before this relay ends: Podman does not remove a container that ends while another one that shared
 * its network is still being removed.
 */
static void network_is_free(struct watch *watch, uint32_t events)
{
    struct relay *relay = container_of(watch, struct relay, network_users);

    (void)events;
    loop_remove(&relay->loop, watch);
    timer_start(&relay->loop, &relay->network_timers, &relay->network_timer, network_expired);
}

/* hold_fd: out: to be sent and closed; -1: there is no network to hold */
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
