/* SPDX-License-Identifier: MIT */
/*
 * slugs.h: the slugs of this user: which are taken, and by which bottles.
 */
#ifndef SAMPLE_HOST_SLUGS_H
#define SAMPLE_HOST_SLUGS_H

#include <stdbool.h>

struct bottle;
struct directory;
struct request;

/* Opens the directory that holds the slugs; makes it if it is missing. */
bool slugs_open(struct directory *root);

/* Takes a slug: makes and locks its directory.  What is left of sidecars that have ended is removed. */
bool slugs_claim(const struct directory *root, const char *slug, const struct request *request,
                 struct directory *directory);

/* What to do with a bottle as state.json has it; its directory is not locked. */
typedef bool (*slug_visit)(void *context, struct directory *directory, struct bottle *bottle);

/*
 * Visits the bottles that the request names: BOTTLE and --slug, or all, in the order of their slugs.  Goes
 * on after an error, and returns false at the end.
 */
bool slugs_walk(const struct directory *root, const struct request *request, slug_visit visit,
                void *context);

/* Says on standard error that the request's bottle is not up, and which are. */
void slugs_say_not_up(const struct directory *root, const struct request *request);

#endif
