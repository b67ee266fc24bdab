/* SPDX-License-Identifier: MIT */
/* command_line_write.c: the plugin's end of the relay's command line; command_line_read.c has the relay's. */
#include "wire/command_line.h"

#include "common/text/json_object.h"

#include <stdio.h>

static bool append_option(json_object *words, const char *option, const char *value)
{
    return array_add_text(words, option) && array_add_text(words, value);
}

static bool append_number(json_object *words, const char *option, int32_t number)
{
    char text[16];

    (void)snprintf(text, sizeof text, "%d", number);
    return append_option(words, option, text);
}

static bool append_limits(json_object *words, const struct relay_config *config)
{
    char text[64];
    bool appended = true;

    for (size_t i = 0; appended && i < RELAY_LIMITS; i++) {
        (void)snprintf(text, sizeof text, "%s=%d", RELAY_LIMIT[i].key, config->limits[i]);
        appended = append_option(words, ARGUMENT_LIMIT, text);
    }
    return appended;
}

static bool append_upstream(json_object *words, const struct relay_upstream_config *upstream)
{
    char text[UPSTREAM_TEXT_SIZE];

    (void)snprintf(text, sizeof text, "%s,%u,%s,%u", upstream->alias, upstream->listen_port,
                   upstream->host, upstream->port);
    return append_option(words, ARGUMENT_UPSTREAM, text);
}

static bool append_subnets(json_object *words, json_object *subnets)
{
    bool appended = true;

    for (size_t i = 0; appended && i < json_object_array_length(subnets); i++)
        appended = append_option(words, ARGUMENT_LISTEN,
                                 json_object_get_string(json_object_array_get_idx(subnets, i)));
    return appended;
}

bool arguments_write(json_object *words, const struct relay_config *config, json_object *subnets)
{
    bool appended =
        array_add_text(words, "serve") && append_option(words, ARGUMENT_FORWARDING, "refused") &&
        append_option(words, ARGUMENT_SLUG, config->slug) &&
        append_option(words, ARGUMENT_INSTANCE, config->instance) &&
        append_subnets(words, subnets) &&
        append_number(words, ARGUMENT_RESOLVE_TIMEOUT, config->resolve_timeout_ms) &&
        append_number(words, ARGUMENT_DIAL_TIMEOUT, config->dial_timeout_ms) &&
        append_number(words, ARGUMENT_IDENTIFICATION_TIMEOUT, config->identification_timeout_ms) &&
        append_limits(words, config) &&
        (!config->sandbox_required || append_option(words, ARGUMENT_SANDBOX, "required")) &&
        (!config->takeover_instance[0] ||
         append_option(words, ARGUMENT_TAKEOVER, config->takeover_instance));

    for (uint32_t i = 0; appended && i < config->dns_server_count; i++)
        appended = append_option(words, ARGUMENT_DNS_SERVER, config->dns_servers[i]);
    for (uint32_t i = 0; appended && i < config->upstream_count; i++)
        appended = append_upstream(words, &config->upstreams[i]);
    return appended;
}
