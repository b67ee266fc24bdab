/* SPDX-License-Identifier: MIT */
/*
 * connection.c: one HTTP request and its answer.
 *
 * Each exchange has a libcurl handle and a connection of its own.  Keeping a handle would keep the
 * connection open, which saves little on a unix socket and has two drawbacks: when a kept connection
 * breaks, libcurl repeats the request, even if the engine has already acted on it; and libcurl 7.88 may
 * read freed headers of the previous exchange.
 *
 * An answer with a status of 400 or more is an error: the engine's message in its body ({"message": …})
 * goes into the failure.  Any other body is passed to the caller as it arrives.
 *
 * libcurl must not affect the process: it uses no signals (CURLOPT_NOSIGNAL), no proxy from the
 * environment, and sockets with FD_CLOEXEC.
 */
#include "engine/connection.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_MS 5000L
#define MAX_ANSWER         ((size_t)16 << 20)
#define MAX_REFUSAL        ((size_t)16 << 10)

/* Makes room for length more bytes and a NUL.  The buffer doubles, so that the cost of copying stays linear. */
static bool make_room(struct collected *collected, size_t length)
{
    size_t capacity = collected->capacity ? collected->capacity : 4096;

    if (length > MAX_ANSWER - collected->length)
        return false;
    while (capacity <= collected->length + length)
        capacity *= 2;
    if (capacity == collected->capacity)
        return true;
    char *grown = realloc(collected->bytes, capacity);
    if (!grown)
        return false;
    collected->bytes = grown;
    collected->capacity = capacity;
    return true;
}

bool collect(void *context, const char *bytes, size_t length)
{
    struct collected *collected = context;

    if (!make_room(collected, length)) {
        collected->failed = true;
        return false;
    }
    memcpy(collected->bytes + collected->length, bytes, length);
    collected->length += length;
    collected->bytes[collected->length] = '\0';
    return true;
}

struct transfer {
    struct engine *engine;
    CURL *curl;
    const struct exchange *exchange;
    bool enough;
    bool has_folded_header;
    struct collected refusal;
};

static long http_status(const struct transfer *transfer)
{
    long status = 0;

    if (transfer->engine->library.easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status))
        return 0;
    return status;
}

/* CURLOPT_WRITEFUNCTION: a return value other than the length aborts the transfer. */
static size_t receive(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct exchange *exchange = transfer->exchange;
    size_t length = size * count;

    if (http_status(transfer) >= 400) {
        if (transfer->refusal.length + length <= MAX_REFUSAL)
            (void)collect(&transfer->refusal, bytes, length); /* on failure the message is cut */
        return length;
    }
    if (exchange->take && !exchange->take(exchange->context, bytes, length)) {
        transfer->enough = true;
        return 0;
    }
    return length;
}

/*
 * CURLOPT_HEADERFUNCTION: gets one header line with its line end, not NUL-terminated.
 *
 * A folded header line (obsolete line folding, RFC 9112 §5.2) aborts the transfer.  No engine sends one,
 * and libcurl 7.88 reads freed memory when it gets a second one; this function is called before that.
 */
static size_t receive_header(char *line, size_t size, size_t count, void *context)
{
    static const char NAME[] = "Api-Version:", PODMAN[] = "Libpod-API-Version:";
    struct transfer *transfer = context;
    struct engine *engine = transfer->engine;
    size_t length = size * count;

    transfer->has_folded_header = length > 0 && (line[0] == ' ' || line[0] == '\t');
    if (transfer->has_folded_header)
        return 0;
    if (length >= sizeof PODMAN && strncasecmp(line, PODMAN, sizeof PODMAN - 1) == 0)
        engine->is_podman = true;
    if (length < sizeof NAME || strncasecmp(line, NAME, sizeof NAME - 1) != 0)
        return length;
    const char *value = line + sizeof NAME - 1;
    const char *end = line + length;
    while (value < end && *value == ' ')
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n'))
        end--;
    (void)snprintf(engine->announced, sizeof engine->announced, "%.*s", (int)(end - value), value);
    return length;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static enum bottle_result refuse(const struct transfer *transfer, long status,
                                 struct failure *failure)
{
    CLEANUP_JSON json_object *answer =
        transfer->refusal.bytes ? json_tokener_parse(transfer->refusal.bytes) : NULL;
    const char *message = object_text(answer, "message");
    const char *text = transfer->refusal.bytes ? transfer->refusal.bytes : "no reason given";
    enum bottle_result result = BOTTLE_UNAVAILABLE;

    if (message[0])
        text = message;
    if (status == 400)
        result = BOTTLE_INVALID;
    else if (status == 401 || status == 403)
        result = BOTTLE_DENIED;
    else if (status == 404)
        result = BOTTLE_NOT_FOUND;
    else if (status == 409)
        result = BOTTLE_CONFLICT;
    return failure_set(failure, result, "engine %s: %s %.*s: %.600s (HTTP %ld)",
                       transfer->engine->address, transfer->exchange->method,
                       (int)strcspn(transfer->exchange->path, "?"), transfer->exchange->path, text,
                       status);
}

static enum bottle_result cannot_connect(const struct transfer *transfer, struct failure *failure)
{
    const struct engine *engine = transfer->engine;
    long error = 0;

    if (engine->library.easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &error))
        error = 0;
    if (error == EACCES || error == EPERM)
        return failure_set(failure, BOTTLE_DENIED,
                           "engine %s: %s; let this user into the group that owns the socket, or "
                           "set DOCKER_HOST to an engine of this user",
                           engine->address, strerror((int)error));
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "engine %s: %s; start the engine, or set DOCKER_HOST to where it is",
                       engine->address, error > 0 ? strerror((int)error) : engine->curl_error);
}

static enum bottle_result break_off(const struct transfer *transfer, CURLcode code,
                                    struct failure *failure)
{
    const struct engine *engine = transfer->engine;
    const struct exchange *exchange = transfer->exchange;
    const char *reason =
        engine->curl_error[0] ? engine->curl_error : engine->library.easy_strerror(code);

    if (transfer->has_folded_header)
        reason = "a header of the answer is folded over two lines";
    if (code == CURLE_OUT_OF_MEMORY)
        return failure_set(failure, BOTTLE_INTERNAL, "libcurl: out of memory");
    if (code == CURLE_COULDNT_CONNECT)
        return cannot_connect(transfer, failure);
    return failure_set(failure,
                       code == CURLE_OPERATION_TIMEDOUT ? BOTTLE_TIMEOUT : BOTTLE_UNAVAILABLE,
                       "engine %s: %s %.*s: %s; see the engine's log", engine->address,
                       exchange->method, (int)strcspn(exchange->path, "?"), exchange->path, reason);
}

/* Setting these options fails only for lack of memory. */
static bool set_options(struct transfer *transfer, const char *url, struct curl_slist *headers)
{
    struct engine *engine = transfer->engine;
    const struct exchange *exchange = transfer->exchange;
    __typeof__(&curl_easy_setopt) set = engine->library.easy_setopt;
    CURL *curl = transfer->curl;

    engine->curl_error[0] = '\0';
    return !set(curl, CURLOPT_ERRORBUFFER, engine->curl_error) &&
           !set(curl, CURLOPT_NOSIGNAL, 1L) && !set(curl, CURLOPT_PROXY, "") &&
           !set(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           !set(curl, CURLOPT_UNIX_SOCKET_PATH, engine->socket_path) &&
           !set(curl, CURLOPT_URL, url) && !set(curl, CURLOPT_PATH_AS_IS, 1L) &&
           !set(curl, CURLOPT_HTTPHEADER, headers) &&
           !set(curl, CURLOPT_CUSTOMREQUEST, exchange->method) &&
           !set(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS) &&
           !set(curl, CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms) &&
           !set(curl, CURLOPT_LOW_SPEED_TIME, exchange->stall_s) &&
           !set(curl, CURLOPT_LOW_SPEED_LIMIT, exchange->stall_s > 0 ? 1L : 0L) &&
           !set(curl, CURLOPT_HEADERFUNCTION, receive_header) &&
           !set(curl, CURLOPT_HEADERDATA, transfer) && !set(curl, CURLOPT_WRITEFUNCTION, receive) &&
           !set(curl, CURLOPT_WRITEDATA, transfer);
}

/* A request other than GET has a body, possibly empty, so that libcurl sends its Content-Length. */
static bool set_body(const struct transfer *transfer)
{
    const struct engine *engine = transfer->engine;
    const struct exchange *exchange = transfer->exchange;
    __typeof__(&curl_easy_setopt) set = engine->library.easy_setopt;

    if (strcmp(exchange->method, "GET") == 0)
        return true;
    return !set(transfer->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->length) &&
           !set(transfer->curl, CURLOPT_POSTFIELDS, exchange->content_type ? exchange->bytes : "");
}

static struct curl_slist *make_headers(const struct engine *engine, const struct exchange *exchange)
{
    char content_type[80];

    (void)snprintf(content_type, sizeof content_type, "Content-Type:%s%s",
                   exchange->content_type ? " " : "",
                   exchange->content_type ? exchange->content_type : "");
    struct curl_slist *headers = engine->library.slist_append(NULL, content_type);
    /* An empty "Expect:" keeps libcurl from waiting for "100 Continue" before it sends a long body. */
    struct curl_slist *all = headers ? engine->library.slist_append(headers, "Expect:") : NULL;
    if (!all)
        engine->library.slist_free_all(headers);
    return all;
}

enum bottle_result connection_exchange(struct engine *engine, const struct exchange *exchange,
                                       struct failure *failure)
{
    struct transfer transfer = {
        .engine = engine, .curl = engine->library.easy_init(), .exchange = exchange};
    CLEANUP_FREE char *url = text_format("%s%s", engine->base_url, exchange->path);
    struct curl_slist *headers = make_headers(engine, exchange);
    CURLcode code = CURLE_OUT_OF_MEMORY;

    if (transfer.curl && url && headers && set_options(&transfer, url, headers) &&
        set_body(&transfer))
        code = engine->library.easy_perform(transfer.curl);

    enum bottle_result result = BOTTLE_OK;
    if (code != CURLE_OK && !transfer.enough)
        result = break_off(&transfer, code, failure);
    else if (http_status(&transfer) >= 400)
        result = refuse(&transfer, http_status(&transfer), failure);
    engine->library.easy_cleanup(transfer.curl);
    engine->library.slist_free_all(headers);
    free(transfer.refusal.bytes);
    return result;
}
