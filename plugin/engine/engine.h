/* SPDX-License-Identifier: MIT */
/*
 * engine.h: a client of the Docker Engine API.
 *
 * In engine/ belongs what any C program needs that talks to an engine: finding it, HTTP requests,
 * archives, streams.  What knows sidecars, bottles or slugs does not belong here; it is in container/.
 *
 * The client speaks HTTP over the engine's unix socket, or TCP, with Docker 20.10 and newer and with
 * Podman's compatible socket.  Most of the API is one engine_call() a request; streams.h has the
 * requests that carry more than one JSON object each way: archives, logs, programs run in a container.
 *
 *     CLEANUP_ENGINE struct engine *engine = NULL;
 *     CLEANUP_JSON json_object *network = NULL;
 *     result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);
 *     if (result == BOTTLE_OK)
 *         result = engine_call(engine, "GET", NULL, &network, failure, "/networks/%s", name);
 *
 * One thread at a time may use a struct engine.  A call leaves no state behind for the next one.
 * libcurl and libarchive are loaded when they are first needed (libraries.h).
 *
 * Results.  BOTTLE_OK: the request succeeded, or there was nothing to do (HTTP 304).
 * BOTTLE_NOT_FOUND, BOTTLE_CONFLICT, BOTTLE_INVALID: the engine answered 404, 409, 400;
 * BOTTLE_DENIED: 401 or 403.  BOTTLE_UNAVAILABLE: any other error status, or no engine answers.
 * BOTTLE_TIMEOUT: no answer in time.  The message has the engine's address, the request and the
 * engine's own message.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* The usual timeout_ms of engine_open(). */
#define ENGINE_TIMEOUT_MS 30000

struct engine;

/*
 * Finds the engine that $DOCKER_HOST names (unix://PATH or tcp://HOST[:PORT]; default
 * unix:///var/run/docker.sock) and chooses an API version that both sides speak.
 * @timeout_ms: the limit for each call, 1 or more
 * @engine:     out: to be closed with engine_close()
 */
enum bottle_result engine_open(int64_t timeout_ms, struct engine **engine, struct failure *failure);
/* Closes the engine, if it is not NULL, and sets the pointer to NULL. */
void engine_close(struct engine **engine);
#define CLEANUP_ENGINE __attribute__((cleanup(engine_close)))

/* Some requests succeed with Podman's service but have no effect there; this tells which engine it is. */
bool engine_is_podman(const struct engine *engine);

/* Whether the engine supports API 1.MINOR.  Requests may still use an older version. */
bool engine_speaks(const struct engine *engine, int minor);

/* For messages; valid until engine_close(). */
const char *engine_address(const struct engine *engine);

/*
 * Sends one request, with JSON in both directions.
 * @body:        the request's body; NULL: none
 * @answer:      out: the answer's body, NULL if it was empty; the argument itself may be NULL
 * @path_format: the path after the API version; arguments must be escaped with engine_escape(), unless
 *               they consist of characters that need no escaping
 */
enum bottle_result engine_call(struct engine *engine, const char *method, json_object *body,
                               json_object **answer, struct failure *failure,
                               const char *path_format, ...) __attribute__((format(printf, 6, 7)));

enum engine_kind { ENGINE_CONTAINERS, ENGINE_NETWORKS };

/*
 * Lists the containers, running or not, or the networks that have all these labels.
 * @list:         out: a JSON array
 * @label_format: a JSON array, ["KEY=VALUE", …]; arguments must need no escaping in JSON
 */
enum bottle_result engine_list(struct engine *engine, enum engine_kind kind, json_object **list,
                               struct failure *failure, const char *label_format, ...)
    __attribute__((format(printf, 5, 6)));

/* Percent-encodes text for a path or a query (RFC 3986 §2.1).  The result is malloc'ed; NULL: out of memory. */
char *engine_escape(const char *text);

#endif
