/* SPDX-License-Identifier: MIT */
/*
 * prepare.h: the operation prepare of bottle/sidecar.h, on plain arguments.
 */
#ifndef SSH_GATE_PREPARE_H
#define SSH_GATE_PREPARE_H

#include "common/failure.h"
#include "plan.h"

/*
 * @bottle, @slug, @stage_dir: as in struct bottle_prepare; NULL is an error like any other wrong
 * value
 * @plan:                      out: the plan's JSON text, malloc'ed; NULL on failure
 *
 * Writes ENTRYPOINT_FILE (mode 600), SSH_CONFIG_FILE and KNOWN_HOSTS_FILE (mode 644) into the stage
 * dir, all of them or none.
 */
enum bottle_result gate_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **plan, struct failure *failure);

/*
 * What is left for start: writes SSH_CONFIG_FILE again, now with the gate's address.
 * @stage_fd: the plan's stage dir
 */
enum bottle_result gate_write_ssh_config(const struct plan *plan, int stage_fd,
                                         const char *gate_address, struct failure *failure);

#endif
