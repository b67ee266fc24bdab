/* SPDX-License-Identifier: MIT */
/* plan_members.h: reading and writing the members that every sidecar's plan has (bottle/sidecar.h). */
#ifndef SIDECAR_PLAN_MEMBERS_H
#define SIDECAR_PLAN_MEMBERS_H

#include "common/text/json_reader.h"

/* Of a stage dir with any file in it, and of a network, with NUL. */
#define PLAN_PATH_SIZE 4096

/* "version" and "sidecar": the plan was made by this plugin, in the form that it has now. */
enum bottle_result plan_read_origin(const struct json_reader *reader, const char *sidecar,
                                    int64_t version);

/* "stage_dir"; malloc'ed */
enum bottle_result plan_read_stage_dir(const struct json_reader *reader, char **stage_dir);

/* A network, which is for the backend to judge; malloc'ed, "" until the launcher fills it in. */
enum bottle_result plan_read_network(const struct json_reader *reader, const char *key,
                                     char **network);

/* The path of a file in the stage dir: for the launcher to read, and to hand on as it is. */
bool plan_add_path(json_object *plan, const char *key, const char *stage_dir, const char *file);
enum bottle_result plan_check_path(const struct json_reader *reader, const char *key,
                                   const char *stage_dir, const char *file);

/* Opens the stage dir of a prepare; absolute: out: its path, which start can read back; malloc'ed */
enum bottle_result plan_open_stage_dir(const char *path, int *fd, char **absolute,
                                       struct failure *failure);

/* What start refuses, whatever the backend: no upstreams, or a network that nobody filled in. */
enum bottle_result plan_check_start(const char *slug, size_t upstream_count,
                                    const char *internal_network, const char *egress_network,
                                    struct failure *failure);

#endif
