/* SPDX-License-Identifier: MIT */
/* json_scan.h: checking strictly that a text is one JSON object (RFC 8259). */
#ifndef SIDECAR_JSON_SCAN_H
#define SIDECAR_JSON_SCAN_H

#include "common/text/failure.h"

#include <json-c/json.h>

/*
 * BOTTLE_INVALID, with the position and the reason, for what json_text_parse() refuses (json_text.h), except
 * for the length.
 * @tokener: used to decode keys; of a depth of at least 1
 */
enum bottle_result json_scan(const char *what, const char *text, json_tokener *tokener,
                             struct failure *failure);

#endif
