/* SPDX-License-Identifier: MIT */
/*
 * claim.h: a claim on a slug, which a process holds as long as it runs, and by which the process is found.
 *
 * It is for programs that know nothing of sidecars.  The claim is the name of a socket.  The program inherits
 * the socket, which it does not use, so the claim ends with the program.  What a later status needs is passed
 * to the program in an environment variable, the record.
 */
#ifndef SIDECAR_CLAIM_H
#define SIDECAR_CLAIM_H

#include "common/sidecar/target.h"

#include <json-c/json.h>
#include <sys/types.h>

#define CLAIM_FD 3 /* the descriptor of the claim in the program */
/* A JSON object with at least the strings "sidecar" (the plugin's name), "slug" and "instance". */
#define CLAIM_VARIABLE "BOTTLE_SIDECAR_RECORD"

/*
 * Claims the slug for this user in this network namespace.  BOTTLE_CONFLICT: another process holds it, in this or
 * another network namespace.  Two that start at once in different namespaces may both succeed.
 * @sidecar: the plugin's name
 * @fd:      out: CLOEXEC, and not CLAIM_FD; the claim is held as long as it is open in any process
 */
enum bottle_result claim_take(const char *sidecar, const char *slug, int *fd,
                              struct failure *failure);

/* A process that holds a claim. */
struct holder {
    pid_t pid;
    int process_fd;      /* pidfd_open(2) */
    json_object *record; /* from its environment */
};

void holder_clear(struct holder *holder);
#define NO_HOLDER      ((struct holder){.process_fd = -1})
#define CLEANUP_HOLDER __attribute__((cleanup(holder_clear)))

/*
 * Finds this user's process of that target, in any network namespace but this PID namespace only.
 * BOTTLE_NOT_FOUND: there is none, or it is just being started.
 */
enum bottle_result claim_find(const char *sidecar, const struct target *target,
                              struct holder *holder, struct failure *failure);

#endif
