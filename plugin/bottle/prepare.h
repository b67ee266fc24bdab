/* SPDX-License-Identifier: MIT */
/*
 * prepare.h: the operation prepare of bottle/sidecar.h, on plain arguments.
 */
#ifndef SSH_GATE_PREPARE_H
#define SSH_GATE_PREPARE_H

#include "bottle/plan.h"
#include "common/text/failure.h"

/*
 * Makes the plan, and writes ENTRYPOINT_FILE (mode 600), SSH_CONFIG_FILE and KNOWN_HOSTS_FILE (mode 644)
 * into the stage dir, all of them or none.  If the last two exist already they are kept, as an agent
 * may use them, with a gate from which the next start takes over.
 * @bottle, @slug, @stage_dir: as in struct bottle_prepare; NULL is BOTTLE_INVALID
 * @plan:                      out: the plan's JSON text, malloc'ed; NULL on failure
 */
enum bottle_result gate_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **plan, struct failure *failure);

/*
 * For start: writes SSH_CONFIG_FILE, now with the gate's address, and KNOWN_HOSTS_FILE.
 * @stage_fd: the plan's stage dir
 */
enum bottle_result agent_files_write(const struct plan *plan, int stage_fd,
                                     const char *gate_address, struct failure *failure);

/* The contents of the agent's files before a takeover; each malloc'ed, NULL: the file did not exist. */
struct agent_files {
    char *ssh_config, *known_hosts;
};
void agent_files_clear(struct agent_files *files);
#define CLEANUP_AGENT_FILES __attribute__((cleanup(agent_files_clear)))

/* files: out: zeroed by the caller */
enum bottle_result agent_files_read(const struct plan *plan, int stage_fd,
                                    struct agent_files *files, struct failure *failure);
/* Writes the files back.  One that did not exist is not removed.  On failure a warning is logged. */
void agent_files_restore(const struct bottle_host *host, const struct plan *plan, int stage_fd,
                         const struct agent_files *files);

#endif
