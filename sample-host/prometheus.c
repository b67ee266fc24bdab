/* SPDX-License-Identifier: MIT */
/*
 * prometheus.c: `status --prometheus`: the status of the gates in Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats).
 *
 * The format requires the samples of a metric to be together, so all gates are visited for each metric of the
 * table below.  A gate that does not run has ssh_gate_up 0 and no other sample.  An upstream has the metrics
 * that its status has the numbers for (bottle/sidecar.h), in base units.
 */
#include "prometheus.h"

#include "members.h"

#include "common/text/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* What a sample describes. */
struct subject {
    json_object *bottle;   /* as printed by --json */
    json_object *record;   /* the gate, one of the bottle's "sidecars" */
    json_object *upstream; /* NULL: the gate as a whole */
};

struct metric {
    const char *name;
    const char *type;
    const char *help;
    void (*print)(const struct metric *metric, const struct subject *subject);
    const char *key;   /* the member that has the number */
    bool of_upstreams; /* printed for each upstream, not for each gate */
};

/* ---- samples ---- */

/* The format escapes three characters.  Others that would harm a terminal are replaced. */
static void print_label_value(const char *value)
{
    size_t left = strlen(value);

    while (left > 0) {
        uint32_t code_point = 0;
        size_t length = utf8_decode(value, left, &code_point);
        if (length == 0) {
            length = 1;
            (void)fputs(REPLACEMENT, stdout);
        } else if (code_point == '\n') {
            (void)fputs("\\n", stdout);
        } else if (code_point == '\\' || code_point == '"') {
            (void)printf("\\%c", (char)code_point);
        } else if (is_harmful(code_point)) {
            (void)fputs(REPLACEMENT, stdout);
        } else {
            (void)fwrite(value, length, 1, stdout);
        }
        value += length;
        left -= length;
    }
}

static void print_label(const char *separator, const char *label, const char *value)
{
    (void)printf("%s%s=\"", separator, label);
    print_label_value(value ? value : "");
    (void)putchar('"');
}

/*
 * Prints "NAME{LABELS} "; the caller prints the sample's value and a newline.
 * @label, @value: one label more; label NULL: none
 */
static void begin_sample(const struct metric *metric, const char *suffix,
                         const struct subject *subject, const char *label, const char *value)
{
    (void)printf("%s%s", metric->name, suffix);
    print_label("{", "bottle", text_member(subject->bottle, "bottle"));
    print_label(",", "slug", text_member(subject->bottle, "slug"));
    print_label(",", "backend", text_member(subject->record, "backend"));
    if (subject->upstream) {
        json_object *port = json_object_object_get(subject->upstream, "listen_port");
        print_label(",", "upstream", text_member(subject->upstream, "bottle_host_alias"));
        print_label(",", "listen_port", json_object_get_string(port));
    }
    if (label)
        print_label(",", label, value);
    (void)fputs("} ", stdout);
}

/* Prints seconds. */
static void print_milliseconds(int64_t ms)
{
    (void)printf("%" PRId64 ".%03" PRId64 "\n", ms / 1000, ms % 1000);
}

/* Prints a member in microseconds as seconds. */
static void print_microseconds(json_object *object, const char *key)
{
    int64_t us = json_object_get_int64(json_object_object_get(object, key));

    (void)printf("%" PRId64 ".%06" PRId64 "\n", us / 1000000, us % 1000000);
}

/* ---- metrics ---- */

static void print_up(const struct metric *metric, const struct subject *subject)
{
    const char *state = text_member(subject->record, metric->key);
    bool up = state && (strcmp(state, "serving") == 0 || strcmp(state, "draining") == 0);

    begin_sample(metric, "", subject, NULL, NULL);
    (void)puts(up ? "1" : "0");
}

static void print_uptime(const struct metric *metric, const struct subject *subject)
{
    json_object *status = json_object_object_get(subject->record, "status");
    json_object *uptime_ms = json_object_object_get(status, metric->key);

    if (!json_object_is_type(uptime_ms, json_type_int))
        return;
    begin_sample(metric, "", subject, NULL, NULL);
    print_milliseconds(json_object_get_int64(uptime_ms));
}

static void print_number(const struct metric *metric, const struct subject *subject,
                         const char *key, const char *label, const char *value)
{
    json_object *number = json_object_object_get(subject->upstream, key);

    if (!json_object_is_type(number, json_type_int))
        return;
    begin_sample(metric, "", subject, label, value);
    (void)printf("%" PRId64 "\n", json_object_get_int64(number));
}

static void print_count(const struct metric *metric, const struct subject *subject)
{
    print_number(metric, subject, metric->key, NULL, NULL);
}

static void print_bytes(const struct metric *metric, const struct subject *subject)
{
    print_number(metric, subject, "bytes_up", "direction", "up");
    print_number(metric, subject, "bytes_down", "direction", "down");
}

static void print_dial_time(const struct metric *metric, const struct subject *subject)
{
    static const char *const QUANTILES[][2] = {{"0.5", "p50_us"}, {"0.99", "p99_us"}};
    json_object *times = NULL;

    if (!json_object_object_get_ex(subject->upstream, metric->key, &times))
        return;
    for (size_t i = 0; i < sizeof QUANTILES / sizeof QUANTILES[0]; i++) {
        begin_sample(metric, "", subject, "quantile", QUANTILES[i][0]);
        if (times)
            print_microseconds(times, QUANTILES[i][1]);
        else
            (void)puts("NaN");
    }
    begin_sample(metric, "_sum", subject, NULL, NULL);
    print_microseconds(times, "sum_us");
    begin_sample(metric, "_count", subject, NULL, NULL);
    (void)printf("%" PRId64 "\n", json_object_get_int64(json_object_object_get(times, "count")));
}

static void print_last_error(const struct metric *metric, const struct subject *subject)
{
    json_object *error = json_object_object_get(subject->upstream, metric->key);
    struct timespec now;

    if (!error || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return;
    begin_sample(metric, "", subject, "message", text_member(error, "message"));
    print_milliseconds((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 -
                       json_object_get_int64(json_object_object_get(error, "ago_ms")));
}

static const struct metric METRICS[] = {
    {"ssh_gate_up", "gauge", "Whether the gate runs.", print_up, "state", false},
    {"ssh_gate_uptime_seconds", "gauge", "How long the gate has run.", print_uptime, "uptime_ms",
     false},
    {"ssh_gate_connections", "gauge", "Connections that are open or being dialled.", print_count,
     "connections_now", true},
    {"ssh_gate_connections_total", "counter", "Connections that were accepted.", print_count,
     "connections_total", true},
    {"ssh_gate_refused_total", "counter", "Connections whose client got no upstream.", print_count,
     "connections_refused", true},
    {"ssh_gate_bytes_total", "counter", "Bytes passed on; up is away from the agent.", print_bytes,
     NULL, true},
    {"ssh_gate_dial_seconds", "summary", "Time from a client's arrival to a connected upstream.",
     print_dial_time, "dial_time", true},
    {"ssh_gate_last_error_timestamp_seconds", "gauge", "When the last client was refused, and why.",
     print_last_error, "last_error", true},
};

/* ---- the walk ---- */

static void print_gate(const struct metric *metric, struct subject *subject)
{
    json_object *status = json_object_object_get(subject->record, "status");
    json_object *upstreams = json_object_object_get(status, "upstreams");

    if (!metric->of_upstreams) {
        metric->print(metric, subject);
        return;
    }
    if (!json_object_is_type(upstreams, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(upstreams); i++) {
        subject->upstream = json_object_array_get_idx(upstreams, i);
        metric->print(metric, subject);
    }
    subject->upstream = NULL;
}

static void print_bottle(const struct metric *metric, json_object *bottle)
{
    json_object *sidecars = json_object_object_get(bottle, "sidecars");
    struct subject subject = {.bottle = bottle};

    for (size_t i = 0; i < json_object_array_length(sidecars); i++) {
        subject.record = json_object_array_get_idx(sidecars, i);
        const char *name = text_member(subject.record, "sidecar");
        if (name && strcmp(name, "ssh_gate") == 0)
            print_gate(metric, &subject);
    }
}

void print_prometheus(json_object *bottles)
{
    for (size_t i = 0; i < sizeof METRICS / sizeof METRICS[0]; i++) {
        (void)printf("# HELP %s %s\n# TYPE %s %s\n", METRICS[i].name, METRICS[i].help,
                     METRICS[i].name, METRICS[i].type);
        for (size_t j = 0; j < json_object_array_length(bottles); j++)
            print_bottle(&METRICS[i], json_object_array_get_idx(bottles, j));
    }
}
