/* SPDX-License-Identifier: MIT */
/*
 * manifest.c: finds a bottle in the manifest.
 *
 * Only {"bottles": {NAME: {…}}} is read here.  What is in a bottle is for the sidecars to judge: each gets
 * the whole object and reads its own part.
 */
#include "manifest.h"

#include "bottle.h"
#include "fail.h"
#include "request.h"
#include "text_file.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"
#include "common/text/json_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_MANIFEST "claude-bottle.json"

static bool fail_no_bottle(const char *manifest, const char *name, json_object *bottles)
{
    struct json_object_iter iter;
    char list[FAILURE_MESSAGE_SIZE] = "none";
    size_t length = 0;

    json_object_object_foreachC(bottles, iter)
    {
        if (length < sizeof list)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%s",
                                       length > 0 ? ", " : "", iter.key);
    }
    return fail("%s has no bottle \"%s\"; it has: %s", manifest, name, list);
}

bool manifest_find(const struct request *request, struct bottle *bottle, char **text)
{
    const char *manifest = request->value[OPTION_MANIFEST];
    const char *name = request->bottle;
    const char *slug = request->value[OPTION_SLUG];
    CLEANUP_FREE char *file = NULL;
    CLEANUP_JSON json_object *object = NULL;
    json_object *bottles = NULL;
    json_object *found = NULL;
    struct failure failure;

    if (!manifest)
        manifest = DEFAULT_MANIFEST;
    if (!read_text_file(AT_FDCWD, manifest, JSON_TEXT_MAX_BYTES, true, &file))
        return false;
    if (!file)
        return fail("there is no manifest %s: name one with --manifest FILE", manifest);
    if (json_text_parse(manifest, file, &object, &failure) != BOTTLE_OK)
        return fail("%s", failure.message);
    bottles = json_object_object_get(object, "bottles");
    if (!json_object_is_type(bottles, json_type_object))
        return fail("%s: \"bottles\" must be an object: {\"bottles\": {NAME: {…}}}", manifest);
    if (!json_object_object_get_ex(bottles, name, &found))
        return fail_no_bottle(manifest, name, bottles);
    if (!json_object_is_type(found, json_type_object))
        return fail("%s: bottle \"%s\" must be an object", manifest, name);
    if (!text_is_printable(name, strlen(name)))
        return fail("%s: bottle \"%s\": its name must not contain control characters", manifest,
                    name);
    if (!grammar_slug(slug ? slug : name))
        return fail("\"%s\" is not a slug ([a-z0-9][a-z0-9-]{0,39}): give one with --slug",
                    slug ? slug : name);

    const char *json = json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN);
    bottle->name = strdup(name);
    bottle->slug = strdup(slug ? slug : name);
    *text = json ? strdup(json) : NULL;
    return (bottle->name && bottle->slug && *text) || fail("out of memory");
}
