/* SPDX-License-Identifier: MIT */
/*
 * state.h: state.json, which says what runs under a slug.
 */
#ifndef SAMPLE_HOST_STATE_H
#define SAMPLE_HOST_STATE_H

#include <json-c/json.h>
#include <stdbool.h>

struct bottle;
struct directory;

/* The JSON of state.json; NULL after an error that was reported. */
json_object *state_object(const struct bottle *bottle);
bool state_save(const struct directory *directory, const struct bottle *bottle);

/*
 * Reads the state.json of a slug's directory.  A directory without one was left by a launcher that was
 * killed before it started anything: it counts as a bottle of the slug's name, without sidecars.
 */
bool state_load(const struct directory *directory, struct bottle *bottle);

#endif
