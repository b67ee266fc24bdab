/* SPDX-License-Identifier: MIT */
/*
 * stage_claim.h: a stage directory belongs to one slug.
 *
 * The files in it lead one agent to one gate, so a second slug there would change what the first one's agent
 * uses.  Sidecars of one slug share the directory.  It stays that slug's until the launcher removes it, or
 * what is in it: nobody can tell from the files whether a gate still runs.
 */
#ifndef SIDECAR_STAGE_CLAIM_H
#define SIDECAR_STAGE_CLAIM_H

#include "common/text/failure.h"

#include <stdbool.h>

#define STAGE_CLAIM_FILE ".slug"

/*
 * Takes the directory for the slug, or finds that it is the slug's; for prepare.  BOTTLE_CONFLICT: it is
 * another's.
 * @made: out: it was nobody's before
 */
enum bottle_result stage_claim_take(int stage_fd, const char *stage_path, const char *slug,
                                    bool *made, struct failure *failure);

/* For start.  A directory that an earlier version prepared is nobody's. */
enum bottle_result stage_claim_check(int stage_fd, const char *stage_path, const char *slug,
                                     struct failure *failure);

/* For who failed after it made the claim. */
void stage_claim_undo(int stage_fd);

#endif
