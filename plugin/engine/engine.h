/* SPDX-License-Identifier: MIT */
/*
 * engine.h: a client of the Docker Engine API, for the docker backend and for launchers.
 *
 * It speaks HTTP over the engine's unix socket, or TCP, with Docker 20.10 and newer and with
 * Podman's compatible socket.  Most of the API is one engine_call() a request; the functions below
 * that are for what is more than one JSON object each way: archives, streams, programs run inside.
 *
 *     CLEANUP_ENGINE struct engine *engine = NULL;
 *     CLEANUP_JSON json_object *network = NULL;
 *     result = engine_open(ENGINE_TIMEOUT_MS, &engine, failure);
 *     if (result == BOTTLE_OK)
 *         result = engine_call(engine, "GET", NULL, &network, failure, "/networks/%s", name);
 *
 * A struct engine is used by one thread at a time, and keeps nothing of one call for the next.  libcurl
 * and libarchive are loaded when they are first needed (libraries.h).
 *
 * Results.  BOTTLE_OK: the engine did it, or had done it before (HTTP 304).  BOTTLE_NOT_FOUND,
 * BOTTLE_CONFLICT, BOTTLE_INVALID, BOTTLE_DENIED: the engine's 404, 409, 400, 401 or 403.
 * BOTTLE_UNAVAILABLE: any other refusal, or no engine there.  BOTTLE_TIMEOUT: no answer in time.
 * The message has the engine's address, the request and the engine's own words.
 */
#ifndef DOCKER_ENGINE_H
#define DOCKER_ENGINE_H

#include "common/text/failure.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long one call may take in all, where nothing else is wanted. */
#define ENGINE_TIMEOUT_MS 30000

struct engine;

/*
 * Finds the engine that $DOCKER_HOST names (unix://PATH or tcp://HOST[:PORT]; default
 * unix:///var/run/docker.sock), settles on the API version that both know.
 * @timeout_ms: what each call of this engine may take, 1 or more
 * @engine:     out: give it back with engine_close()
 */
enum bottle_result engine_open(int64_t timeout_ms, struct engine **engine, struct failure *failure);
/* A NULL engine is a valid argument. */
void engine_close(struct engine **engine);
#define CLEANUP_ENGINE __attribute__((cleanup(engine_close)))

/* For what Podman's service answers without doing it. */
bool engine_is_podman(const struct engine *engine);

/* Whether it announces API 1.MINOR or a later one; what is spoken may be older. */
bool engine_speaks(const struct engine *engine, int minor);

/* For messages; lives as long as the engine. */
const char *engine_address(const struct engine *engine);

/*
 * One request with JSON each way.
 * @body:        NULL: none
 * @answer:      out: what came back; NULL if that was nothing; the argument may be NULL
 * @path_format: from after the API version; what goes into it must be engine_escape()d, or of a
 *               grammar that needs no escapes
 */
enum bottle_result engine_call(struct engine *engine, const char *method, json_object *body,
                               json_object **answer, struct failure *failure,
                               const char *path_format, ...) __attribute__((format(printf, 6, 7)));

/* Those of a kind that have the labels. */
enum engine_kind { ENGINE_CONTAINERS, ENGINE_NETWORKS };
/*
 * @list:         out: a JSON array
 * @label_format: a JSON array, ["KEY=VALUE", …]; what goes into it must be of a grammar that needs no escapes
 */
enum bottle_result engine_list(struct engine *engine, enum engine_kind kind, json_object **list,
                               struct failure *failure, const char *label_format, ...)
    __attribute__((format(printf, 5, 6)));

/* text as a part of a path or a query (RFC 3986 §2.1); malloc'ed, NULL when memory ran out. */
char *engine_escape(const char *text);

/* A regular file; archives have those alone. */
struct engine_file {
    const char *path; /* without a leading '/' */
    mode_t mode;
    const void *bytes;
    size_t length;
};

/* Writes the files, owned by root, into a container's root directory; it need not run. */
enum bottle_result engine_put_files(struct engine *engine, const char *container,
                                    const struct engine_file *files, size_t count,
                                    struct failure *failure);

/*
 * Makes an image of the files alone and names it.  The same arguments give the same image, down to
 * its ID, so doing it twice, also at once, is doing it once.  The image is there whole or not at all.
 * @reference:    NAME:TAG
 * @architecture: as Go spells it: "amd64", "arm64", …
 * @labels:       JSON object of strings
 */
enum bottle_result engine_load_image(struct engine *engine, const char *reference,
                                     const char *architecture, const struct engine_file *files,
                                     size_t count, json_object *labels, struct failure *failure);

/*
 * Lets the engine fetch an image from its registry.  There is no limit to the whole, only to
 * the time in which nothing comes.
 * @reference: NAME, NAME:TAG or NAME@DIGEST; NAME alone means the tag latest
 * @host:      told the progress; may be NULL
 */
enum bottle_result engine_pull_image(struct engine *engine, const struct bottle_host *host,
                                     const char *reference, struct failure *failure);

/*
 * Runs a program in a running container, as the container's user, to its end.
 * @output: out: what it wrote, both streams; whether it succeeded is for the text to say; malloc'ed
 */
enum bottle_result engine_exec(struct engine *engine, const char *container,
                               const char *const *command, char **output, struct failure *failure);

/*
 * Reads what a container has written and writes, both streams, until it ends.
 * @timeout_ms: BOTTLE_TIMEOUT after that
 * @take:       called for each line, without its newline; false: enough, the result is BOTTLE_OK
 */
enum bottle_result engine_follow_log(struct engine *engine, const char *container,
                                     int64_t timeout_ms, bool (*take)(void *context, char *line),
                                     void *context, struct failure *failure);

#endif
