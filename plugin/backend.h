/* SPDX-License-Identifier: MIT */
/*
 * backend.h: where a gate runs.  entry.c checks what is common to all and calls one of these.
 */
#ifndef SSH_GATE_BACKEND_H
#define SSH_GATE_BACKEND_H

#include "bottle/plan.h"
#include "common/sidecar/operations.h"

#include <stdint.h>

struct backend {
    const char *name; /* as in FOR_EACH_BACKEND */
    struct target_operations of_target;

    /*
     * @host:    for host_log(); may be NULL
     * @plan:    checked; has upstreams and both networks
     * @options: JSON object; the backend refuses what it does not know
     * @from:    a gate of this backend and this slug to take over from; NULL: none
     * @target:  out: the long form, malloc'ed
     */
    enum bottle_result (*start)(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct target *from, char **target,
                                struct failure *failure);
    /* Accepts no more connections, and ends when those that there are have ended, or after grace_ms. */
    enum bottle_result (*drain)(const struct target *target, int64_t grace_ms,
                                struct failure *failure);
    /* Drains without a time limit and releases the slug: a gate of another backend has taken over. */
    enum bottle_result (*yield)(const struct target *target, struct failure *failure);
};

/* All of them: DO(NAME, NETWORKS) for each backend_NAME, with its BOTTLE_NETWORKS_….  The first is the default. */
#define FOR_EACH_BACKEND(DO) DO(native, MACHINE) DO(docker, ENGINE)

#define DECLARE_BACKEND(name, networks) extern const struct backend backend_##name;
FOR_EACH_BACKEND(DECLARE_BACKEND)

/*
 * backend_change.c: start, taking over from a gate of another backend.
 * @from_backend: not backend
 */
enum bottle_result backend_change(const struct backend *backend, const struct bottle_host *host,
                                  const struct plan *plan, json_object *options,
                                  const struct backend *from_backend, const struct target *from,
                                  char **target, struct failure *failure);

#endif
