/* SPDX-License-Identifier: MIT */
/* start_context.h: what the steps of one start share. */
#ifndef DOCKER_START_CONTEXT_H
#define DOCKER_START_CONTEXT_H

#include "bottle/plan.h"
#include "bottle/relay_config.h"
#include "container/container.h"
#include "container/options.h"

struct docker_start {
    const struct bottle_host *host;
    const struct plan *plan;
    struct relay_config *config;
    struct container_options options;
    struct container container;
    json_object *internal, *egress; /* the networks, as the engine describes them */
    json_object *holder;            /* in a takeover: the container whose network is shared */
};

#endif
