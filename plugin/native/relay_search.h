/* SPDX-License-Identifier: MIT */
/*
 * relay_search.h: finding relays as processes, in any network namespace and of any user.
 *
 * Only those in this process's PID namespace are found, so not relays in containers.  If /proc hides the
 * processes of others (hidepid, proc(5)), it also hides this user's relays, unless the caller is root.
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
    bool has_slug;        /* it has not released the slug */
};

void relay_process_close(struct relay_process *process);
#define NO_RELAY_PROCESS      ((struct relay_process){.fd = -1})
#define CLEANUP_RELAY_PROCESS __attribute__((cleanup(relay_process_close)))

struct relay_search {
    const struct target *of;
    DIR *processes;
    int error; /* the errno value of a relay that could not be examined; 0: none */
};

void relay_search_end(const struct relay_search *search);
#define CLEANUP_RELAY_SEARCH __attribute__((cleanup(relay_search_end)))

/* of: without an instance, every relay of the slug.  Fails if /proc is not that of this PID namespace. */
enum bottle_result relay_search_begin(struct relay_search *search, const struct target *of,
                                      struct failure *failure);
/* Whether there may be relays that /proc hides from this user. */
bool relay_search_is_blind(void);
/*
 * Finds the next relay, which was still running after it was examined.
 * @found: in: NO_RELAY_PROCESS or the previous relay, which is closed; out: the next one
 */
bool relay_search_next(struct relay_search *search, struct relay_process *found);

#endif
