/* SPDX-License-Identifier: MIT */
/* events.c: the events of the relay, and the members that each has (ssh_gate(7), "EVENTS"). */
#include "relay/serve/events.h"

#include "relay/base/event_log.h"
#include "relay/serve/connection.h"
#include "relay/serve/relay.h"

static void put_upstream(struct json_out *out, const struct relay_upstream_config *config)
{
    json_out_string(out, "bottle_host_alias", config->alias);
    json_out_string(out, "upstream_host", config->host);
    json_out_integer(out, "upstream_port", config->port);
}

static void put_connection(struct json_out *out, const struct connection *connection)
{
    char text[ADDRESS_TEXT_SIZE];

    json_out_integer(out, "connection", (int64_t)connection->number);
    put_upstream(out, connection->upstream->destination->config);
    json_out_string(out, "client_address", address_text(&connection->client_address, text));
}

static void put_limit(struct json_out *out, const struct limits *limits, enum relay_limit limit)
{
    json_out_string(out, "limit", RELAY_LIMIT[limit].key);
    json_out_integer(out, "value", limits->relay->config.limits[limit]);
    if (limits->upstream)
        put_upstream(out, limits->upstream->destination->config);
}

/* The age in whole milliseconds, as timers count, so that it is never less than a timeout that has expired. */
static int64_t age_ms(const struct connection *connection)
{
    return connection->relay->loop.now_us / 1000 - connection->opened_us / 1000;
}

void event_started(struct relay *relay)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "started");
    json_out_string(&out, "slug", relay->config.slug);
    json_out_string(&out, "instance", relay->config.instance);
    json_out_integer(&out, "upstreams", (int64_t)relay->upstream_count);
    event_end(&relay->log, &out);
}

void event_open(const struct connection *connection)
{
    char buffer[EVENT_SIZE], text[ADDRESS_TEXT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "open");
    put_connection(&out, connection);
    json_out_string(&out, "upstream_address", address_text(&connection->upstream_address, text));
    json_out_integer(&out, "dial_ms", age_ms(connection));
    event_end(&connection->relay->log, &out);
}

void event_close(const struct connection *connection, const char *ended_by, const char *reason)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "close");
    put_connection(&out, connection);
    json_out_integer(&out, "bytes_up", (int64_t)connection->up.bytes);
    json_out_integer(&out, "bytes_down", (int64_t)connection->down.bytes);
    json_out_integer(&out, "duration_ms", age_ms(connection));
    json_out_string(&out, "ended_by", ended_by);
    json_out_string(&out, "reason", reason);
    event_end(&connection->relay->log, &out);
}

void event_refused(const struct connection *connection, const char *reason, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "refused");
    put_connection(&out, connection);
    json_out_integer(&out, "duration_ms", age_ms(connection));
    json_out_string(&out, "reason", reason);
    json_out_string(&out, "message", message);
    event_end(&connection->relay->log, &out);
}

void event_limit_reached(const struct limits *limits, enum relay_limit limit, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "limit-reached");
    put_limit(&out, limits, limit);
    json_out_string(&out, "message", message);
    event_end(&limits->relay->log, &out);
}

void event_limit_over(const struct limits *limits, enum relay_limit limit, uint64_t refused,
                      int64_t duration_ms)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "limit-over");
    put_limit(&out, limits, limit);
    json_out_integer(&out, "count", (int64_t)refused);
    json_out_integer(&out, "duration_ms", duration_ms);
    event_end(&limits->relay->log, &out);
}

void event_violation(struct relay *relay, const char *system_call, int number)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "sandbox-violation");
    if (system_call)
        json_out_string(&out, "system_call", system_call);
    else
        json_out_null(&out, "system_call");
    json_out_integer(&out, "number", number);
    relay->log.together = false; /* no later write: this is the last event */
    event_end(&relay->log, &out);
}

void event_stopped(struct relay *relay)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    event_begin(&out, buffer, "stopped");
    json_out_string(&out, "reason", relay->stop_reason);
    json_out_integer(&out, "connections_total", (int64_t)relay->connections_total);
    json_out_integer(&out, "duration_ms", relay->loop.now_ms - relay->started_ms);
    event_end(&relay->log, &out);
}
