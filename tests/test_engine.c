/* SPDX-License-Identifier: MIT */
/*
 * test_engine.c: the client of the Engine API against answers that a real engine gives seldom or never:
 * cut at every byte, too long, no JSON, refused, late.  docker.sh has the real engines.
 *
 * The engine here is a thread with a unix socket.  It answers the greeting, and then every request with
 * the test's own bytes.
 */
#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "engine/streams.h"
#include "engine/tar.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PING    "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define MIB     ((size_t)1 << 20)
#define FOREVER (-1)

/* What the engine answers after the greeting; piece bytes a write, FOREVER: nothing. */
struct answer {
    const char *bytes;
    size_t length;
    ssize_t piece;
};

static char socket_path[] = "/tmp/test_engine.XXXXXX";
static struct answer answer;
static int listener;
static pthread_t server;
static char *long_bytes; /* that the server may still send when the client has enough */

/* Reads one request to the end of its body.  False: the client is gone. */
static bool read_request(int fd, char path[256])
{
    char head[8192];
    size_t used = 0;
    const char *end = NULL;

    while (!end && used < sizeof head - 1) {
        ssize_t got = read(fd, head + used, 1);
        if (got <= 0)
            return false;
        used++;
        head[used] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    const char *field = strcasestr(head, "\r\ncontent-length:");
    size_t left = field ? strtoul(field + 17, NULL, 10) : 0;
    char body[4096];
    while (left > 0) {
        ssize_t got = read(fd, body, left < sizeof body ? left : sizeof body);
        if (got <= 0)
            return false;
        left -= (size_t)got;
    }
    return sscanf(head, "%*s %255s", path) == 1;
}

static bool send_all(int fd, const char *bytes, size_t length, size_t piece)
{
    while (length > 0) {
        size_t part = length < piece ? length : piece;
        ssize_t sent = send(fd, bytes, part, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

static void *serve(void *unused)
{
    (void)unused;
    for (;;) {
        CLEANUP_FD int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        for (;;) {
            char path[256];
            if (!read_request(fd, path))
                break;
            if (strcmp(path, "/_ping") == 0) {
                if (!send_all(fd, PING, sizeof PING - 1, MIB))
                    break;
            } else if (answer.piece == FOREVER) {
                char byte;
                (void)!read(fd, &byte, 1); /* until the client gives up */
                break;
            } else if (!send_all(fd, answer.bytes, answer.length, (size_t)answer.piece)) {
                break;
            } else if (!strcasestr(answer.bytes, "Content-Length:") &&
                       !strcasestr(answer.bytes, "chunked")) {
                break; /* the end of the answer is the end of the connection */
            }
        }
    }
}

static struct engine *open_engine(int64_t timeout_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct engine *engine = NULL;
    struct failure failure;
    char host[128];

    cr_assert_not_null(mkdtemp(socket_path));
    cr_assert_lt(snprintf(address.sun_path, sizeof address.sun_path, "%s/s", socket_path), 100);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(listener, 8), 0);
    cr_assert_eq(pthread_create(&server, NULL, serve, NULL), 0);
    (void)snprintf(host, sizeof host, "unix://%s", address.sun_path);
    cr_assert_eq(setenv("DOCKER_HOST", host, 1), 0);
    /* A machine that is busy may take longer than a short timeout to answer the greeting. */
    enum bottle_result result;
    do
        result = engine_open(timeout_ms, &engine, &failure);
    while (result == BOTTLE_TIMEOUT);
    cr_assert_eq(result, BOTTLE_OK, "%s", failure.message);
    return engine;
}

/* The client has closed its connection, so the thread soon accepts again, and finds no listener. */
static void close_engine(void)
{
    char path[64];

    cr_assert_eq(shutdown(listener, SHUT_RDWR), 0);
    cr_assert_eq(pthread_join(server, NULL), 0);
    cr_assert_eq(close(listener), 0);
    free(long_bytes);
    (void)snprintf(path, sizeof path, "%s/s", socket_path);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(socket_path), 0);
}

TestSuite(engine, .fini = close_engine);

static void answer_with(const char *text, ssize_t piece)
{
    answer = (struct answer){text, strlen(text), piece};
}

static enum bottle_result call(struct engine *engine, json_object **got, struct failure *failure)
{
    *got = NULL;
    return engine_call(engine, "GET", NULL, got, failure, "/things/%s", "x");
}

Test(engine, answers_come_in_pieces_of_any_size)
{
    static const char TEXT[] = CHUNKED "6\r\n{\"a\": \r\n5\r\n[1,2]\r\n1\r\n}\r\n0\r\n\r\n";
    CLEANUP_ENGINE struct engine *engine = open_engine(10000);

    for (ssize_t piece = 1; piece < (ssize_t)sizeof TEXT; piece++) {
        CLEANUP_JSON json_object *got = NULL;
        struct failure failure;
        answer_with(TEXT, piece);
        cr_assert_eq(call(engine, &got, &failure), BOTTLE_OK, "%s", failure.message);
        cr_assert_str_eq(json_object_to_json_string_ext(got, JSON_C_TO_STRING_PLAIN),
                         "{\"a\":[1,2]}");
    }
}

Test(engine, refusals_have_the_engines_own_words)
{
    static const struct {
        int status;
        const char *body;
        enum bottle_result result;
        const char *says;
    } rows[] = {
        {404, "{\"message\": \"no such thing\"}", BOTTLE_NOT_FOUND,
         "GET /v1.41/things/x: no such thing (HTTP 404)"},
        {409, "{\"message\": \"taken\"}", BOTTLE_CONFLICT, "x: taken (HTTP 409)"},
        {400, "not JSON!", BOTTLE_INVALID, "x: not JSON! (HTTP 400)"},
        {403, "", BOTTLE_DENIED, "x: no reason given (HTTP 403)"},
        {401, "{}", BOTTLE_DENIED, "x: {} (HTTP 401)"},
        {500, "{\"message\": null}", BOTTLE_UNAVAILABLE, "(HTTP 500)"},
        {500, "[\"message\", 1]", BOTTLE_UNAVAILABLE, "x: [\"message\", 1] (HTTP 500)"},
        {500, "{\"message\": \"a\\nb\\u001b[31mc\"}", BOTTLE_UNAVAILABLE,
         "x: a\\x0ab\\x1b[31mc (HTTP 500)"},
    };
    CLEANUP_ENGINE struct engine *engine = open_engine(10000);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CLEANUP_JSON json_object *got = NULL;
        struct failure failure;
        static char text[256]; /* the server looks at it once more when the client has it */
        (void)snprintf(text, sizeof text, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n\r\n%s",
                       rows[i].status, strlen(rows[i].body), rows[i].body);
        answer_with(text, MIB);
        cr_assert_eq(call(engine, &got, &failure), rows[i].result, "row %zu: %s", i,
                     failure.message);
        cr_expect_not_null(strstr(failure.message, rows[i].says), "row %zu: %s", i,
                           failure.message);
    }
}

Test(engine, what_is_no_answer_is_an_error)
{
    static const char *const rows[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\": [1,",
        "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{}",
        (CHUNKED "zz\r\n"),
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    };
    CLEANUP_ENGINE struct engine *engine = open_engine(500);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CLEANUP_JSON json_object *got = NULL;
        struct failure failure;
        answer_with(rows[i], MIB);
        enum bottle_result result = call(engine, &got, &failure);
        cr_expect(result == BOTTLE_UNAVAILABLE || result == BOTTLE_TIMEOUT, "row %zu: %d", i,
                  result);
        cr_expect_not_null(strstr(failure.message, "GET /v1.41/things/x"), "row %zu: %s", i,
                           failure.message);
    }
}

/* Whether this libcurl may put such lines together before anybody sees them; 8.14 does not, 8.22 does. */
static bool may_join_lines(void)
{
    unsigned major = 0, minor = 0;
    /* As the engine loads it: what it registers would not survive being unloaded. */
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    cr_assert_not_null(library);
    char *(*version)(void) = NULL;
    *(void **)&version = dlsym(library, "curl_version");
    cr_assert_not_null(version);
    cr_assert_eq(sscanf(version(), "libcurl/%u.%u", &major, &minor), 2); // NOLINT(cert-err34-c)
    (void)dlclose(library);
    return major > 8 || (major == 8 && minor > 14);
}

/* libcurl 7.88 would read freed memory at the second such line, of a head or of what follows a body. */
Test(engine, a_header_that_goes_on_in_a_second_line_is_an_error)
{
    static const char *const rows[] = {
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n d\r\n e\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n a: b\r\n\tc: d\r\n\te: f\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nA: b\r\n \r\n \r\n \r\nContent-Length: 2\r\n\r\n{}",
        ("HTTP/1.1 103 Hints\r\nA: b\r\n c\r\n d\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        (CHUNKED "2\r\n{}\r\n0\r\nA: b\r\n c\r\n d\r\n e\r\n\r\n"),
    };
    bool may_join = may_join_lines();
    CLEANUP_ENGINE struct engine *engine = open_engine(10000);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CLEANUP_JSON json_object *got = NULL;
        struct failure failure = {0};
        answer_with(rows[i], MIB);
        enum bottle_result result = call(engine, &got, &failure);
        cr_expect(result == BOTTLE_UNAVAILABLE || (result == BOTTLE_OK && may_join), "row %zu: %d",
                  i, result);
        cr_expect(result == BOTTLE_OK || strstr(failure.message, "GET /v1.41/things/x: ") != NULL,
                  "row %zu: %s", i, failure.message);
        json_object_put(got);
        got = NULL;
        /* The engine is of use as before. */
        answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", MIB);
        cr_expect_eq(call(engine, &got, &failure), BOTTLE_OK, "row %zu: %s", i, failure.message);
    }
}

Test(engine, an_answer_without_end_is_an_error)
{
    size_t length = 20 * MIB;
    char *bytes = long_bytes = malloc(length + 128);
    CLEANUP_ENGINE struct engine *engine = open_engine(20000);
    CLEANUP_JSON json_object *got = NULL;
    struct failure failure;

    cr_assert_not_null(bytes);
    int head = sprintf(bytes, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    memset(bytes + head, '[', length);
    answer = (struct answer){bytes, (size_t)head + length, (ssize_t)MIB};
    cr_assert_eq(call(engine, &got, &failure), BOTTLE_UNAVAILABLE);
    cr_assert_not_null(strstr(failure.message, "too long"), "%s", failure.message);
}

Test(engine, silence_is_a_timeout)
{
    CLEANUP_ENGINE struct engine *engine = open_engine(300);
    CLEANUP_JSON json_object *got = NULL;
    struct failure failure;

    answer.piece = FOREVER;
    cr_assert_eq(call(engine, &got, &failure), BOTTLE_TIMEOUT);
    cr_assert_not_null(strstr(failure.message, "timed out"), "%s", failure.message);
}

/* ---- frames and lines ---- */

struct lines {
    char text[256];
    size_t count;
    size_t longest;
};

static bool take_line(void *context, char *line)
{
    struct lines *lines = context;
    size_t used = strlen(lines->text), length = strlen(line);

    lines->count++;
    if (length > lines->longest)
        lines->longest = length;
    if (used + length + 2 < sizeof lines->text)
        (void)sprintf(lines->text + used, "%s|", line);
    return strcmp(line, "enough") != 0;
}

/* A stream's frame: 8 bytes of head. */
static size_t put_frame(char *to, const char *text, size_t length)
{
    const unsigned char head[8] = {1,
                                   0,
                                   0,
                                   0,
                                   (unsigned char)(length >> 24),
                                   (unsigned char)(length >> 16),
                                   (unsigned char)(length >> 8),
                                   (unsigned char)length};

    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, text, length);
    return sizeof head + length;
}

Test(engine, lines_of_a_log_are_found_whereever_frames_are_cut)
{
    static const char *const FRAMES[] = {"fir", "st\nsecond\nth", "", "ird\n", "\nenough\nmore\n"};
    /* Static, for the server may still send when the client has enough. */
    static char bytes[512] = "HTTP/1.1 200 OK\r\n\r\n";
    size_t length = strlen(bytes);
    CLEANUP_ENGINE struct engine *engine = open_engine(10000);

    for (size_t i = 0; i < sizeof FRAMES / sizeof FRAMES[0]; i++)
        length += put_frame(bytes + length, FRAMES[i], strlen(FRAMES[i]));
    for (size_t piece = 1; piece < length; piece += 3) {
        struct lines lines = {0};
        struct failure failure;
        answer = (struct answer){bytes, length, (ssize_t)piece};
        cr_assert_eq(engine_follow_log(engine, "c", 10000, take_line, &lines, &failure), BOTTLE_OK,
                     "%s", failure.message);
        cr_assert_str_eq(lines.text, "first|second|third||enough|");
    }
}

Test(engine, a_line_without_end_is_cut)
{
    size_t length = 3 * MIB;
    CLEANUP_FREE char *text = malloc(length);
    char *bytes = long_bytes = malloc(length + 128);
    CLEANUP_ENGINE struct engine *engine = open_engine(20000);
    struct lines lines = {0};
    struct failure failure;

    cr_assert(text && bytes);
    memset(text, 'x', length);
    text[length - 1] = '\n';
    size_t used = (size_t)sprintf(bytes, "HTTP/1.1 200 OK\r\n\r\n");
    used += put_frame(bytes + used, text, length);
    answer = (struct answer){bytes, used, (ssize_t)MIB};
    cr_assert_eq(engine_follow_log(engine, "c", 20000, take_line, &lines, &failure), BOTTLE_OK,
                 "%s", failure.message);
    cr_assert_eq(lines.count, 1);
    cr_assert_eq(lines.longest, (size_t)64 << 10);
}

/* ---- images ---- */

Test(engine, an_error_after_a_good_beginning_is_an_error)
{
    static const char TEXT[] =
        "HTTP/1.1 200 OK\r\n\r\n"
        "{\"status\":\"Pulling\"}\r\nno JSON\n{\"status\":\"x\",\"id\":\"y\"}\r\n"
        "{\"errorDetail\":{\"message\":\"m\"},\"error\":\"no space left there\"}";
    CLEANUP_ENGINE struct engine *engine = open_engine(10000);

    for (ssize_t piece = 1; piece < (ssize_t)sizeof TEXT; piece += 7) {
        struct failure failure;
        answer_with(TEXT, piece);
        cr_assert_eq(engine_pull_image(engine, "name", NULL, NULL, &failure), BOTTLE_UNAVAILABLE);
        cr_assert_not_null(strstr(failure.message, "image name: no space left there"), "%s",
                           failure.message);
    }
}

Test(bytes, equal_files_make_equal_archives)
{
    const struct engine_file files[] = {
        {.path = "a", .mode = 0555, .bytes = "first", .length = 5},
        {.path = "b/c", .mode = 0444, .bytes = "", .length = 0},
    };
    CLEANUP_FREE char *one = NULL;
    CLEANUP_FREE char *other = NULL;
    size_t one_length, other_length;
    char sha256[SHA256_TEXT_SIZE];
    struct failure failure;

    cr_assert_eq(tar_write(files, 2, &one, &one_length, &failure), BOTTLE_OK, "%s",
                 failure.message);
    cr_assert_eq(tar_write(files, 2, &other, &other_length, &failure), BOTTLE_OK);
    cr_assert_eq(one_length, other_length);
    cr_assert_eq(memcmp(one, other, one_length), 0);
    cr_assert_str_eq(one, "a");
    cr_assert_eq(memcmp(one + 512, "first", 5), 0);
    cr_assert_str_eq(one + 1024, "b/c");
    /* sha256sum(1) of the three bytes "abc". */
    cr_assert_eq(tar_sha256("abc", 3, sha256, &failure), BOTTLE_OK, "%s", failure.message);
    cr_assert_str_eq(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(bytes, what_goes_into_a_path_is_escaped)
{
    CLEANUP_FREE char *escaped = engine_escape("a/../b c?d=%\xc3\xa4:~");

    cr_assert_str_eq(escaped, "a%2F..%2Fb%20c%3Fd%3D%25%C3%A4%3A~");
}
