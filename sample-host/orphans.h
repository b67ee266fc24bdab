/* SPDX-License-Identifier: MIT */
/*
 * orphans.h: what is left in the engine of slugs that are not up.
 */
#ifndef SAMPLE_HOST_ORPHANS_H
#define SAMPLE_HOST_ORPHANS_H

#include <stdbool.h>

struct directory;
struct request;

/* Removes this user's containers and networks of slugs that have no directory; prints which. */
bool orphans_remove(const struct directory *root, const struct request *request);

#endif
