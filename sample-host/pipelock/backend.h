/* SPDX-License-Identifier: MIT */
/*
 * backend.h: a way to run pipelock.
 */
#ifndef PIPELOCK_BACKEND_H
#define PIPELOCK_BACKEND_H

#include "plan.h"

struct pipelock_backend {
    struct target_operations of_target; /* of a run that was started */
    /* @instance: the name of this run, new for each */
    enum bottle_result (*start)(const struct bottle_host *host, const struct pipelock_plan *plan,
                                json_object *options, const char *instance,
                                struct failure *failure);
};

/* All of them: DO(NAME, NETWORKS) for each pipelock_NAME, with its BOTTLE_NETWORKS_….  The first is the default. */
#define FOR_EACH_BACKEND(DO) DO(native, MACHINE) DO(docker, ENGINE)

#define DECLARE_BACKEND(name, networks) extern const struct pipelock_backend pipelock_##name;
FOR_EACH_BACKEND(DECLARE_BACKEND)

#endif
