/* SPDX-License-Identifier: MIT */
/* claim.c: see claim.h. */
#include "relay/setup/claim.h"

#include "relay/serve/relay.h"
#include "wire/control.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static int bind_control_name(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);

    memcpy(address.sun_path + 1, name, length);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, MAX_CONTROL_CLIENTS)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Binds the instance's name first, so that a relay that holds the claim can always be found by its instance. */
bool claim_slug(struct relay *relay, struct takeover *takeover, struct setup_reply *reply)
{
    const struct relay_config *config = &relay->config;
    char name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

    (void)snprintf(name, sizeof name, CONTROL_NAME_OF_INSTANCE, relay->uid, config->slug,
                   config->instance);
    relay->control_of_instance.watch.fd = bind_control_name(name);
    if (relay->control_of_instance.watch.fd < 0)
        return setup_fail_errno(reply, "control socket");
    if (takeover->claim_fd >= 0) {
        relay->control_of_slug.watch.fd = takeover->claim_fd;
        takeover->claim_fd = -1;
        return true;
    }
    (void)snprintf(name, sizeof name, CONTROL_NAME_OF_SLUG, relay->uid, config->slug);
    relay->control_of_slug.watch.fd = bind_control_name(name);
    if (relay->control_of_slug.watch.fd < 0 && errno == EADDRINUSE)
        return setup_fail(
            reply, BOTTLE_CONFLICT,
            "slug \"%s\" has a running gate already: stop native:%s first, or choose another slug",
            config->slug, config->slug);
    return relay->control_of_slug.watch.fd >= 0 || setup_fail_errno(reply, "control socket");
}
