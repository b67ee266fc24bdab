/* SPDX-License-Identifier: MIT */
/*
 * operations.h: the operations of bottle/sidecar.h, as far as they are alike in every plugin.
 *
 * An operation checks what the host gave it, does what is the plugin's own, and hands a failure's text to
 * the host.  What is the plugin's own comes in here as functions.
 *
 * What belongs in sidecar/: what every sidecar plugin needs: operations, plans, targets, options, the stage
 * directory, the claim on a slug.  Nothing here knows which sidecar it is.
 */
#ifndef SIDECAR_OPERATIONS_H
#define SIDECAR_OPERATIONS_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <json-c/json.h>

/* What every backend does with a target. */
struct target_operations {
    /* BOTTLE_NOT_FOUND: nothing runs there */
    enum bottle_result (*stop)(const struct target *target, struct failure *failure);
    /* status: out: JSON object with the members of bottle/sidecar.h but "sidecar" and "backend" */
    enum bottle_result (*status)(const struct target *target, json_object **status,
                                 struct failure *failure);
};

/* What the operations need to know of a plugin. */
struct sidecar_backends {
    const char *sidecar;      /* the plugin's name */
    const char *const *names; /* NULL-terminated, as in the plugin's table */
    /* index: of a name */
    const struct target_operations *(*of_target)(size_t index);
};

/* @prepare: gets arguments that are there; plan: out: malloc'ed */
enum bottle_result operation_prepare(
    struct bottle_prepare *arguments,
    enum bottle_result (*prepare)(const char *bottle, const char *slug, const char *stage_dir,
                                  char **plan, struct failure *failure));

/*
 * @start: gets a plan, in text, that is there; options: a JSON value, checked for nothing else; target: out:
 *         the long form, malloc'ed
 */
enum bottle_result operation_start(struct bottle_start *arguments,
                                   enum bottle_result (*start)(const struct bottle_start *arguments,
                                                               json_object *options, char **target,
                                                               struct failure *failure));

enum bottle_result operation_stop(struct bottle_stop *arguments,
                                  const struct sidecar_backends *backends);

enum bottle_result operation_status(struct bottle_status *arguments,
                                    const struct sidecar_backends *backends);

void operation_release(char *text);

#endif
