/* SPDX-License-Identifier: MIT */
/*
 * options.h: the options of the command line, and the request that they make up.
 */
#ifndef SAMPLE_HOST_OPTIONS_H
#define SAMPLE_HOST_OPTIONS_H

#include <json-c/json.h>
#include <stdbool.h>
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

/* A set of options has the bit of each. */
#define OPTION_BIT(option) (1u << (option))

#define OPTION_LIST_SIZE 256

/* What the command line asks for. */
struct request {
    const char *value[OPTION_COUNT]; /* NULL: not given; "" for an option that takes none */
    const char *plugins[PLUGIN_MAX];
    size_t plugin_count;
    json_object *start_options; /* SIDECAR → object */
    int64_t grace_ms;           /* --grace; negative: not given */
    const char *bottle;         /* NULL: none */
    char **command;             /* what follows "--", NULL-terminated; NULL: there is no "--" */
};

/*
 * Reads the options before and after COMMAND; getopt_long(3) moves them to the front of argv and sets
 * optind to the first of the other arguments.
 */
bool options_parse(int argc, char **argv, struct request *request);

/* The name of an option, without "--". */
const char *option_name(enum option_index option);

/* Writes "--a, --b": the options of a set.  Returns list. */
const char *list_options(unsigned set, char list[OPTION_LIST_SIZE]);

#endif
