/* SPDX-License-Identifier: MIT */
/*
 * record.h: the record of a run, which goes along with it.
 */
#ifndef PIPELOCK_RECORD_H
#define PIPELOCK_RECORD_H

#include "plan.h"

#include <stdint.h>

#define PROXY_PORT 8888

/*
 * What status has to know of a run.  The process has it as an environment variable, the container as a
 * label.  NULL when memory ran out.
 */
json_object *make_record(const struct pipelock_plan *plan, const char *instance,
                         const char *address);

/* Makes the status of a run from its record; as in struct target_operations. */
enum bottle_result make_status(const char *backend, const char *slug, json_object *record,
                               int64_t uptime_ms, json_object **status, struct failure *failure);

#endif
