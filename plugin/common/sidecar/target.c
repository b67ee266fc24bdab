/* SPDX-License-Identifier: MIT */
/* target.c: see target.h. */
#include "common/sidecar/target.h"

#include "common/cleanup.h"
#include "common/sidecar/arguments.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum bottle_result backend_find(const char *const *backends, const char *name, size_t *index,
                                struct failure *failure)
{
    char list[256] = "";

    for (size_t i = 0; backends[i]; i++) {
        size_t length = strlen(list);
        if (strcmp(backends[i], name) == 0) {
            *index = i;
            return BOTTLE_OK;
        }
        (void)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "", backends[i]);
    }
    return failure_set(failure, BOTTLE_INVALID, "backend \"%s\" is unknown; there are: %s",
                       EXCERPT(name), list);
}

static bool is_instance(const char *text)
{
    return grammar_word(text, "0123456789abcdef", "0123456789abcdef", TARGET_INSTANCE_SIZE);
}

/* SLUG[:INSTANCE] */
static bool take_slug_and_instance(const char *text, struct target *target)
{
    size_t length = strcspn(text, ":");
    const char *instance = text[length] ? text + length + 1 : NULL;

    if (length >= sizeof target->slug || (instance && !is_instance(instance)))
        return false;
    memcpy(target->slug, text, length);
    if (instance)
        memcpy(target->instance, instance, strlen(instance));
    return grammar_slug(target->slug);
}

enum bottle_result target_parse(const char *text, const char *const *backends, size_t *backend,
                                struct target *target, struct failure *failure)
{
    enum bottle_result result = arguments_require("target", text, failure);

    *target = (struct target){0};
    if (result != BOTTLE_OK)
        return result;
    const char *colon = strchr(text, ':');
    if (colon) {
        CLEANUP_FREE char *name = strndup(text, (size_t)(colon - text));
        if (!name)
            return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
        result = backend_find(backends, name, backend, failure);
        if (result != BOTTLE_OK || take_slug_and_instance(colon + 1, target))
            return result;
    }
    return failure_set(
        failure, BOTTLE_INVALID,
        "target \"%s\" is not what start returns: BACKEND:SLUG or BACKEND:SLUG:INSTANCE",
        EXCERPT(text));
}

enum bottle_result target_new_instance(char instance[TARGET_INSTANCE_SIZE], struct failure *failure)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return failure_set(failure, result_of_errno(errno),
                           "cannot get a random number for the name of this run (getrandom): %s",
                           strerror(errno));
    (void)snprintf(instance, TARGET_INSTANCE_SIZE, "%016" PRIx64, random);
    return BOTTLE_OK;
}

enum bottle_result target_text(const char *backend, const char *slug, const char *instance,
                               char **text, struct failure *failure)
{
    *text = text_format("%s:%s:%s", backend, slug, instance);
    return *text ? BOTTLE_OK : failure_set(failure, BOTTLE_INTERNAL, "out of memory");
}
