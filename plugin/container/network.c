/* SPDX-License-Identifier: MIT */
/*
 * network.c: see network.h.
 *
 * A sidecar's container is the only one on both of a bottle's networks, so its kernel must not forward
 * packets from one to the other.  A new network namespace starts with the machine's settings, and on a
 * machine with an engine forwarding is on.  An agent that may send raw frames, as Docker lets every
 * container, would then need no route: it could send frames to the sidecar's hardware address, with any
 * destination.
 *
 *   forwarding            off
 *   rp_filter             strict: a packet's source must be reachable through the interface it came in on.
 *                         Otherwise the agent could send packets to the sidecar's egress address that seem to
 *                         come from a DNS server on that network
 *   accept_source_route   off
 *   accept_ra, accept_redirects   off, so that no neighbour changes the routes.  For IPv4 the kernel accepts
 *                         redirects where it does not forward; rp_filter drops those that the agent sends
 *
 * For rp_filter, the larger of the interface's setting and that of "all" counts; for accept_ra, the interface's
 * alone.  The settings of "default" apply to interfaces that are made later.  Podman, and Docker before 27,
 * set a container's sysctls after its interfaces exist, which are eth0 and eth1.  Later versions of Docker set
 * them before, and take an interface's settings with its network.
 */
#include "container/network.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/text.h"
#include "container/container.h"
#include "engine/engine.h"

#include <string.h>

#define INTERFACE_SYSCTLS_API 46 /* Docker 27 */
#define IPV6                  "net.ipv6."

static const struct {
    const char *name, *value;
} NAMESPACE_SETTINGS[] = {
    {"net.ipv4.ip_unprivileged_port_start", "0"}, /* the sidecar's user is not root */
    {"net.ipv4.ip_forward", "0"},
    {"net.ipv4.conf.default.forwarding", "0"},
    {"net.ipv4.conf.all.rp_filter", "1"},
    {"net.ipv4.conf.default.rp_filter", "1"},
    {"net.ipv4.conf.all.accept_source_route", "0"},
    {"net.ipv6.conf.all.forwarding", "0"},
    {"net.ipv6.conf.default.forwarding", "0"},
    {"net.ipv6.conf.all.accept_source_route", "0"},
    {"net.ipv6.conf.default.accept_ra", "0"},
    {"net.ipv6.conf.default.accept_redirects", "0"},
};

static const struct {
    const char *family, *name, *value;
} INTERFACE_SETTINGS[] = {
    {"net.ipv4.conf", "rp_filter", "1"},
    {"net.ipv6.conf", "accept_ra", "0"},
    {"net.ipv6.conf", "accept_redirects", "0"},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool is_left_out(const struct container *container, const char *name)
{
    return container->without_ipv6 && strncmp(name, IPV6, strlen(IPV6)) == 0;
}

static bool takes_interface_sysctls(const struct container *container)
{
    return !engine_is_podman(container->engine) &&
           engine_speaks(container->engine, INTERFACE_SYSCTLS_API);
}

static bool add_of_interface(json_object *sysctls, const struct container *container,
                             const char *interface)
{
    bool added = true;

    for (size_t i = 0; added && i < COUNT(INTERFACE_SETTINGS); i++) {
        CLEANUP_FREE char *name = text_format("%s.%s.%s", INTERFACE_SETTINGS[i].family, interface,
                                              INTERFACE_SETTINGS[i].name);
        added = name && (is_left_out(container, name) ||
                         object_add_text(sysctls, name, INTERFACE_SETTINGS[i].value));
    }
    return added;
}

/* The member "Sysctls" of the host config; NULL: out of memory. */
static json_object *describe_sysctls(const struct container *container)
{
    CLEANUP_JSON json_object *sysctls = json_object_new_object();
    bool added = sysctls != NULL;

    for (size_t i = 0; added && i < COUNT(NAMESPACE_SETTINGS); i++)
        added = is_left_out(container, NAMESPACE_SETTINGS[i].name) ||
                object_add_text(sysctls, NAMESPACE_SETTINGS[i].name, NAMESPACE_SETTINGS[i].value);
    if (added && !takes_interface_sysctls(container))
        added = add_of_interface(sysctls, container, "eth0") &&
                add_of_interface(sysctls, container, "eth1");
    return added ? steal_pointer(&sysctls) : NULL;
}

/*
 * "FAMILY.IFNAME.NAME=VALUE,…", where the engine replaces IFNAME by the interface's name.  malloc'ed;
 * NULL: out of memory.
 */
static char *interface_sysctls(const struct container *container)
{
    struct text text;

    if (!text_open(&text))
        return NULL;
    for (size_t i = 0; i < COUNT(INTERFACE_SETTINGS); i++)
        if (!is_left_out(container, INTERFACE_SETTINGS[i].family))
            (void)fprintf(text.stream, "%s%s.IFNAME.%s=%s", i > 0 ? "," : "",
                          INTERFACE_SETTINGS[i].family, INTERFACE_SETTINGS[i].name,
                          INTERFACE_SETTINGS[i].value); /* text_close() reports errors */
    return text_close(&text);
}

json_object *container_describe_endpoint(const struct container *container)
{
    CLEANUP_JSON json_object *endpoint = json_object_new_object();

    if (takes_interface_sysctls(container)) {
        CLEANUP_FREE char *sysctls = interface_sysctls(container);
        json_object *options = json_object_new_object();
        bool added =
            sysctls && object_add_text(options, "com.docker.network.endpoint.sysctls", sysctls);
        if (!object_add(endpoint, "DriverOpts", options) || !added)
            return NULL;
    }
    return steal_pointer(&endpoint);
}

bool container_add_network(const struct container *container, json_object *network)
{
    const char *name = object_text(network, "Name");
    json_object *host_config = object_member(container->body, "HostConfig");
    json_object *networking = json_object_new_object(), *endpoints = json_object_new_object();
    bool added = object_add(endpoints, name, container_describe_endpoint(container)) &&
                 object_add(host_config, "Sysctls", describe_sysctls(container)) &&
                 object_add_text(host_config, "NetworkMode", name);

    added = object_add(networking, "EndpointsConfig", endpoints) && added;
    return object_add(container->body, "NetworkingConfig", networking) && added;
}

bool container_share_network(json_object *body, const char *id)
{
    CLEANUP_FREE char *mode = text_format(NETWORK_OF "%s", id);

    return mode && object_add_text(object_member(body, "HostConfig"), "NetworkMode", mode);
}
