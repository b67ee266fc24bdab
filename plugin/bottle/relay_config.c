/* SPDX-License-Identifier: MIT */
/*
 * relay_config.c: see relay_config.h.  The backend adds the networks, and passes the config to the relay.
 */
#include "bottle/relay_config.h"

#include "common/sidecar/options.h"
#include "common/sidecar/target.h"
#include "common/text/dns_server.h"
#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>

static enum bottle_result read_dns_servers(json_object *options, struct relay_config *config,
                                           struct failure *failure)
{
    json_object *servers;

    if (!json_object_object_get_ex(options, "dns_servers", &servers))
        return BOTTLE_OK;
    if (!json_object_is_type(servers, json_type_array) || json_object_array_length(servers) < 1 ||
        json_object_array_length(servers) > RELAY_MAX_DNS_SERVERS)
        return failure_set(
            failure, BOTTLE_INVALID,
            "start options: dns_servers is %s; it takes an array of 1 to %d addresses",
            json_object_to_json_string(servers), RELAY_MAX_DNS_SERVERS);
    config->dns_server_count = (uint32_t)json_object_array_length(servers);
    for (uint32_t i = 0; i < config->dns_server_count; i++) {
        json_object *server = json_object_array_get_idx(servers, i);
        const char *text = json_object_get_string(server);
        struct dns_server parsed;
        if (!json_object_is_type(server, json_type_string) || !dns_server_read(text, &parsed))
            return failure_set(
                failure, BOTTLE_INVALID,
                "start options: dns_servers[%u] is %s; it takes an IP address, or ADDRESS:PORT, or "
                "[ADDRESS]:PORT; a link-local address with its interface, as fe80::1%%eth0",
                i, json_object_to_json_string(server));
        (void)snprintf(config->dns_servers[i], sizeof config->dns_servers[i], "%s", text);
    }
    return BOTTLE_OK;
}

static enum bottle_result read_sandbox(json_object *options, struct relay_config *config,
                                       struct failure *failure)
{
    const char *sandbox = "best-effort";
    enum bottle_result result = option_text(options, "sandbox", &sandbox, failure);

    config->sandbox_required = strcmp(sandbox, "required") == 0;
    if (result != BOTTLE_OK || config->sandbox_required || strcmp(sandbox, "best-effort") == 0)
        return result;
    return failure_set(failure, BOTTLE_INVALID,
                       "start options: sandbox is \"%s\"; it takes \"required\" or \"best-effort\"",
                       EXCERPT(sandbox));
}

static enum bottle_result read_limits(json_object *options, struct relay_config *config,
                                      struct failure *failure)
{
    enum bottle_result result = BOTTLE_OK;

    for (size_t i = 0; i < RELAY_LIMITS && result == BOTTLE_OK; i++) {
        config->limits[i] = RELAY_LIMIT[i].value;
        result = option_integer(options, RELAY_LIMIT[i].key, 1, RELAY_LIMIT_HIGHEST,
                                &config->limits[i], failure);
    }
    return result;
}

enum bottle_result relay_config_take_options(struct relay_config *config, json_object *options,
                                             struct failure *failure)
{
    enum bottle_result result;

    config->resolve_timeout_ms = 5000;
    config->dial_timeout_ms = 10000;
    config->identification_timeout_ms = 120000;
    config->event_log_max_bytes = 16 << 20;
    result = option_integer(options, "resolve_timeout_ms", 1, DAY_MS, &config->resolve_timeout_ms,
                            failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "dial_timeout_ms", 1, DAY_MS, &config->dial_timeout_ms,
                                failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "identification_timeout_ms", 1, DAY_MS,
                                &config->identification_timeout_ms, failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "event_log_max_bytes", 64 << 10, 1 << 30,
                                &config->event_log_max_bytes, failure);
    if (result == BOTTLE_OK)
        result = read_dns_servers(options, config, failure);
    if (result == BOTTLE_OK)
        result = read_limits(options, config, failure);
    if (result == BOTTLE_OK)
        result = read_sandbox(options, config, failure);
    return result;
}

_Static_assert(PLAN_MAX_UPSTREAMS <= RELAY_MAX_UPSTREAMS && HOST_SIZE <= RELAY_HOST_SIZE &&
                   DNS_SERVER_TEXT_SIZE <= RELAY_DNS_SERVER_SIZE && SLUG_SIZE == RELAY_SLUG_SIZE &&
                   TARGET_INSTANCE_SIZE == RELAY_INSTANCE_SIZE,
               "every plan fits into a config");

enum bottle_result relay_config_take_plan(struct relay_config *config, const struct plan *plan,
                                          struct failure *failure)
{
    (void)snprintf(config->slug, sizeof config->slug, "%s", plan->slug);
    config->upstream_count = (uint32_t)plan->upstream_count;
    for (size_t i = 0; i < plan->upstream_count; i++) {
        const struct upstream *upstream = &plan->upstreams[i];
        struct relay_upstream_config *to = &config->upstreams[i];
        (void)snprintf(to->alias, sizeof to->alias, "%s", upstream->alias);
        (void)snprintf(to->host, sizeof to->host, "%s", upstream->host);
        to->listen_port = upstream->listen_port;
        to->port = upstream->port;
    }
    return target_new_instance(config->instance, failure);
}
