/* SPDX-License-Identifier: MIT */
/*
 * engine.c: finding the engine, choosing the API version, requests with JSON in both directions.
 *
 * The API version in use is the engine's highest, or 1.44 if the engine's is higher.  1.41 is that of
 * Docker 20.10 and of Podman; from there to 1.44 the requests made here keep their meaning, and the newest
 * engines still speak 1.44.
 *
 * connection.c sends requests; streams.c has those that carry more than one JSON object each way.
 */
#include "engine/connection.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OLDEST_API       41 /* the minor number; the major one is 1 */
#define NEWEST_API       44
#define HELLO_TIMEOUT_MS 10000
#define DEFAULT_SOCKET   "unix:///var/run/docker.sock"
#define DEFAULT_PORT     ":2375"
#define UNIX_SCHEME      "unix://"
#define TCP_SCHEME       "tcp://"

static enum bottle_result out_of_memory(struct failure *failure)
{
    return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* ---- where the engine is ---- */

/* HOST, HOST:PORT or [ADDRESS]:PORT */
static bool is_tcp_place(const char *text)
{
    const char *port = strrchr(text, ':');

    if (text[0] == '\0' || strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789.-_:[]") != strlen(text))
        return false;
    return !port || strchr(port, ']') ||
           (port[1] && strspn(port + 1, "0123456789") == strlen(port + 1));
}

static enum bottle_result take_address(struct engine *engine, const char *address,
                                       struct failure *failure)
{
    const char *tls = secure_getenv("DOCKER_TLS_VERIFY");
    const char *socket_path = address + strlen(UNIX_SCHEME);
    const char *place = address + strlen(TCP_SCHEME);

    if (!(engine->address = strdup(address)))
        return out_of_memory(failure);
    if (strncmp(address, UNIX_SCHEME, strlen(UNIX_SCHEME)) == 0 && socket_path[0] == '/') {
        engine->socket_path = strdup(socket_path);
        engine->base_url = strdup("http://engine");
        return engine->socket_path && engine->base_url ? BOTTLE_OK : out_of_memory(failure);
    }
    if (strncmp(address, TCP_SCHEME, strlen(TCP_SCHEME)) != 0 || !is_tcp_place(place))
        return failure_set(failure, BOTTLE_INVALID,
                           "DOCKER_HOST is \"%s\"; it takes unix:///PATH or tcp://HOST:PORT",
                           EXCERPT(address));
    if (tls && tls[0])
        return failure_set(
            failure, BOTTLE_INVALID,
            "DOCKER_TLS_VERIFY is set, but this client speaks no TLS; use the engine's "
            "unix socket, or forward it: ssh -L /PATH:/var/run/docker.sock");
    const char *port = strrchr(place, ':');
    engine->base_url =
        text_format("http://%s%s", place, port && !strchr(port, ']') ? "" : DEFAULT_PORT);
    return engine->base_url ? BOTTLE_OK : out_of_memory(failure);
}

/* ---- the version ---- */

/* The minor number of "1.N"; -1 for any other text. */
static int api_minor(const char *text)
{
    char *end;
    long minor = strncmp(text, "1.", 2) == 0 ? strtol(text + 2, &end, 10) : -1;

    return minor >= 0 && minor < 1000 && end != text + 2 && *end == '\0' ? (int)minor : -1;
}

/* Chooses the version.  An engine that has dropped NEWEST_API refuses later requests with its own message. */
static enum bottle_result choose_version(struct engine *engine, struct failure *failure)
{
    int theirs = api_minor(engine->announced);

    if (theirs < 0)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "the server at %s names no API version, so it is no Docker engine; set "
                           "DOCKER_HOST to the address of one",
                           engine->address);
    if (theirs < OLDEST_API)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "engine %s speaks the API up to %s, and 1.%d is needed: upgrade the "
                           "engine to Docker 20.10 or newer",
                           engine->address, engine->announced, OLDEST_API);
    (void)snprintf(engine->api_version, sizeof engine->api_version, "/v1.%d",
                   theirs < NEWEST_API ? theirs : NEWEST_API);
    return BOTTLE_OK;
}

/* Asks for /_ping, not /version: the latter takes Podman seconds, as it queries the package manager. */
static enum bottle_result greet(struct engine *engine, struct failure *failure)
{
    int64_t timeout_ms = engine->timeout_ms;

    /* So that an engine that hangs is reported sooner than by a request that does real work. */
    if (engine->timeout_ms > HELLO_TIMEOUT_MS)
        engine->timeout_ms = HELLO_TIMEOUT_MS;
    enum bottle_result result = engine_call(engine, "GET", NULL, NULL, failure, "/_ping");
    engine->timeout_ms = timeout_ms;
    return result == BOTTLE_OK ? choose_version(engine, failure) : result;
}

enum bottle_result engine_open(int64_t timeout_ms, struct engine **opened, struct failure *failure)
{
    CLEANUP_ENGINE struct engine *engine = calloc(1, sizeof *engine);
    const char *address = secure_getenv("DOCKER_HOST");

    *opened = NULL;
    if (!engine)
        return out_of_memory(failure);
    engine->timeout_ms = timeout_ms;
    enum bottle_result result =
        take_address(engine, address && address[0] ? address : DEFAULT_SOCKET, failure);
    if (result == BOTTLE_OK)
        result = curl_library_load(&engine->library, failure);
    if (result == BOTTLE_OK)
        result = greet(engine, failure);
    if (result == BOTTLE_OK)
        *opened = steal_pointer(&engine);
    return result;
}

void engine_close(struct engine **engine)
{
    struct engine *closed = *engine;

    *engine = NULL;
    if (!closed)
        return;
    free(closed->address);
    free(closed->socket_path);
    free(closed->base_url);
    free(closed);
}

bool engine_is_podman(const struct engine *engine)
{
    return engine->is_podman;
}

bool engine_speaks(const struct engine *engine, int minor)
{
    return api_minor(engine->announced) >= minor;
}

const char *engine_address(const struct engine *engine)
{
    return engine->address;
}

/* ---- requests ---- */

static enum bottle_result parse_answer(const struct engine *engine, const struct exchange *exchange,
                                       const struct collected *collected, json_object **answer,
                                       struct failure *failure)
{
    *answer = NULL;
    if (!collected->failed && collected->length == 0)
        return BOTTLE_OK;
    if (!collected->failed)
        *answer = json_tokener_parse(collected->bytes);
    return *answer ? BOTTLE_OK
                   : failure_set(failure, BOTTLE_UNAVAILABLE,
                                 "engine %s: %s %s: the answer is not JSON, or too long",
                                 engine->address, exchange->method, exchange->path);
}

enum bottle_result engine_call(struct engine *engine, const char *method, json_object *body,
                               json_object **answer, struct failure *failure,
                               const char *path_format, ...)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *versioned = NULL;
    va_list arguments;

    va_start(arguments, path_format);
    path = text_format_arguments(path_format, arguments);
    va_end(arguments);
    if (!path || !(versioned = text_format("%s%s", engine->api_version, path)))
        return out_of_memory(failure);
    const char *text = body ? json_object_to_json_string(body) : NULL;
    struct collected collected = {0};
    const struct exchange exchange = {
        .method = method,
        .path = versioned,
        .content_type = text ? "application/json" : NULL,
        .bytes = text,
        .length = text ? strlen(text) : 0,
        .timeout_ms = engine->timeout_ms,
        .take = answer ? collect : NULL,
        .context = &collected,
    };
    enum bottle_result result = connection_exchange(engine, &exchange, failure);
    if (result == BOTTLE_OK && answer)
        result = parse_answer(engine, &exchange, &collected, answer, failure);
    free(collected.bytes);
    return result;
}

enum bottle_result engine_list(struct engine *engine, enum engine_kind kind, json_object **list,
                               struct failure *failure, const char *label_format, ...)
{
    CLEANUP_FREE char *labels = NULL;
    CLEANUP_FREE char *filter = NULL;
    CLEANUP_FREE char *escaped = NULL;
    va_list arguments;

    va_start(arguments, label_format);
    labels = text_format_arguments(label_format, arguments);
    va_end(arguments);
    if (!labels || !(filter = text_format("{\"label\": %s}", labels)) ||
        !(escaped = engine_escape(filter)))
        return out_of_memory(failure);
    enum bottle_result result = engine_call(
        engine, "GET", NULL, list, failure,
        kind == ENGINE_CONTAINERS ? "/containers/json?all=1&filters=%s" : "/networks?filters=%s",
        escaped);
    if (result != BOTTLE_OK || json_object_is_type(*list, json_type_array))
        return result;
    return failure_set(failure, BOTTLE_UNAVAILABLE, "engine %s: the list is not a JSON array",
                       engine->address);
}

char *engine_escape(const char *text)
{
    char *escaped = malloc(3 * strlen(text) + 1), *to = escaped;

    if (!escaped)
        return NULL;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || strchr("-._~", byte);
        to += plain ? snprintf(to, 4, "%c", byte) : snprintf(to, 4, "%%%02X", byte);
    }
    *to = '\0'; /* needed if text is empty */
    return escaped;
}
