/* SPDX-License-Identifier: MIT */
/* image.c: see image.h. */
#include "container/image.h"

#include "common/sidecar/host_log.h"
#include "engine/streams.h"

static void log_progress(void *context, const char *layer, const char *status)
{
    const struct bottle_host *host = context;

    host_log(host, BOTTLE_LOG_INFO, "%s%s%s", layer, layer[0] ? ": " : "", status);
}

enum bottle_result container_provide_image(struct engine *engine, const struct bottle_host *host,
                                           const char *image, struct failure *failure)
{
    struct failure pulling;
    enum bottle_result result =
        engine_call(engine, "GET", NULL, NULL, failure, "/images/%s/json", image);

    if (result != BOTTLE_NOT_FOUND)
        return result;
    host_log(host, BOTTLE_LOG_INFO, "engine %s has no image %s: pulling it", engine_address(engine),
             image);
    result = engine_pull_image(engine, image, log_progress, (void *)host, &pulling);
    if (result == BOTTLE_OK)
        return result;
    return failure_set(failure, result, "image %s is not there, and the engine cannot pull it: %s",
                       image, pulling.message);
}
