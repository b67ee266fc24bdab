/* SPDX-License-Identifier: MIT */
/*
 * request.h: what the command line asks for.
 */
#ifndef SAMPLE_HOST_REQUEST_H
#define SAMPLE_HOST_REQUEST_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

/* How often --plugin may be given.  A bottle has one sidecar of each plugin. */
#define PLUGIN_MAX 16

enum option_index {
    OPTION_PLUGIN,
    OPTION_MANIFEST,
    OPTION_SLUG,
    OPTION_BACKEND,
    OPTION_INTERNAL_NETWORK,
    OPTION_EGRESS_NETWORK,
    OPTION_OPTIONS,
    OPTION_EVENTS,
    OPTION_GRACE,
    OPTION_JSON,
    OPTION_PROMETHEUS,
    OPTION_WATCH,
    OPTION_ORPHANS,
    OPTION_HELP,
    OPTION_COUNT,
};

struct request {
    const char *value[OPTION_COUNT]; /* NULL: not given; "" for an option that takes none */
    const char *plugins[PLUGIN_MAX];
    size_t plugin_count;
    json_object *start_options; /* SIDECAR → object */
    int64_t grace_ms;           /* --grace; negative: not given */
    const char *bottle;         /* NULL: none */
    char **command;             /* what follows "--", NULL-terminated; NULL: there is no "--" */
};

#endif
