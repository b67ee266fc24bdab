/* SPDX-License-Identifier: MIT */
/* bottle_object.h: parsing the bottle that prepare gets. */
#ifndef SIDECAR_BOTTLE_OBJECT_H
#define SIDECAR_BOTTLE_OBJECT_H

#include "common/text/failure.h"

#include <json-c/json.h>

/*
 * Parses a bottle as json_text_parse() does.
 *
 * BOTTLE_INVALID also for what is evidently another part of a manifest: the whole manifest, an agent, or an
 * object that has the bottle as a member.  As unknown keys belong to other sidecars, each would otherwise pass
 * for a bottle without entries.
 */
enum bottle_result bottle_object_parse(const char *text, json_object **bottle,
                                       struct failure *failure);

#endif
