/* SPDX-License-Identifier: MIT */
/*
 * status.c: the command `status`: what runs, as a table for people, or as JSON or for Prometheus.
 *
 * state.json has which sidecars were started; each of them is asked for its state, so one that was killed is
 * "not running".  The table has a line for each sidecar and one for each of its upstreams.
 *
 * --watch repeats this every two seconds until this program is ended.  Each table is written at once, so that
 * it does not flicker.
 */
#include "status.h"

#include "bottle.h"
#include "describe.h"
#include "directory.h"
#include "exit_status.h"
#include "fail.h"
#include "members.h"
#include "plugins.h"
#include "print.h"
#include "prometheus.h"
#include "request.h"
#include "sidecar.h"
#include "slugs.h"
#include "state.h"

#include "common/cleanup.h"
#include "common/text/failure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WATCH_INTERVAL_S 2
#define CLEAR_SCREEN     "\033[H\033[2J"
#define RED              "\033[31m"
#define GREEN            "\033[32m"
#define YELLOW           "\033[33m"
#define PLAIN            "\033[0m"

struct listing {
    const struct request *request;
    json_object *bottles; /* for --json and --prometheus */
    bool has_colours;
    bool found;
    bool all_run;
};

static bool wants_table(const struct listing *listing)
{
    return !listing->request->value[OPTION_JSON] && !listing->request->value[OPTION_PROMETHEUS];
}

/* Colours are for terminals, and not if $NO_COLOR is set: https://no-color.org */
static bool wants_colours(void)
{
    const char *none = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) == 1 && (!none || none[0] == '\0') && terminal &&
           strcmp(terminal, "dumb") != 0;
}

/* ---- the table ---- */

/* An upstream's name is as wide as the columns of a sidecar together. */
#define SIDECAR_FORMAT "%-16s %-16s %-10s %-8s "
#define STATE_FORMAT   "%-11s"
#define ADDRESS_FORMAT " %-20s"
#define SIDECAR_WIDTH  86
#define COUNTER_FORMAT " %5s %7s %7s %9s %9s %9s %9s  %s"

/* @text: out: the number with a unit, in bytes up to 9999 */
static const char *format_bytes(int64_t bytes, char text[32])
{
    static const char *const UNITS[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 10000) {
        (void)snprintf(text, 32, "%" PRId64 " B", bytes);
        return text;
    }
    for (; value >= 1000 && unit + 1 < sizeof UNITS / sizeof UNITS[0]; unit++)
        value /= 1024;
    (void)snprintf(text, 32, value < 10 ? "%.1f %s" : "%.0f %s", value, UNITS[unit]);
    return text;
}

/* @text: out: the time with a unit */
static const char *format_duration(int64_t duration_us, char text[32])
{
    if (duration_us < 1000)
        (void)snprintf(text, 32, "%" PRId64 " us", duration_us);
    else if (duration_us < 1000000)
        (void)snprintf(text, 32, "%.1f ms", (double)duration_us / 1000);
    else
        (void)snprintf(text, 32, "%.1f s", (double)duration_us / 1000000);
    return text;
}

static const char *format_count(int64_t count, char text[32])
{
    (void)snprintf(text, 32, "%" PRId64, count);
    return text;
}

/* Formats an integer member of the object; "-" if it has none. */
static const char *number(json_object *object, const char *key,
                          const char *(*format)(int64_t value, char text[32]), char text[32])
{
    json_object *value = NULL;

    if (!json_object_object_get_ex(object, key, &value) ||
        !json_object_is_type(value, json_type_int))
        return "-";
    return format(json_object_get_int64(value), text);
}

static void describe_error(json_object *upstream, struct failure *text)
{
    json_object *error = json_object_object_get(upstream, "last_error");
    const char *message = text_member(error, "message");

    if (!message)
        failure_format(text, "%s", "");
    else
        failure_format(text, "%s (%" PRId64 " s ago)", message,
                       json_object_get_int64(json_object_object_get(error, "ago_ms")) / 1000);
}

static void print_upstream(json_object *upstream)
{
    json_object *dial_time = json_object_object_get(upstream, "dial_time");
    struct failure name;
    struct failure error;
    char open[32];
    char total[32];
    char refused[32];
    char up[32];
    char down[32];
    char p50[32];
    char p99[32];

    describe_upstream(upstream, " ", &name);
    describe_error(upstream, &error);
    print_line(stdout, "  %-*.*s" COUNTER_FORMAT, SIDECAR_WIDTH - 2, SIDECAR_WIDTH - 2,
               name.message, number(upstream, "connections_now", format_count, open),
               number(upstream, "connections_total", format_count, total),
               number(upstream, "connections_refused", format_count, refused),
               number(upstream, "bytes_up", format_bytes, up),
               number(upstream, "bytes_down", format_bytes, down),
               number(dial_time, "p50_us", format_duration, p50),
               number(dial_time, "p99_us", format_duration, p99), error.message);
}

static const char *colour_of(const char *state)
{
    if (strcmp(state, "serving") == 0)
        return GREEN;
    if (strcmp(state, "not running") == 0)
        return RED;
    return YELLOW;
}

static void print_sidecar(const struct listing *listing, const struct bottle *bottle,
                          json_object *record, json_object *status)
{
    const char *address = text_member(status, "address");
    const char *state = text_member(record, "state");
    json_object *upstreams = json_object_object_get(status, "upstreams");

    print_part(stdout, SIDECAR_FORMAT, bottle->name, bottle->slug, text_member(record, "sidecar"),
               text_member(record, "backend"));
    (void)fputs(listing->has_colours ? colour_of(state) : "", stdout);
    print_part(stdout, STATE_FORMAT, state);
    (void)fputs(listing->has_colours ? PLAIN : "", stdout);
    print_line(stdout, ADDRESS_FORMAT, address ? address : "-");
    if (!json_object_is_type(upstreams, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(upstreams); i++)
        print_upstream(json_object_array_get_idx(upstreams, i));
}

static void print_heading(void)
{
    print_line(stdout, SIDECAR_FORMAT STATE_FORMAT ADDRESS_FORMAT COUNTER_FORMAT, "BOTTLE", "SLUG",
               "SIDECAR", "BACKEND", "STATE", "ADDRESS", "OPEN", "TOTAL", "REFUSED", "UP", "DOWN",
               "DIAL P50", "DIAL P99", "LAST ERROR");
}

/* ---- asking ---- */

/* Asks the sidecar, and prints what it says or adds that to its record. */
static bool list_sidecar(struct listing *listing, const struct bottle *bottle,
                         struct sidecar *sidecar)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result = sidecar_status(sidecar, &status);
    const char *state = text_member(status, "state");

    if (result == BOTTLE_NOT_FOUND)
        state = sidecar_is_started(sidecar) ? "not running" : "not started";
    listing->all_run &= result != BOTTLE_NOT_FOUND;
    if (!set_text(sidecar->record, "state", state ? state : "unknown"))
        return false;
    if (wants_table(listing))
        print_sidecar(listing, bottle, sidecar->record, status);
    else if (json_object_object_add(sidecar->record, "status", json_object_get(status)) != 0)
        return fail("out of memory");
    return result == BOTTLE_OK || result == BOTTLE_NOT_FOUND;
}

/* A slug_visit. */
static bool list_bottle(void *context, struct directory *directory, struct bottle *bottle)
{
    struct listing *listing = context;
    CLEANUP_PLUGINS struct plugins plugins = {0};
    bool listed = true;

    if (bottle->count == 0) /* of a launcher that was killed, or a run without sidecars */
        return true;
    if (!bottle_attach(bottle, listing->request, &plugins))
        return false;
    if (!listing->found && wants_table(listing))
        print_heading();
    listing->found = true;
    bottle_drop_ended_twins(bottle);
    for (size_t i = 0; i < bottle->count; i++)
        listed &= list_sidecar(listing, bottle, &bottle->sidecars[i]);
    json_object *object = state_object(bottle);
    if (object && json_object_array_add(listing->bottles, object) == 0)
        return listed;
    (void)json_object_put(object);
    return fail("%s: out of memory", directory->path);
}

/* Prints everything once; returns the exit status. */
static int list(const struct request *request, const struct directory *root)
{
    CLEANUP_JSON json_object *object = json_object_new_object();
    struct listing listing = {.request = request,
                              .bottles = json_object_new_array(),
                              .has_colours = wants_colours(),
                              .all_run = true};

    if (!set_member(object, "bottles", listing.bottles))
        return STATUS_FAILED;
    bool listed = slugs_walk(root, request, list_bottle, &listing);
    if (request->value[OPTION_JSON] && !print_json(object))
        return STATUS_FAILED;
    if (request->value[OPTION_PROMETHEUS])
        print_prometheus(listing.bottles);
    if (listed && request->bottle && !listing.found) {
        slugs_say_not_up(root, request);
        return STATUS_NOT_RUNNING;
    }
    if (!listed)
        return STATUS_FAILED;
    return listing.all_run ? STATUS_OK : STATUS_NOT_RUNNING;
}

/* Repeats the list until standard output is closed or something fails. */
static int watch(const struct request *request, const struct directory *root)
{
    const struct timespec interval = {.tv_sec = WATCH_INTERVAL_S};
    static char whole[1 << 16];
    int status;

    if (setvbuf(stdout, whole, _IOFBF, sizeof whole) != 0) {
        (void)fail("cannot buffer standard output");
        return STATUS_FAILED;
    }
    do {
        (void)fputs(isatty(STDOUT_FILENO) == 1 ? CLEAR_SCREEN : "", stdout);
        status = list(request, root);
        if (fflush(stdout) != 0)
            return STATUS_FAILED;
        (void)nanosleep(&interval, NULL);
    } while (status != STATUS_FAILED);
    return status;
}

int command_status(const struct request *request)
{
    CLEANUP_DIRECTORY struct directory root = NO_DIRECTORY;

    if (!slugs_open(&root))
        return STATUS_FAILED;
    return request->value[OPTION_WATCH] ? watch(request, &root) : list(request, &root);
}
