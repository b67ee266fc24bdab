/* SPDX-License-Identifier: MIT */
/*
 * manifest.h: finds a bottle in the manifest.
 */
#ifndef SAMPLE_HOST_MANIFEST_H
#define SAMPLE_HOST_MANIFEST_H

#include <stdbool.h>

struct bottle;
struct request;

/*
 * Finds the request's bottle.
 * @bottle: out: its name, and the slug: --slug, else the name
 * @text:   out: its JSON, malloc'ed
 */
bool manifest_find(const struct request *request, struct bottle *bottle, char **text);

#endif
