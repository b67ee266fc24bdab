/* SPDX-License-Identifier: MIT */
/*
 * swap.h: moves a running sidecar to another build of its plugin, or to another backend.
 */
#ifndef SAMPLE_HOST_SWAP_H
#define SAMPLE_HOST_SWAP_H

#include <bottle/host.h>

struct bottle;
struct directory;
struct request;
struct sidecar;

/*
 * Moves a sidecar of a bottle that was attached to the plugin that the sidecar has now, and to the backend
 * and the networks of the request; what the request does not say stays as it is.  Keeps state.json up to
 * date.  On failure, which was reported, the old run goes on.
 * @swapped: in: the sidecar; out: the entry of the bottle that serves now
 * @text:    the bottle's JSON
 */
enum bottle_result swap_sidecar(struct bottle *bottle, struct sidecar **swapped,
                                const struct request *request, const char *text,
                                const struct directory *directory);

#endif
