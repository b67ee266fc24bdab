/* SPDX-License-Identifier: MIT */
/* bottle_object.h: the bottle that a prepare is given, as an object. */
#ifndef SIDECAR_BOTTLE_OBJECT_H
#define SIDECAR_BOTTLE_OBJECT_H

#include "common/text/failure.h"

#include <json-c/json.h>

/*
 * Parses a bottle as json_text_parse() does.
 *
 * BOTTLE_INVALID also for what is evidently something else of a manifest: the manifest itself, an agent, a
 * bottle inside an object that has its name.  Each of them would pass for a bottle that asks nothing of this
 * sidecar, because any other key belongs to another sidecar.
 */
enum bottle_result bottle_object_parse(const char *text, json_object **bottle,
                                       struct failure *failure);

#endif
