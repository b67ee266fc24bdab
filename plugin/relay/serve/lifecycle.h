/* SPDX-License-Identifier: MIT */
/* lifecycle.h: serving, draining, and the end. */
#ifndef RELAY_SERVE_LIFECYCLE_H
#define RELAY_SERVE_LIFECYCLE_H

#include <stdint.h>

struct relay;

/* Begins to drain; grace_ms: negative: no limit.  May be called again with another one.  why: for the event */
void relay_drain(struct relay *relay, int64_t grace_ms, const char *why);
void relay_stop(struct relay *relay, const char *reason);
/* Serves until the relay is stopped or has drained; then ends what is left. */
void relay_serve(struct relay *relay);

#endif
