/* SPDX-License-Identifier: MIT */
/* operations.c: see operations.h. */
#include "common/sidecar/operations.h"

#include "common/cleanup.h"
#include "common/sidecar/arguments.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"

#include <stdlib.h>
#include <string.h>

enum bottle_result operation_prepare(
    struct bottle_prepare *arguments,
    enum bottle_result (*prepare)(const char *bottle, const char *slug, const char *stage_dir,
                                  char **plan, struct failure *failure))
{
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->plan = NULL;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("bottle", arguments->bottle, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("slug", arguments->slug, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("stage_dir", arguments->stage_dir, &failure);
    if (result == BOTTLE_OK)
        result = prepare(arguments->bottle, arguments->slug, arguments->stage_dir, &arguments->plan,
                         &failure);
    return arguments_finish(result, &failure, &arguments->message);
}

enum bottle_result operation_start(struct bottle_start *arguments,
                                   enum bottle_result (*start)(const struct bottle_start *arguments,
                                                               json_object *options, char **target,
                                                               struct failure *failure))
{
    CLEANUP_JSON json_object *options = NULL;
    CLEANUP_FREE char *target = NULL;
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->target = NULL;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = arguments_require("plan", arguments->plan, &failure);
    if (result == BOTTLE_OK)
        result = json_text_parse("start options", arguments->options ? arguments->options : "{}",
                                 &options, &failure);
    if (result == BOTTLE_OK)
        result = start(arguments, options, &target, &failure);
    if (result == BOTTLE_OK)
        arguments->target = steal_pointer(&target);
    return arguments_finish(result, &failure, &arguments->message);
}

enum bottle_result operation_stop(struct bottle_stop *arguments,
                                  const struct sidecar_backends *backends)
{
    struct failure failure;
    struct target target;
    size_t backend = 0;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = target_parse(arguments->target, backends->names, &backend, &target, &failure);
    if (result == BOTTLE_OK)
        result = backends->of_target(backend)->stop(&target, &failure);
    if (result == BOTTLE_NOT_FOUND)
        result = BOTTLE_OK;
    return arguments_finish(result, &failure, &arguments->message);
}

static enum bottle_result status_text(const char *target_text,
                                      const struct sidecar_backends *backends, char **text,
                                      struct failure *failure)
{
    CLEANUP_JSON json_object *status = NULL;
    struct target target;
    size_t backend = 0;
    enum bottle_result result =
        target_parse(target_text, backends->names, &backend, &target, failure);

    if (result == BOTTLE_OK)
        result = backends->of_target(backend)->status(&target, &status, failure);
    if (result != BOTTLE_OK)
        return result;
    if (object_add_text(status, "sidecar", backends->sidecar) &&
        object_add_text(status, "backend", backends->names[backend]))
        *text = strdup(json_object_to_json_string_ext(status, JSON_C_TO_STRING_NOSLASHESCAPE));
    return *text ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}

enum bottle_result operation_status(struct bottle_status *arguments,
                                    const struct sidecar_backends *backends)
{
    struct failure failure;

    if (!arguments_are_whole(arguments))
        return BOTTLE_INVALID;
    arguments->status = NULL;
    enum bottle_result result = arguments_check(arguments, &failure);
    if (result == BOTTLE_OK)
        result = status_text(arguments->target, backends, &arguments->status, &failure);
    return arguments_finish(result, &failure, &arguments->message);
}

void operation_release(char *text)
{
    free(text);
}
