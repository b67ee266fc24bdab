/* SPDX-License-Identifier: MIT */
/*
 * relay_config.h: filling in struct relay_config (wire/config.h) from a plan and start options, as every backend
 * needs it.
 */
#ifndef SSH_GATE_RELAY_CONFIG_H
#define SSH_GATE_RELAY_CONFIG_H

#include "bottle/plan.h"
#include "common/text/failure.h"
#include "wire/config.h"

#include <json-c/json.h>

/* The start options that relay_config_take_options() reads. */
#define RELAY_CONFIG_OPTION_KEYS                                                                   \
    "dial_timeout_ms", "dns_servers", "event_log_max_bytes", "identification_timeout_ms",          \
        RELAY_LIMIT_KEYS, "resolve_timeout_ms", "sandbox"

/* Each sets its part of config, which the caller has zeroed. */
enum bottle_result relay_config_take_options(struct relay_config *config, json_object *options,
                                             struct failure *failure);
/* Sets the slug, the upstreams and a new instance. */
enum bottle_result relay_config_take_plan(struct relay_config *config, const struct plan *plan,
                                          struct failure *failure);

#endif
