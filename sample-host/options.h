/* SPDX-License-Identifier: MIT */
/*
 * options.h: the options of the command line.
 */
#ifndef SAMPLE_HOST_OPTIONS_H
#define SAMPLE_HOST_OPTIONS_H

#include "request.h"

#include <stdbool.h>

/* A set of options has the bit of each. */
#define OPTION_BIT(option) (1u << (option))

#define OPTION_LIST_SIZE 256

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
