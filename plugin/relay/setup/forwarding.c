/* SPDX-License-Identifier: MIT */
/*
 * forwarding.c: a relay in a container refuses to serve if the kernel forwards packets.
 *
 * The container is on the agent's network and on one that leads out.  The plugin asks the engine to switch
 * forwarding off (container/network.c).  This checks that it is off, even if the engine ignored that, or another
 * version of the plugin made the container whose network is shared.
 */
#include "relay/setup/forwarding.h"

#include "wire/setup_reply.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* These must contain "0"; a kernel without IPv6 lacks the second. */
static const struct {
    const char *path;
    bool may_lack;
} SWITCHES[] = {
    {"/proc/sys/net/ipv4/ip_forward", false},
    {"/proc/sys/net/ipv6/conf/all/forwarding", true},
};

static bool is_off(const char *path, bool may_lack)
{
    char value[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return may_lack && errno == ENOENT;
    ssize_t length = read(fd, value, sizeof value);
    (void)close(fd);
    return length > 0 && value[0] == '0' && (length == 1 || value[1] == '\n');
}

bool forwarding_refuse(const struct relay_config *config, struct setup_reply *reply)
{
    if (!config->refuses_forwarding)
        return true;
    for (size_t i = 0; i < sizeof SWITCHES / sizeof SWITCHES[0]; i++)
        if (!is_off(SWITCHES[i].path, SWITCHES[i].may_lack))
            return setup_fail(
                reply, BOTTLE_UNAVAILABLE,
                "%s is not 0 in this container, so an agent could send through it to anywhere: %s",
                SWITCHES[i].path,
                config->takeover_instance[0]
                    ? "the network is of a gate that was started without that; stop it, and start "
                      "without a takeover"
                    : "the engine has not applied the container's sysctls");
    return true;
}
