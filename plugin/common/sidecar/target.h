/* SPDX-License-Identifier: MIT */
/* target.h: what names a running sidecar (bottle/sidecar.h), taken apart and put together. */
#ifndef SIDECAR_TARGET_H
#define SIDECAR_TARGET_H

#include "common/text/failure.h"
#include "common/text/grammar.h"

#include <stddef.h>

#define TARGET_INSTANCE_SIZE 32

/* BACKEND:SLUG[:INSTANCE] without the backend. */
struct target {
    char slug[SLUG_SIZE];
    char instance[TARGET_INSTANCE_SIZE]; /* "": whichever runs under the slug */
};

/*
 * Which of the plugin's backends a name means.
 * @backends: NULL-terminated, as in the table
 * @index:    out
 */
enum bottle_result backend_find(const char *const *backends, const char *name, size_t *index,
                                struct failure *failure);

/* @text: NULL is an error; @backend: out: an index */
enum bottle_result target_parse(const char *text, const char *const *backends, size_t *backend,
                                struct target *target, struct failure *failure);

/* A random instance. */
enum bottle_result target_new_instance(char instance[TARGET_INSTANCE_SIZE],
                                       struct failure *failure);

/* The long form; malloc'ed. */
enum bottle_result target_text(const char *backend, const char *slug, const char *instance,
                               char **text, struct failure *failure);

#endif
