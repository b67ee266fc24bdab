/* SPDX-License-Identifier: MIT */
/*
 * engine.c: what an engine, or another who has its socket, answers.
 *
 * The engine is a thread of the target's with a unix socket.  An input is: a byte that says what is
 * asked, one that says in what pieces the answers are sent, and the answers, with SEPARATOR between
 * them.  The greeting is answered by the thread, unless the first byte has its highest bit set.
 */
#include "engine/streams.h"

#include "fuzz.h"

#include "common/cleanup.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEPARATOR  "\n--\n"
#define TIMEOUT_MS 2000
#define MAX_LINE   ((size_t)64 << 10)

enum question { CALL, EXEC, LOG, PULL, QUESTIONS };

#define SCRIPT_MAX ((size_t)64 << 10)

/* What the thread answers. */
static struct {
    pthread_mutex_t lock;
    char answers[SCRIPT_MAX];
    size_t length, at, piece;
    bool pings;
} script = {.lock = PTHREAD_MUTEX_INITIALIZER};
static int listener = -1;

/* To the end of a request: none that is sent here has a blank line in its body. */
static bool read_request(int fd)
{
    static const char END[] = "\r\n\r\n";
    size_t matched = 0, left = 0;
    char head[4096];

    for (size_t used = 0; matched < sizeof END - 1; used++) {
        if (used == sizeof head - 1 || read(fd, head + used, 1) != 1)
            return false;
        matched = head[used] == END[matched] ? matched + 1 : (size_t)(head[used] == END[0]);
        head[used + 1] = '\0';
    }
    const char *field = strcasestr(head, "\r\ncontent-length:");
    if (field)
        left = strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
    for (; left > 0; left--)
        if (read(fd, head, 1) != 1)
            return false;
    return true;
}

static void send_pieces(int fd, const char *bytes, size_t length, size_t piece)
{
    while (length > 0) {
        size_t part = length < piece ? length : piece;
        if (send(fd, bytes, part, MSG_NOSIGNAL) != (ssize_t)part)
            return;
        bytes += part;
        length -= part;
    }
}

/* Returns its length. */
static size_t next_answer(char answer[SCRIPT_MAX], size_t *piece)
{
    static const char PING[] =
        "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";
    size_t length = sizeof PING - 1;

    REQUIRE(!pthread_mutex_lock(&script.lock));
    *piece = script.piece;
    if (script.pings) {
        script.pings = false;
        memcpy(answer, PING, length);
    } else {
        const char *next = script.answers + script.at;
        size_t left = script.length - script.at;
        const char *end = memmem(next, left, SEPARATOR, strlen(SEPARATOR));
        length = end ? (size_t)(end - next) : left;
        memcpy(answer, next, length);
        script.at += length + (end ? strlen(SEPARATOR) : 0);
    }
    REQUIRE(!pthread_mutex_unlock(&script.lock));
    return length;
}

/* The end of an answer is the end of its connection, so that nobody waits for the rest. */
static void *serve(void *unused)
{
    static char answer[SCRIPT_MAX];

    (void)unused;
    for (;;) {
        CLEANUP_FD int fd = accept(listener, NULL, NULL);
        size_t piece;
        REQUIRE(fd >= 0);
        if (read_request(fd)) {
            size_t length = next_answer(answer, &piece);
            send_pieces(fd, answer, length, piece);
        }
    }
}

static char socket_dir[] = "/tmp/ssh_gate_fuzz.XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void clean_up(void)
{
    (void)unlink(address.sun_path);
    (void)rmdir(socket_dir);
}

static void set_up(void)
{
    char host[sizeof address.sun_path + 16];
    pthread_t server;

    REQUIRE(mkdtemp(socket_dir) && !atexit(clean_up));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", socket_dir);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(listener >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof address));
    REQUIRE(!listen(listener, 8) && !pthread_create(&server, NULL, serve, NULL));
    (void)snprintf(host, sizeof host, "unix://%s", address.sun_path);
    REQUIRE(!setenv("DOCKER_HOST", host, 1));
}

static bool take_line(void *context, char *line)
{
    size_t *count = context;

    REQUIRE(strlen(line) <= MAX_LINE && !strchr(line, '\n'));
    return ++*count < 1000;
}

static enum bottle_result call(struct engine *engine, struct failure *failure)
{
    CLEANUP_JSON json_object *answer = NULL;
    enum bottle_result result =
        engine_call(engine, "GET", NULL, &answer, failure, "/things/%s", "x");

    REQUIRE(result == BOTTLE_OK || !answer);
    if (answer)
        REQUIRE(json_object_to_json_string(answer));
    return result;
}

static enum bottle_result exec(struct engine *engine, struct failure *failure)
{
    static const char *const COMMAND[] = {"true", NULL};
    CLEANUP_FREE char *output = NULL;
    enum bottle_result result = engine_exec(engine, "c", COMMAND, &output, failure);

    REQUIRE((result == BOTTLE_OK) == (output != NULL));
    if (output)
        (void)strlen(output); /* it has an end */
    return result;
}

static enum bottle_result ask(struct engine *engine, enum question question,
                              struct failure *failure)
{
    size_t lines = 0;

    switch (question) {
    case CALL:
        return call(engine, failure);
    case EXEC:
        return exec(engine, failure);
    case LOG:
        return engine_follow_log(engine, "c", TIMEOUT_MS, take_line, &lines, failure);
    default:
        return engine_pull_image(engine, "name", NULL, NULL, failure);
    }
}

static void set_script(const uint8_t *data, size_t size)
{
    REQUIRE(!pthread_mutex_lock(&script.lock));
    script.pings = data[0] < 128;
    script.piece = data[1] + (size_t)1;
    script.at = 0;
    script.length = size - 2 < SCRIPT_MAX ? size - 2 : SCRIPT_MAX;
    memcpy(script.answers, data + 2, script.length);
    REQUIRE(!pthread_mutex_unlock(&script.lock));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_ENGINE struct engine *engine = NULL;
    struct failure failure;

    if (size < 2)
        return 0;
    if (listener < 0)
        set_up();
    set_script(data, size);
    enum bottle_result result = engine_open(TIMEOUT_MS, &engine, &failure);
    REQUIRE(result == BOTTLE_OK || data[0] >= 128);
    if (result == BOTTLE_OK)
        result = ask(engine, data[0] % QUESTIONS, &failure);
    if (result != BOTTLE_OK)
        require_message(&failure);
    return 0;
}
