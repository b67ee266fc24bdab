/* SPDX-License-Identifier: MIT */
/* json_scan.h: whether a text is one JSON object, by the letter of RFC 8259. */
#ifndef SIDECAR_JSON_SCAN_H
#define SIDECAR_JSON_SCAN_H

#include "common/text/failure.h"

#include <json-c/json.h>

/*
 * BOTTLE_INVALID, with place and reason, for what json_text_parse() refuses (json_text.h), its length aside.
 * @tokener: for keys; of a depth of 1 at least, and not in use
 */
enum bottle_result json_scan(const char *what, const char *text, json_tokener *tokener,
                             struct failure *failure);

#endif
