/* SPDX-License-Identifier: MIT */
/*
 * events.c: what happened, one JSON object a line in the event log (event_log.c).
 *
 * The lines of one turn of the loop are written together, at its end, or when the next one does not fit.
 *
 * Where the event log is a pipe whose reader has stopped, lines are lost and counted rather than
 * waited for; the next line that can be written says how many.  Where it is a file, only the
 * newest lines are kept when it has reached its limit, so that an agent that connects for ever
 * does not fill the disk.
 *
 * A relay that was taken over goes on writing to the same file until it has drained.  Appending is
 * whole lines each (O_APPEND).  Only the relay that serves shortens the file, under a lock that the
 * other takes for each of its writes (fcntl(2), F_OFD_SETLK): it neither tears a line nor loses one unseen.
 * Nobody waits for the lock: lines that find it taken are lost and counted, and the file is shortened
 * before later ones.
 */
#include "relay/relay.h"

#include "relay/base/json_out.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EVENT_SIZE 4000 /* four host names and a message, escaped, fit */
#define TIME_SIZE  25   /* "2026-01-31T23:59:59.999Z" */

static void put_digits(char *to, int64_t value, size_t count)
{
    while (count-- > 0) {
        to[count] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* gmtime_r(3) is not for signal handlers.  A year begins in March here, so that the leap day is its last;
   400 of them have the same length always (proleptic Gregorian calendar). */
static void put_time(char text[TIME_SIZE])
{
    enum { DAY_S = 86400, DAYS_400_YEARS = 146097, DAYS_100_YEARS = 36524, DAYS_4_YEARS = 1461 };
    enum { MARCH_OF_YEAR_0 = 719468 }; /* days before 1970 */
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* for people; nothing is computed from it */
    int64_t seconds = now.tv_sec > 0 ? now.tv_sec : 0;
    int64_t days = seconds / DAY_S + MARCH_OF_YEAR_0;
    int64_t year = days / DAYS_400_YEARS * 400;

    days %= DAYS_400_YEARS;
    int64_t century =
        days / DAYS_100_YEARS < 4 ? days / DAYS_100_YEARS : 3; /* the last has a day more */
    days -= century * DAYS_100_YEARS;
    int64_t four = days / DAYS_4_YEARS;
    days -= four * DAYS_4_YEARS;
    int64_t single = days / 365 < 4 ? days / 365 : 3; /* the last has a day more */
    days -= single * 365;
    year += 100 * century + 4 * four + single;
    int64_t month = (5 * days + 2) / 153; /* from March; five months have 153 days */
    days -= (153 * month + 2) / 5;

    memcpy(text, "YYYY-MM-DDThh:mm:ss.mmmZ", TIME_SIZE);
    put_digits(text, month < 10 ? year : year + 1, 4);
    put_digits(text + 5, month < 10 ? month + 3 : month - 9, 2);
    put_digits(text + 8, days + 1, 2);
    put_digits(text + 11, seconds % DAY_S / 3600, 2);
    put_digits(text + 14, seconds % 3600 / 60, 2);
    put_digits(text + 17, seconds % 60, 2);
    put_digits(text + 20, now.tv_nsec / 1000000, 3);
}

static void begin(struct json_out *out, char *buffer, const char *event)
{
    char text[TIME_SIZE];

    put_time(text);
    json_out_init(out, buffer, EVENT_SIZE - 1); /* the newline has its place */
    json_out_begin(out, NULL, '{');
    json_out_string(out, "time", text);
    json_out_string(out, "event", event);
}

/* Moves the lines that lie wholly after from to the start of the file.  Returns its new size. */
static off_t keep_newest(struct relay *relay, off_t from)
{
    off_t to = 0;
    bool at_line = false;

    for (;;) {
        char *bytes = relay->io_buffer;
        ssize_t length = pread(relay->events_fd, bytes, IO_BUFFER_SIZE, from);
        if (length <= 0)
            break;
        from += length;
        if (!at_line) {
            char *newline = memchr(bytes, '\n', (size_t)length);
            if (!newline)
                continue;
            at_line = true;
            length -= newline + 1 - bytes;
            bytes = newline + 1;
        }
        if (pwrite(relay->events_fd, bytes, (size_t)length, to) != length)
            break;
        to += length;
    }
    return to;
}

/*
 * type: F_RDLCK to append, F_WRLCK to shorten, F_UNLCK.  False: another relay has it; does not wait.
 * A file system without locks is no reason to write nothing.
 */
static bool lock_file(const struct relay *relay, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

    return !fcntl(relay->events_fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES);
}

/*
 * Looks at the file each time that half of the limit was written, and leaves at most the other half.
 * pwrite(2) on a file that is open for appending appends, whatever the offset; so that is off
 * meanwhile.
 */
static void bound_file(struct relay *relay, size_t next_length)
{
    const off_t half = relay->config.event_log_max_bytes / 2;
    struct stat file;
    int flags;

    relay->event_bytes_checked += next_length;
    if (relay->event_bytes_checked <= (size_t)half)
        return;
    if (!lock_file(relay, F_WRLCK))
        return; /* before the next line then */
    relay->event_bytes_checked = next_length;
    flags = fcntl(relay->events_fd, F_GETFL);
    if (!fstat(relay->events_fd, &file) && file.st_size > half && flags >= 0 &&
        !fcntl(relay->events_fd, F_SETFL, flags & ~O_APPEND)) {
        if (ftruncate(relay->events_fd, keep_newest(relay, file.st_size - half)))
            relay->events_lost++;
        (void)fcntl(relay->events_fd, F_SETFL, flags); /* it took these flags before */
    }
    (void)lock_file(relay, F_UNLCK);
}

/* Returns how many bytes were written. */
static size_t append(const struct relay *relay, const char *lines, size_t length)
{
    ssize_t written = write(relay->events_fd, lines, length);

    return written > 0 ? (size_t)written : 0;
}

static size_t append_to_file(struct relay *relay, const char *lines, size_t length)
{
    if (control_claims_slug(relay)) {
        bound_file(relay, length);
        return append(relay, lines, length);
    }
    if (!lock_file(relay, F_RDLCK))
        return 0;
    size_t written = append(relay, lines, length);
    (void)lock_file(relay, F_UNLCK);
    return written;
}

/*
 * Of a line that the disk took only a part of nothing stays, or the next one would be glued to it; unless
 * another relay has written to the file since.
 */
static void take_back(const struct relay *relay, const char *part, size_t length)
{
    char last[PIPE_BUF];
    struct stat file;

    if (length == 0 || !lock_file(relay, F_WRLCK))
        return;
    if (!fstat(relay->events_fd, &file) && file.st_size >= (off_t)length &&
        pread(relay->events_fd, last, length, file.st_size - (off_t)length) == (ssize_t)length &&
        memcmp(last, part, length) == 0)
        (void)!ftruncate(relay->events_fd, file.st_size - (off_t)length); /* then it stays */
    (void)lock_file(relay, F_UNLCK);
}

/* Returns how many of the lines are lost: a full disk takes a part, a pipe all or nothing. */
static size_t write_lines(struct relay *relay, const char *lines, size_t length)
{
    size_t written =
        relay->events_in_file ? append_to_file(relay, lines, length) : append(relay, lines, length);
    size_t lost = 0, part = 0;

    while (part < written && lines[written - 1 - part] != '\n')
        part++;
    if (relay->events_in_file)
        take_back(relay, lines + written - part, part);
    for (size_t i = written; i < length; i++)
        lost += lines[i] == '\n';
    return lost;
}

static bool end_line(struct json_out *out)
{
    json_out_end(out, '}');
    if (out->overflow)
        return false;
    out->buffer[out->length++] = '\n';
    return true;
}

static void tell_loss(struct relay *relay)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "events-lost");
    json_out_integer(&out, "count", (int64_t)relay->events_lost);
    if (end_line(&out) && write_lines(relay, out.buffer, out.length) == 0)
        relay->events_lost = 0;
}

void events_write(struct relay *relay)
{
    if (relay->event_length == 0)
        return;
    if (relay->events_lost > 0)
        tell_loss(relay);
    relay->events_lost += write_lines(relay, relay->event_lines, relay->event_length);
    relay->event_length = 0;
}

static void end(struct relay *relay, struct json_out *out)
{
    if (!end_line(out)) {
        relay->events_lost++;
        return;
    }
    if (relay->event_length + out->length > sizeof relay->event_lines)
        events_write(relay);
    memcpy(relay->event_lines + relay->event_length, out->buffer, out->length);
    relay->event_length += out->length;
    if (!relay->events_together)
        events_write(relay);
}

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
    put_upstream(out, connection->upstream->config);
    json_out_string(out, "client_address", address_text(&connection->client_address, text));
}

static void put_limit(struct json_out *out, const struct limits *limits, enum relay_limit limit)
{
    json_out_string(out, "limit", RELAY_LIMIT[limit].key);
    json_out_integer(out, "value", limits->relay->config.limits[limit]);
    if (limits->upstream)
        put_upstream(out, limits->upstream->config);
}

/* In whole milliseconds of the clock, as timers count: what ends by a timeout is not younger than that. */
static int64_t age_ms(const struct connection *connection)
{
    return connection->relay->loop.now_us / 1000 - connection->opened_us / 1000;
}

void event_started(struct relay *relay)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "started");
    json_out_string(&out, "slug", relay->config.slug);
    json_out_string(&out, "instance", relay->config.instance);
    json_out_integer(&out, "upstreams", (int64_t)relay->upstream_count);
    end(relay, &out);
}

void event_open(const struct connection *connection)
{
    char buffer[EVENT_SIZE], text[ADDRESS_TEXT_SIZE];
    struct json_out out;

    begin(&out, buffer, "open");
    put_connection(&out, connection);
    json_out_string(&out, "upstream_address", address_text(&connection->upstream_address, text));
    json_out_integer(&out, "dial_ms", age_ms(connection));
    end(connection->relay, &out);
}

void event_close(const struct connection *connection, const char *ended_by, const char *reason)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "close");
    put_connection(&out, connection);
    json_out_integer(&out, "bytes_up", (int64_t)connection->up.bytes);
    json_out_integer(&out, "bytes_down", (int64_t)connection->down.bytes);
    json_out_integer(&out, "duration_ms", age_ms(connection));
    json_out_string(&out, "ended_by", ended_by);
    json_out_string(&out, "reason", reason);
    end(connection->relay, &out);
}

void event_refused(const struct connection *connection, const char *reason, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "refused");
    put_connection(&out, connection);
    json_out_integer(&out, "duration_ms", age_ms(connection));
    json_out_string(&out, "reason", reason);
    json_out_string(&out, "message", message);
    end(connection->relay, &out);
}

void event_limit_reached(const struct limits *limits, enum relay_limit limit, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "limit-reached");
    put_limit(&out, limits, limit);
    json_out_string(&out, "message", message);
    end(limits->relay, &out);
}

void event_limit_over(const struct limits *limits, enum relay_limit limit, uint64_t refused,
                      int64_t duration_ms)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "limit-over");
    put_limit(&out, limits, limit);
    json_out_integer(&out, "count", (int64_t)refused);
    json_out_integer(&out, "duration_ms", duration_ms);
    end(limits->relay, &out);
}

void event_notice(struct relay *relay, const char *event, const char *message)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, event);
    json_out_string(&out, "message", message);
    end(relay, &out);
}

void event_violation(struct relay *relay, const char *system_call, int number)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "sandbox-violation");
    if (system_call)
        json_out_string(&out, "system_call", system_call);
    else
        json_out_null(&out, "system_call");
    json_out_integer(&out, "number", number);
    relay->events_together = false; /* this is the last one */
    end(relay, &out);
}

void event_stopped(struct relay *relay)
{
    char buffer[EVENT_SIZE];
    struct json_out out;

    begin(&out, buffer, "stopped");
    json_out_string(&out, "reason", relay->stop_reason);
    json_out_integer(&out, "connections_total", (int64_t)relay->connections_total);
    json_out_integer(&out, "duration_ms", relay->loop.now_ms - relay->started_ms);
    end(relay, &out);
}
