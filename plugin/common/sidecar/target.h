/* SPDX-License-Identifier: MIT */
/* target.h: parsing and making targets, which name a running sidecar (bottle/sidecar.h). */
#ifndef SIDECAR_TARGET_H
#define SIDECAR_TARGET_H

#include "common/text/failure.h"
#include "common/text/grammar.h"

#include <stddef.h>

#define TARGET_INSTANCE_SIZE 32

/* BACKEND:SLUG[:INSTANCE] without the backend. */
struct target {
    char slug[SLUG_SIZE];
    char instance[TARGET_INSTANCE_SIZE]; /* "": any of the slug */
};

/*
 * Finds a backend by its name.
 * @backends: NULL-terminated, as in the table
 * @index:    out
 */
enum bottle_result backend_find(const char *const *backends, const char *name, size_t *index,
                                struct failure *failure);

/* @text: NULL is BOTTLE_INVALID; @backend: out: an index */
enum bottle_result target_parse(const char *text, const char *const *backends, size_t *backend,
                                struct target *target, struct failure *failure);

/* Makes a random instance. */
enum bottle_result target_new_instance(char instance[TARGET_INSTANCE_SIZE],
                                       struct failure *failure);

/* BACKEND:SLUG:INSTANCE; malloc'ed */
enum bottle_result target_text(const char *backend, const char *slug, const char *instance,
                               char **text, struct failure *failure);

#endif
