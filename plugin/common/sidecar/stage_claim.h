/* SPDX-License-Identifier: MIT */
/*
 * stage_claim.h: the claim of a slug on a stage directory.
 *
 * The files in a stage directory belong to one agent, so a second slug must not overwrite them.  The sidecars of
 * one slug share the directory.  It is claimed until the launcher removes it or its files, because the files do
 * not tell whether a gate still runs.
 */
#ifndef SIDECAR_STAGE_CLAIM_H
#define SIDECAR_STAGE_CLAIM_H

#include "common/text/failure.h"

#include <stdbool.h>

#define STAGE_CLAIM_FILE ".slug"

/*
 * For prepare: claims the directory for the slug, unless that has claimed it already.  BOTTLE_CONFLICT: another slug
 * has claimed it.
 * @made: out: this call made the claim
 */
enum bottle_result stage_claim_take(int stage_fd, const char *stage_path, const char *slug,
                                    bool *made, struct failure *failure);

/* For start: BOTTLE_CONFLICT as above; a directory without a claim, prepared by an earlier version, is accepted. */
enum bottle_result stage_claim_check(int stage_fd, const char *stage_path, const char *slug,
                                     struct failure *failure);

/* Removes the claim, for a caller that made it and then failed. */
void stage_claim_undo(int stage_fd);

#endif
