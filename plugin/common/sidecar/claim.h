/* SPDX-License-Identifier: MIT */
/*
 * claim.h: a slug that a process holds as long as it lives, and by which anybody finds the process.
 *
 * For programs that know nothing of sidecars (detached.h).  The claim is a socket's name; the program
 * gets the socket as a descriptor that it does not know, so that the claim ends when it does.  Whatever
 * else a later status has to know goes along as an environment variable, its record.
 */
#ifndef SIDECAR_CLAIM_H
#define SIDECAR_CLAIM_H

#include "common/sidecar/target.h"

#include <json-c/json.h>
#include <sys/types.h>

#define CLAIM_FD 3 /* where the program has the claim */
/* A JSON object with the texts "sidecar", the plugin's name, "slug" and "instance". */
#define CLAIM_VARIABLE "BOTTLE_SIDECAR_RECORD"

/*
 * Takes the slug for this user and this network namespace.  BOTTLE_CONFLICT: another holds it, also in another
 * network namespace; but two that start there at once may both succeed.
 * @sidecar: the plugin's name
 * @fd:      out: CLOEXEC, and not CLAIM_FD; whoever has it open holds the claim
 */
enum bottle_result claim_take(const char *sidecar, const char *slug, int *fd,
                              struct failure *failure);

/* A process that holds a claim. */
struct holder {
    pid_t pid;
    int process_fd;      /* pidfd_open(2) */
    json_object *record; /* what it was started with */
};

void holder_clear(struct holder *holder);
#define NO_HOLDER      ((struct holder){.process_fd = -1})
#define CLEANUP_HOLDER __attribute__((cleanup(holder_clear)))

/*
 * Finds the process of this user that runs under the target, of whichever network namespace in this PID
 * namespace.  BOTTLE_NOT_FOUND: there is none, or it is just being started.
 */
enum bottle_result claim_find(const char *sidecar, const struct target *target,
                              struct holder *holder, struct failure *failure);

#endif
