/* SPDX-License-Identifier: MIT */
/* plan_members.h: reading and writing the members that every sidecar's plan has (bottle/sidecar.h). */
#ifndef SIDECAR_PLAN_MEMBERS_H
#define SIDECAR_PLAN_MEMBERS_H

#include "common/text/json_reader.h"

/* The size, with NUL, of the path of a file in the stage dir, and of a network. */
#define PLAN_PATH_SIZE 4096

/* Checks "version" and "sidecar": the plan must be one of this plugin, in its current form. */
enum bottle_result plan_read_origin(const struct json_reader *reader, const char *sidecar,
                                    int64_t version);

/* Reads "stage_dir"; malloc'ed */
enum bottle_result plan_read_stage_dir(const struct json_reader *reader, char **stage_dir);

/* Reads a network, which the backend checks; malloc'ed; "" until the launcher fills it in */
enum bottle_result plan_read_network(const struct json_reader *reader, const char *key,
                                     char **network);

/* Adds the path of a file in the stage dir, for the launcher to read; checks that it is unchanged. */
bool plan_add_path(json_object *plan, const char *key, const char *stage_dir, const char *file);
enum bottle_result plan_check_path(const struct json_reader *reader, const char *key,
                                   const char *stage_dir, const char *file);

/* Opens the stage dir for prepare.  absolute: out: its path, for the plan; malloc'ed */
enum bottle_result plan_open_stage_dir(const char *path, int *fd, char **absolute,
                                       struct failure *failure);

/* Refuses a plan without upstreams, or with an empty network, for any backend. */
enum bottle_result plan_check_start(const char *slug, size_t upstream_count,
                                    const char *internal_network, const char *egress_network,
                                    struct failure *failure);

#endif
