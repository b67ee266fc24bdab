/* SPDX-License-Identifier: MIT */
/*
 * test_events.c: event lines are JSON, one object each, whatever bytes are in names and messages.
 *
 * No such bytes get so far today: names follow a grammar, errors are the system's.  So the relay's own
 * events.c writes here, with texts that nobody checked.  What a gate writes is checked in the same way by
 * every test that has one (gate_fixture.h).
 */
#include "common/cleanup.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"
#include "relay/serve/connection.h"
#include "relay/serve/events.h"
#include "relay/serve/relay.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TEXT_SIZE   RELAY_MESSAGE_SIZE
#define EVENT_COUNT 9 /* that write_all writes */
#define REPLACEMENT "\xef\xbf\xbd"

/* What the calendar says; 0: the machine's clock. */
static time_t set_time;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock != CLOCK_REALTIME || set_time == 0)
        return (int)syscall(SYS_clock_gettime, clock, now);
    *now = (struct timespec){.tv_sec = set_time, .tv_nsec = 987654321};
    return 0;
}

static struct relay relay;
static struct connection connection;

static void set_text(char *to, size_t size, const char *text)
{
    (void)snprintf(to, size, "%s", text); /* cut anywhere, also in a character */
}

/* Every text that an event has is this one, as far as there is room. */
static void set_texts(const char *text)
{
    struct relay_upstream_config *upstream = &relay.config.upstreams[0];

    set_text(relay.config.slug, sizeof relay.config.slug, text);
    set_text(relay.config.instance, sizeof relay.config.instance, text);
    set_text(upstream->alias, sizeof upstream->alias, text);
    set_text(upstream->host, sizeof upstream->host, text);
    relay.stop_reason = text;
    relay.dialler.destinations[0].config = upstream;
    relay.upstreams[0].destination = &relay.dialler.destinations[0];
    relay.upstreams[0].limits = (struct limits){.relay = &relay, .upstream = &relay.upstreams[0]};
    connection = (struct connection){.relay = &relay, .upstream = &relay.upstreams[0]};
    connection.client_address.any.sa_family = AF_INET;
    connection.upstream_address.any.sa_family = AF_INET6;
}

static void write_all(const char *text)
{
    event_started(&relay);
    event_open(&connection);
    event_close(&connection, "client", text);
    event_refused(&connection, text, text);
    event_limit_reached(&relay.upstreams[0].limits, MAX_CONNECTIONS_PER_UPSTREAM, text);
    event_limit_over(&relay.upstreams[0].limits, MAX_CONNECTIONS_PER_UPSTREAM, 1, 1);
    event_notice(&relay.log, "notice", text);
    event_violation(&relay, text, 1);
    event_stopped(&relay);
}

/* What the events of the text are; malloc'ed.  @lost: out: those that were too long. */
static char *write_events(const char *text, uint64_t *lost)
{
    CLEANUP_FD int lines_fd = memfd_create("lines", MFD_CLOEXEC);
    struct stat file;

    cr_assert_geq(lines_fd, 0);
    set_texts(text);
    relay.log.lost = 0;
    relay.log.together = true;
    relay.log.fd = lines_fd;
    write_all(text);
    event_log_write(&relay.log);
    *lost = relay.log.lost;

    cr_assert_eq(fstat(lines_fd, &file), 0);
    char *lines = calloc(1, (size_t)file.st_size + 1);
    cr_assert_not_null(lines);
    cr_assert_eq(pread(lines_fd, lines, (size_t)file.st_size, 0), file.st_size);
    cr_assert_eq(strlen(lines), (size_t)file.st_size, "a NUL");
    return lines;
}

/* The text as it has to arrive: what is no UTF-8 replaced, byte by byte. */
static void replace_invalid(const char *text, char to[3 * TEXT_SIZE])
{
    size_t left = strlen(text);

    while (left > 0) {
        uint32_t code_point;
        size_t length = utf8_decode(text, left, &code_point);
        const char *from = length > 0 ? text : REPLACEMENT;
        size_t taken = length > 0 ? length : 1, put = length > 0 ? length : strlen(REPLACEMENT);
        memcpy(to, from, put);
        to += put;
        text += taken;
        left -= taken;
    }
    *to = '\0';
}

/* Checks one line; an event with a message has the text whole. */
static void expect_event(const char *line, const char *text)
{
    CLEANUP_JSON json_object *event = NULL;
    struct failure failure;
    json_object *message;
    char expected[3 * TEXT_SIZE];

    for (const char *c = line; *c; c++)
        cr_assert_geq((unsigned char)*c, 0x20, "a control character in: %s", line);
    cr_assert_eq(json_text_parse("event", line, &event, &failure), BOTTLE_OK, "%s: %s",
                 failure.message, line);
    cr_assert(json_object_object_get_ex(event, "event", NULL), "%s", line);
    if (!json_object_object_get_ex(event, "message", &message))
        return;
    replace_invalid(text, expected);
    cr_assert_str_eq(json_object_get_string(message), expected);
}

/* Returns how many were lost. */
static uint64_t expect_events(const char *text)
{
    uint64_t lost, seen = 0;
    CLEANUP_FREE char *lines = write_events(text, &lost);
    char *rest = lines;

    for (char *end; (end = strchr(rest, '\n')); rest = end + 1) {
        *end = '\0';
        /* It tells of those before it, and they are counted here too. */
        if (strstr(rest, "\"event\":\"events-lost\""))
            lost += strtoul(strstr(rest, "\"count\":") + strlen("\"count\":"), NULL, 10);
        else
            seen++;
        expect_event(rest, text);
    }
    cr_assert_eq(*rest, '\0', "half a line: %s", rest);
    cr_assert_eq(seen + lost, EVENT_COUNT, "%ju seen, %ju lost", (uintmax_t)seen, (uintmax_t)lost);
    return lost;
}

static const char *const TEXTS[] = {
    "plain",
    "",
    "\"",
    "\\",
    "\\u0000",
    "\",\"event\":\"close\"}\n{\"event\":\"forged\"",
    "line\r\n\tline\v\f\b",
    "\x1b[2J\x7f",
    "\xc2\x80\xc2\x9f",             /* C1 controls */
    "\xe2\x80\xa8\xe2\x80\xa9",     /* U+2028, U+2029 */
    "\xf0\x9f\x98\x80 \xc3\x84",    /* four bytes, two bytes */
    "\xc0\xaf\xe0\x80\xaf",         /* overlong */
    "\xed\xa0\x80\xed\xb0\x80",     /* surrogates */
    "\xf4\x90\x80\x80\xf8\x88\x80", /* beyond U+10FFFF; no lead byte */
    "\xe2\x82",                     /* cut */
    "\x80\xbf\xfe\xff",
};

Test(events, lines_are_json_whatever_the_text)
{
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        cr_expect_eq(expect_events(TEXTS[i]), 0);
}

/* As long as texts may be: at each place of a cut, and of the end of the buffer. */
Test(events, long_texts)
{
    char text[TEXT_SIZE];

    for (size_t i = 1; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        for (size_t length = TEXT_SIZE - 8; length < TEXT_SIZE; length++) {
            const char *part = TEXTS[i][0] ? TEXTS[i] : "x";
            for (size_t at = 0; at < length; at++)
                text[at] = part[at % strlen(part)];
            text[length] = '\0';
            (void)expect_events(text);
        }
    }
    memset(text, 'x', sizeof text - 1);
    cr_expect_eq(expect_events(text), 0, "plain text of full length is lost");
    memset(text, '\1', sizeof text - 1);
    cr_expect_gt(expect_events(text), 0, "so much is never too long");
}

Test(events, every_byte)
{
    for (int byte = 1; byte < 256; byte++) {
        const char alone[] = {(char)byte, '\0'}, between[] = {'a', (char)byte, 'z', '\0'};
        cr_expect_eq(expect_events(alone), 0);
        cr_expect_eq(expect_events(between), 0);
    }
}

Test(events, random_bytes)
{
    unsigned int seed = 1;
    char text[TEXT_SIZE];

    for (int round = 0; round < 1000; round++) {
        size_t length = (size_t)rand_r(&seed) % TEXT_SIZE;
        for (size_t i = 0; i < length; i++)
            text[i] = (char)(rand_r(&seed) % 255 + 1);
        text[length] = '\0';
        (void)expect_events(text);
    }
}

/* Each day of 500 years, at another time of the day. */
Test(events, time_is_the_calendars)
{
    enum { DAY_S = 86400, DAYS = 500 * 366 };
    CLEANUP_FD int lines_fd = memfd_create("lines", MFD_CLOEXEC);
    char line[128], expected[128];
    struct tm utc;

    cr_assert_geq(lines_fd, 0);
    relay.log.fd = lines_fd;
    for (int day = 0; day < DAYS; day++) {
        set_time = (time_t)day * DAY_S + 1 + (time_t)day * 7919 % (DAY_S - 1);
        event_notice(&relay.log, "n", "");
        ssize_t length = pread(lines_fd, line, sizeof line - 1, 0);
        cr_assert_gt(length, 0);
        line[length] = '\0';
        cr_assert_not_null(gmtime_r(&set_time, &utc));
        cr_assert_gt(strftime(expected, sizeof expected,
                              "{\"time\":\"%Y-%m-%dT%H:%M:%S.987Z\",\"event\":\"n\",\"message\":"
                              "\"\"}\n",
                              &utc),
                     0);
        cr_assert_str_eq(line, expected);
        cr_assert_eq(lseek(lines_fd, 0, SEEK_SET), 0);
    }
}
