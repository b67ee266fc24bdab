/* SPDX-License-Identifier: MIT */
/*
 * streams.c: see streams.h.
 *
 * Answers that are streams come in three forms:
 *
 *   progress   of images: one JSON object a line; one with "error" means failure, although the HTTP
 *              status was 200
 *   frames     of programs without a terminal: a header of 8 bytes (the stream, three zeros, the length in
 *              network byte order), then as many bytes as the length says
 *   lines      of logs: within frames, which may begin and end in the middle of a line
 *
 * engine_load_image() sends an archive in the format of `docker save`: a manifest, an image config and the
 * layer.  An image's ID is the hash of its config, which contains the hash of the layer, so the same
 * files give the same ID.  The engine registers the image only after it has read and checked the whole
 * archive.
 */
#include "engine/streams.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/text.h"
#include "engine/connection.h"
#include "engine/tar.h"

#include <stdio.h>
#include <string.h>

#define MAX_LINE     ((size_t)64 << 10) /* longer lines are cut */
#define PULL_STALL_S 60
#define FRAME_HEADER 8

static enum bottle_result out_of_memory(struct failure *failure)
{
    return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

/* ---- lines ---- */

struct lines {
    char *buffer; /* MAX_LINE + 1 */
    size_t used;
    bool (*take)(void *context, char *line);
    void *context;
};

/* False: take() asked to stop. */
static bool feed_lines(struct lines *lines, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != '\n') {
            if (lines->used < MAX_LINE)
                lines->buffer[lines->used++] = bytes[i];
            continue;
        }
        lines->buffer[lines->used] = '\0';
        lines->used = 0;
        if (!lines->take(lines->context, lines->buffer))
            return false;
    }
    return true;
}

/* ---- frames ---- */

struct frames {
    unsigned char header[FRAME_HEADER];
    size_t header_used;
    size_t left; /* bytes of the frame still to come */
    bool (*take)(void *context, const char *bytes, size_t length);
    void *context;
};

static bool feed_frames(void *context, const char *bytes, size_t length)
{
    struct frames *frames = context;

    while (length > 0) {
        if (frames->left == 0) {
            frames->header[frames->header_used++] = (unsigned char)*bytes++;
            length--;
            if (frames->header_used == FRAME_HEADER) {
                const unsigned char *size = frames->header + 4;
                frames->left =
                    (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
                frames->header_used = 0;
            }
            continue;
        }
        size_t piece = length < frames->left ? length : frames->left;
        if (!frames->take(frames->context, bytes, piece))
            return false;
        bytes += piece;
        length -= piece;
        frames->left -= piece;
    }
    return true;
}

/* ---- progress ---- */

struct progress {
    struct lines lines;
    engine_progress *report; /* may be NULL */
    void *context;           /* of report */
    char *error;             /* the engine's message; NULL: none */
};

static bool take_progress(void *context, char *line)
{
    struct progress *progress = context;
    CLEANUP_JSON json_object *message = json_tokener_parse(line);
    const char *error = object_text(message, "error");
    const char *status = object_text(message, "status");
    const char *layer = object_text(message, "id");

    if (error[0] && !progress->error)
        progress->error = strdup(error);
    /* Lines with a progress bar, of which a terminal would show many a second, are not reported. */
    if (progress->report && status[0] && !object_text(message, "progress")[0])
        progress->report(progress->context, layer, status);
    return true;
}

static bool feed_progress(void *context, const char *bytes, size_t length)
{
    struct progress *progress = context;

    return feed_lines(&progress->lines, bytes, length);
}

/*
 * @reference: the image
 * @exchange:  take and context are set here
 * @progress:  report and context
 */
static enum bottle_result exchange_with_progress(struct engine *engine, const char *reference,
                                                 struct exchange exchange, struct progress progress,
                                                 struct failure *failure)
{
    CLEANUP_FREE char *buffer = malloc(MAX_LINE + 1);

    progress.lines = (struct lines){.buffer = buffer, .take = take_progress, .context = &progress};

    if (!buffer)
        return out_of_memory(failure);
    exchange.take = feed_progress;
    exchange.context = &progress;
    enum bottle_result result = connection_exchange(engine, &exchange, failure);
    if (result == BOTTLE_OK)
        (void)feed_progress(&progress, "\n", 1); /* the last line may lack its newline */
    if (result == BOTTLE_OK && progress.error)
        result = failure_set(failure, BOTTLE_UNAVAILABLE, "engine %s: image %s: %s",
                             engine->address, reference, progress.error);
    free(progress.error);
    return result;
}

/* ---- archives ---- */

enum bottle_result engine_put_files(struct engine *engine, const char *container,
                                    const struct engine_file *files, size_t count,
                                    struct failure *failure)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *tar = NULL;
    size_t length = 0;
    enum bottle_result result = tar_write(files, count, &tar, &length, failure);

    if (result != BOTTLE_OK)
        return result;
    path = text_format("%s/containers/%s/archive?path=%%2F", engine->api_version, container);
    if (!path)
        return out_of_memory(failure);
    const struct exchange exchange = {.method = "PUT",
                                      .path = path,
                                      .content_type = "application/x-tar",
                                      .bytes = tar,
                                      .length = length,
                                      .timeout_ms = engine->timeout_ms};
    return connection_exchange(engine, &exchange, failure);
}

/* The image config: https://github.com/moby/docker-image-spec, v1.2. */
static json_object *image_config(const char *architecture, const char *layer_sha256,
                                 json_object *labels)
{
    CLEANUP_JSON json_object *config = json_object_new_object();
    json_object *rootfs = json_object_new_object(), *layers = json_object_new_array();
    json_object *settings = json_object_new_object();
    char layer[sizeof "sha256:" + SHA256_TEXT_SIZE];

    (void)snprintf(layer, sizeof layer, "sha256:%s", layer_sha256);
    bool built = array_add_text(layers, layer) && object_add_text(rootfs, "type", "layers") &&
                 object_add(settings, "Labels", json_object_get(labels)) &&
                 object_add_text(config, "architecture", architecture) &&
                 object_add_text(config, "os", "linux") &&
                 object_add_text(config, "created", "1970-01-01T00:00:00Z");
    built = object_add(rootfs, "diff_ids", layers) && built;
    built = object_add(config, "rootfs", rootfs) && built;
    built = object_add(config, "config", settings) && built;
    return built ? steal_pointer(&config) : NULL;
}

static json_object *image_manifest(const char *reference)
{
    CLEANUP_JSON json_object *manifest = json_object_new_array();
    json_object *image = json_object_new_object();
    json_object *names = json_object_new_array(), *layers = json_object_new_array();
    bool built = object_add_text(image, "Config", "config.json") &&
                 array_add_text(names, reference) && array_add_text(layers, "layer.tar");

    built = object_add(image, "RepoTags", names) && built;
    built = object_add(image, "Layers", layers) && built;
    built = array_add(manifest, image) && built;
    return built ? steal_pointer(&manifest) : NULL;
}

/* The archive that `docker save` would write. */
static enum bottle_result image_archive(const char *reference, const char *architecture,
                                        const struct engine_file *files, size_t count,
                                        json_object *labels, char **bytes, size_t *length,
                                        struct failure *failure)
{
    CLEANUP_FREE char *layer = NULL;
    size_t layer_length = 0;
    char sha256[SHA256_TEXT_SIZE];
    enum bottle_result result = tar_write(files, count, &layer, &layer_length, failure);

    if (result == BOTTLE_OK)
        result = tar_sha256(layer, layer_length, sha256, failure);
    if (result != BOTTLE_OK)
        return result;
    CLEANUP_JSON json_object *config = image_config(architecture, sha256, labels);
    CLEANUP_JSON json_object *manifest = image_manifest(reference);
    const char *config_text = config ? json_object_to_json_string(config) : NULL;
    const char *manifest_text = manifest ? json_object_to_json_string(manifest) : NULL;
    if (!config_text || !manifest_text)
        return out_of_memory(failure);
    const struct engine_file parts[] = {
        {.path = "layer.tar", .mode = 0644, .bytes = layer, .length = layer_length},
        {.path = "config.json", .mode = 0644, .bytes = config_text, .length = strlen(config_text)},
        {.path = "manifest.json",
         .mode = 0644,
         .bytes = manifest_text,
         .length = strlen(manifest_text)},
    };
    return tar_write(parts, sizeof parts / sizeof parts[0], bytes, length, failure);
}

enum bottle_result engine_load_image(struct engine *engine, const char *reference,
                                     const char *architecture, const struct engine_file *files,
                                     size_t count, json_object *labels, struct failure *failure)
{
    CLEANUP_FREE char *tar = NULL;
    CLEANUP_FREE char *path = NULL;
    size_t length = 0;
    enum bottle_result result =
        image_archive(reference, architecture, files, count, labels, &tar, &length, failure);

    if (result != BOTTLE_OK)
        return result;
    path = text_format("%s/images/load?quiet=1", engine->api_version);
    if (!path)
        return out_of_memory(failure);
    const struct exchange exchange = {.method = "POST",
                                      .path = path,
                                      .content_type = "application/x-tar",
                                      .bytes = tar,
                                      .length = length,
                                      .timeout_ms = engine->timeout_ms};
    return exchange_with_progress(engine, reference, exchange, (struct progress){0}, failure);
}

enum bottle_result engine_pull_image(struct engine *engine, const char *reference,
                                     engine_progress *report, void *context,
                                     struct failure *failure)
{
    CLEANUP_FREE char *name = engine_escape(reference);
    CLEANUP_FREE char *path = NULL;
    const char *last = strrchr(reference, '/');
    bool has_version = strpbrk(last ? last : reference, ":@") != NULL;

    /* Without a tag the engine would pull every tag of the repository. */
    if (!name || !(path = text_format("%s/images/create?fromImage=%s%s", engine->api_version, name,
                                      has_version ? "" : "&tag=latest")))
        return out_of_memory(failure);
    const struct exchange exchange = {.method = "POST", .path = path, .stall_s = PULL_STALL_S};
    const struct progress progress = {.report = report, .context = context};
    return exchange_with_progress(engine, reference, exchange, progress, failure);
}

/* ---- programs ---- */

static json_object *exec_request(const char *const *command)
{
    CLEANUP_JSON json_object *request = json_object_new_object();
    json_object *words = json_object_new_array();
    bool built = object_add(request, "AttachStdout", json_object_new_boolean(true)) &&
                 object_add(request, "AttachStderr", json_object_new_boolean(true));

    for (; *command; command++)
        built = array_add_text(words, *command) && built;
    built = object_add(request, "Cmd", words) && built;
    return built ? steal_pointer(&request) : NULL;
}

static enum bottle_result run_exec(struct engine *engine, const char *id, char **output,
                                   struct failure *failure)
{
    static const char START[] = "{\"Detach\":false,\"Tty\":false}";
    CLEANUP_FREE char *path = text_format("%s/exec/%s/start", engine->api_version, id);
    struct collected collected = {0};
    struct frames frames = {.take = collect, .context = &collected};

    if (!path)
        return out_of_memory(failure);
    const struct exchange exchange = {.method = "POST",
                                      .path = path,
                                      .content_type = "application/json",
                                      .bytes = START,
                                      .length = sizeof START - 1,
                                      .timeout_ms = engine->timeout_ms,
                                      .take = feed_frames,
                                      .context = &frames};
    enum bottle_result result = connection_exchange(engine, &exchange, failure);
    if (result == BOTTLE_OK && !collected.bytes && !collected.failed)
        (void)collect(&collected, "", 0);
    if (result == BOTTLE_OK && collected.failed)
        result = out_of_memory(failure);
    if (result == BOTTLE_OK)
        *output = steal_pointer(&collected.bytes);
    free(collected.bytes);
    return result;
}

enum bottle_result engine_exec(struct engine *engine, const char *container,
                               const char *const *command, char **output, struct failure *failure)
{
    CLEANUP_JSON json_object *request = exec_request(command);
    CLEANUP_JSON json_object *created = NULL;

    if (!request)
        return out_of_memory(failure);
    enum bottle_result result =
        engine_call(engine, "POST", request, &created, failure, "/containers/%s/exec", container);
    if (result != BOTTLE_OK)
        return result;
    CLEANUP_FREE char *id = engine_escape(object_text(created, "Id"));
    return id ? run_exec(engine, id, output, failure) : out_of_memory(failure);
}

static bool feed_log(void *context, const char *bytes, size_t length)
{
    return feed_lines(context, bytes, length);
}

enum bottle_result engine_follow_log(struct engine *engine, const char *container,
                                     int64_t timeout_ms, bool (*take)(void *context, char *line),
                                     void *context, struct failure *failure)
{
    CLEANUP_FREE char *path = text_format("%s/containers/%s/logs?follow=1&stdout=1&stderr=1",
                                          engine->api_version, container);
    CLEANUP_FREE char *buffer = malloc(MAX_LINE + 1);
    struct lines lines = {.buffer = buffer, .take = take, .context = context};
    struct frames frames = {.take = feed_log, .context = &lines};

    if (!path || !buffer)
        return out_of_memory(failure);
    const struct exchange exchange = {.method = "GET",
                                      .path = path,
                                      .timeout_ms = timeout_ms,
                                      .take = feed_frames,
                                      .context = &frames};
    return connection_exchange(engine, &exchange, failure);
}
