/* SPDX-License-Identifier: MIT */
/*
 * prepare.h: the operation prepare of bottle/sidecar.h, on plain arguments.
 */
#ifndef SSH_GATE_PREPARE_H
#define SSH_GATE_PREPARE_H

#include "bottle/plan.h"
#include "common/text/failure.h"

/*
 * @bottle, @slug, @stage_dir: as in struct bottle_prepare; NULL is an error like any other wrong
 * value
 * @plan:                      out: the plan's JSON text, malloc'ed; NULL on failure
 *
 * Writes ENTRYPOINT_FILE (mode 600), SSH_CONFIG_FILE and KNOWN_HOSTS_FILE (mode 644) into the stage
 * dir, all of them or none.  Leaves the last two as they are where they are there: an agent may be
 * using them, with a gate that is yet to be taken over from.
 */
enum bottle_result gate_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **plan, struct failure *failure);

/*
 * What is left for start: writes SSH_CONFIG_FILE, now with the gate's address, and KNOWN_HOSTS_FILE.
 * @stage_fd: the plan's stage dir
 */
enum bottle_result agent_files_write(const struct plan *plan, int stage_fd,
                                     const char *gate_address, struct failure *failure);

/* What was there before; each malloc'ed, NULL where there was no such file. */
struct agent_files {
    char *ssh_config, *known_hosts;
};
void agent_files_clear(struct agent_files *files);
#define CLEANUP_AGENT_FILES __attribute__((cleanup(agent_files_clear)))

/* *files must be zeroed. */
enum bottle_result agent_files_read(const struct plan *plan, int stage_fd,
                                    struct agent_files *files, struct failure *failure);
/* What there was none of stays as it is.  The host is told where that cannot be done. */
void agent_files_restore(const struct bottle_host *host, const struct plan *plan, int stage_fd,
                         const struct agent_files *files);

#endif
