/* SPDX-License-Identifier: MIT */
/*
 * backend.h: where a gate runs.  entry.c checks what is common to all and calls one of these.
 */
#ifndef SSH_GATE_BACKEND_H
#define SSH_GATE_BACKEND_H

#include "common/failure.h"
#include "plan.h"

#include <stdint.h>

#define TARGET_INSTANCE_SIZE 32

/* BACKEND:SLUG[:INSTANCE], taken apart; the backend's name is found in the backend. */
struct target {
    char slug[PLAN_SLUG_SIZE];
    char instance[TARGET_INSTANCE_SIZE]; /* "": whichever runs under the slug */
};

struct backend;

/* A running gate that a new one takes over from, of the same slug. */
struct takeover_from {
    const struct backend *backend;
    struct target target;
};

struct backend {
    const char *name;

    /*
     * @host:    for host_log(); may be NULL
     * @plan:    checked; has upstreams and both networks
     * @options: JSON object; the backend refuses what it does not know
     * @from:    NULL: takes over from nothing.  A backend refuses those that it cannot take over from:
     *           takeover_unsupported()
     * @target:  out: the long form, malloc'ed
     */
    enum bottle_result (*start)(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct takeover_from *from,
                                char **target, struct failure *failure);
    enum bottle_result (*stop)(const struct target *target, struct failure *failure);
    enum bottle_result (*drain)(const struct target *target, int64_t grace_ms,
                                struct failure *failure);
    /* status: out: JSON object with the members of bottle/sidecar.h but "sidecar" and "backend". */
    enum bottle_result (*status)(const struct target *target, json_object **status,
                                 struct failure *failure);
};

extern const struct backend backend_native, backend_docker;

/* BOTTLE_UNSUPPORTED, with a message; entry.c. */
enum bottle_result takeover_unsupported(const struct backend *to, const struct takeover_from *from,
                                        struct failure *failure);

#endif
