/* SPDX-License-Identifier: MIT */
/*
 * relay_search.h: the processes of relays, whatever network namespace they are in and whoever's they are.
 *
 * Only those of this process's own PID namespace: a relay in a container is that container's.  Where /proc
 * hides the processes of others (hidepid, proc(5)), it hides the relays of this user too, unless it is root.
 */
#ifndef SSH_GATE_RELAY_SEARCH_H
#define SSH_GATE_RELAY_SEARCH_H

#include "common/sidecar/target.h"
#include "common/text/failure.h"

#include <dirent.h>
#include <stdbool.h>
#include <sys/types.h>

struct relay_process {
    pid_t pid;
    int fd; /* pidfd_open(2) */
    uid_t uid;
    struct target target; /* with its instance */
    bool has_slug;        /* it has not let it go */
};

void relay_process_close(struct relay_process *process);
#define NO_RELAY_PROCESS      ((struct relay_process){.fd = -1})
#define CLEANUP_RELAY_PROCESS __attribute__((cleanup(relay_process_close)))

struct relay_search {
    const struct target *of;
    DIR *processes;
    int error; /* why a relay that was there could not be looked at; 0: there was none */
};

void relay_search_end(const struct relay_search *search);
#define CLEANUP_RELAY_SEARCH __attribute__((cleanup(relay_search_end)))

/* of: without an instance: every relay of the slug.  Fails where there is no /proc of this PID namespace. */
enum bottle_result relay_search_begin(struct relay_search *search, const struct target *of,
                                      struct failure *failure);
/* Whether relays may run that are not found, as /proc hides them from this user. */
bool relay_search_is_blind(void);
/*
 * What is found was running when this returned.
 * @found: in: nothing, or the one before, which is closed; out: the next one
 */
bool relay_search_next(struct relay_search *search, struct relay_process *found);

#endif
