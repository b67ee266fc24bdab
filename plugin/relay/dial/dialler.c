/* SPDX-License-Identifier: MIT */
/* dialler.c: see dialler.h. */
#include "relay/dial/dialler.h"

#include "relay/dial/dns_opener.h"
#include "relay/dial/lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FAMILY_WAIT_MS  50  /* RFC 8305 §3 */
#define ATTEMPT_WAIT_MS 250 /* RFC 8305 §5 */
#define LOOK_WAIT_MS    1000

void dialler_init(struct dialler *dialler, const struct relay_config *config)
{
    dialler->config = config;
    dialler->destination_count = config->upstream_count;
    for (size_t i = 0; i < dialler->destination_count; i++)
        dialler->destinations[i].config = &config->upstreams[i];
    dialler->resolver.opener.fd = -1;
    dns_files_set_paths(dialler);
}

bool dialler_watch(struct dialler *dialler, bool *invalid, char message[RELAY_MESSAGE_SIZE])
{
    struct loop *loop = dialler->loop;

    loop_add_queue(loop, &dialler->family_timers, FAMILY_WAIT_MS);
    loop_add_queue(loop, &dialler->attempt_timers, ATTEMPT_WAIT_MS);
    loop_add_queue(loop, &dialler->look_timers, LOOK_WAIT_MS);
    loop_add_queue(loop, &dialler->resolve_timers, dialler->config->resolve_timeout_ms);
    loop_add_queue(loop, &dialler->dial_timers, dialler->config->dial_timeout_ms);
    lookups_init(dialler);
    *invalid = !resolver_configure(dialler, message);
    if (*invalid)
        return false;
    dns_files_open(dialler);
    if (!resolver_init(dialler, message))
        return false;
    if (dns_opener_watch(dialler))
        return true;
    (void)snprintf(message, RELAY_MESSAGE_SIZE, "epoll_ctl: %s", strerror(errno));
    return false;
}
