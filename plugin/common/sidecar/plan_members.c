/* SPDX-License-Identifier: MIT */
/*
 * plan_members.c: see plan_members.h.
 *
 * Between prepare and start the launcher has the plan, so start does not trust it.
 */
#include "common/sidecar/plan_members.h"

#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME_ROOM 64 /* for "/" and the longest name of a file in a stage dir */

enum bottle_result plan_read_origin(const struct json_reader *reader, const char *sidecar,
                                    int64_t version)
{
    json_object *value;
    int64_t number = 0;
    enum bottle_result result = json_read_integer(reader, "version", 0, INT32_MAX, &number);

    if (result == BOTTLE_OK && number != version)
        return json_refuse(reader, "version",
                           "is not this plugin's: prepare again with this plugin");
    if (result == BOTTLE_OK)
        result = json_read(reader, "sidecar", json_type_string, &value);
    if (result == BOTTLE_OK && strcmp(json_object_get_string(value), sidecar) != 0)
        return json_refuse(reader, "sidecar", "is another sidecar: hand its plan to that plugin");
    return result;
}

static bool is_stage_dir(const char *text)
{
    size_t length = strnlen(text, PLAN_PATH_SIZE);

    return text[0] == '/' && length + FILE_NAME_ROOM <= PLAN_PATH_SIZE &&
           text_is_printable(text, length);
}

enum bottle_result plan_read_stage_dir(const struct json_reader *reader, char **stage_dir)
{
    return json_duplicate_text(reader, "stage_dir", is_stage_dir, stage_dir);
}

enum bottle_result plan_read_network(const struct json_reader *reader, const char *key,
                                     char **network)
{
    json_object *value;
    enum bottle_result result = json_read(reader, key, json_type_string, &value);

    if (result != BOTTLE_OK)
        return result;
    const char *text = json_object_get_string(value);
    size_t length = strlen(text);
    if (length >= PLAN_PATH_SIZE || !text_is_printable(text, length))
        return json_refuse(reader, key, "must be one line of fewer than 4096 bytes");
    *network = strdup(text);
    return *network ? BOTTLE_OK : json_out_of_memory(reader);
}

/* malloc'ed; NULL: out of memory. */
static char *join_path(const char *directory, const char *file)
{
    return text_format("%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", file);
}

bool plan_add_path(json_object *plan, const char *key, const char *stage_dir, const char *file)
{
    CLEANUP_FREE char *path = join_path(stage_dir, file);

    return path && object_add_text(plan, key, path);
}

enum bottle_result plan_check_path(const struct json_reader *reader, const char *key,
                                   const char *stage_dir, const char *file)
{
    json_object *value;
    enum bottle_result result = json_read(reader, key, json_type_string, &value);

    if (result != BOTTLE_OK)
        return result;
    CLEANUP_FREE char *path = join_path(stage_dir, file);
    if (!path)
        return json_out_of_memory(reader);
    if (strcmp(json_object_get_string(value), path) != 0)
        return json_refuse(reader, key, "is not the file in stage_dir that prepare wrote");
    return BOTTLE_OK;
}

enum bottle_result plan_open_stage_dir(const char *path, int *fd, char **absolute,
                                       struct failure *failure)
{
    enum bottle_result result = stage_dir_open(path, fd, absolute, failure);

    if (result == BOTTLE_OK && strlen(*absolute) + FILE_NAME_ROOM > PLAN_PATH_SIZE)
        return failure_set(failure, BOTTLE_INVALID,
                           "stage dir %s: its absolute path has %zu bytes: give a shorter one",
                           EXCERPT(*absolute), strlen(*absolute));
    return result;
}

enum bottle_result plan_check_start(const char *slug, size_t upstream_count,
                                    const char *internal_network, const char *egress_network,
                                    struct failure *failure)
{
    const char *empty = internal_network[0] == '\0' ? "internal_network" : "egress_network";

    if (upstream_count == 0)
        return failure_set(failure, BOTTLE_INVALID,
                           "plan of \"%s\": it has no upstreams, so there is nothing to start",
                           slug);
    if (internal_network[0] != '\0' && egress_network[0] != '\0')
        return BOTTLE_OK;
    return failure_set(failure, BOTTLE_INVALID,
                       "plan of \"%s\": %s is empty; the launcher fills it in before start", slug,
                       empty);
}
