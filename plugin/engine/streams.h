/* SPDX-License-Identifier: MIT */
/* streams.h: the engine's requests that carry archives, progress, logs or a program's output. */
#ifndef ENGINE_STREAMS_H
#define ENGINE_STREAMS_H

#include "engine/engine.h"
#include "engine/file.h"

#include <stdbool.h>
#include <stdint.h>

/* Writes the files, owned by root, below a container's root directory.  The container need not run. */
enum bottle_result engine_put_files(struct engine *engine, const char *container,
                                    const struct engine_file *files, size_t count,
                                    struct failure *failure);

/*
 * Makes an image that consists of these files and names it.  The same arguments give an image with the same
 * ID, so repeated and concurrent calls are harmless.  On failure no image is left behind.
 * @reference:    NAME:TAG
 * @architecture: as Go spells it: "amd64", "arm64", …
 * @labels:       JSON object of strings
 */
enum bottle_result engine_load_image(struct engine *engine, const char *reference,
                                     const char *architecture, const struct engine_file *files,
                                     size_t count, json_object *labels, struct failure *failure);

/* Called for each step of a pull.  layer: its ID; "": the step concerns the whole image. */
typedef void engine_progress(void *context, const char *layer, const char *status);

/*
 * Has the engine pull an image from its registry.  The pull as a whole has no time limit; it fails with
 * BOTTLE_TIMEOUT when no data has arrived for a minute.
 * @reference: NAME, NAME:TAG or NAME@DIGEST; NAME alone means the tag latest
 * @report:    NULL: progress is not reported
 */
enum bottle_result engine_pull_image(struct engine *engine, const char *reference,
                                     engine_progress *report, void *context,
                                     struct failure *failure);

/*
 * Runs a program in a running container, as the container's user, until it ends.
 * @output: out: what it wrote to stdout and stderr; malloc'ed.  The exit status is not reported: the
 *          program's output must tell whether it succeeded.
 */
enum bottle_result engine_exec(struct engine *engine, const char *container,
                               const char *const *command, char **output, struct failure *failure);

/*
 * Reads a container's log, stdout and stderr, from its beginning until the container ends.
 * @timeout_ms: BOTTLE_TIMEOUT after that
 * @take:       called for each line, without its newline; returns false to end with BOTTLE_OK
 */
enum bottle_result engine_follow_log(struct engine *engine, const char *container,
                                     int64_t timeout_ms, bool (*take)(void *context, char *line),
                                     void *context, struct failure *failure);

#endif
