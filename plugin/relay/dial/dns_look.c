/* SPDX-License-Identifier: MIT */
/* dns_look.c: see dns_look.h. */
#include "relay/dial/dns_look.h"

#include "relay/dial/dialler.h"
#include "relay/dial/dns_opener.h"

#define LOOK_AGAIN_MS 1000

static void look_takes_too_long(struct timer *timer)
{
    struct dialler *dialler = container_of(timer, struct dialler, resolver.look_timer);

    dialler->resolver.look = LOOK_LATE;
    dialler->resolver.looked(dialler);
}

/* Through the descriptors, where nobody opens the files for the relay. */
static void look_at_files(struct dialler *dialler)
{
    for (enum dns_file_index i = DNS_HOSTS; i < DNS_FILES; i++)
        if (dns_file_changed(dialler, &dialler->resolver.files[i]))
            dns_files_read(dialler, i);
}

bool dns_look_must_wait(struct dialler *dialler)
{
    struct resolver *resolver = &dialler->resolver;
    bool is_due =
        resolver->looked_ms == 0 || dialler->loop->now_ms - resolver->looked_ms >= LOOK_AGAIN_MS;

    if (!is_due || resolver->look != LOOK_NONE)
        return resolver->look == LOOK_ASKED;
    resolver->looked_ms = dialler->loop->now_ms;
    if (resolver->servers_pending)
        resolver_use_servers(dialler);
    if (!dns_opener_ask(dialler)) {
        look_at_files(dialler);
        return false;
    }
    resolver->look = LOOK_ASKED;
    timer_start(dialler->loop, &dialler->look_timers, &resolver->look_timer, look_takes_too_long);
    return true;
}
