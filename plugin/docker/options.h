/* SPDX-License-Identifier: MIT */
/* options.h: the start options of the docker backend. */
#ifndef DOCKER_OPTIONS_H
#define DOCKER_OPTIONS_H

#include "bottle/relay_config.h"
#include "container/options.h"

/*
 * @taken:  out: its strings are valid as long as options and the environment
 * @config: out: the relay's options; the rest is not set
 */
enum bottle_result docker_read_options(json_object *options, struct container_options *taken,
                                       struct relay_config *config, struct failure *failure);

#endif
