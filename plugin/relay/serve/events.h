/* SPDX-License-Identifier: MIT */
/* events.h: one line each in the event log (base/event_log.h), at the end of the turn. */
#ifndef RELAY_EVENTS_H
#define RELAY_EVENTS_H

#include "wire/limit_names.h"

#include <stdint.h>

struct connection;
struct limits;
struct relay;

void event_started(struct relay *relay);
void event_open(const struct connection *connection);
void event_close(const struct connection *connection, const char *ended_by, const char *reason);
void event_refused(const struct connection *connection, const char *reason, const char *message);
void event_limit_reached(const struct limits *limits, enum relay_limit limit, const char *message);
void event_limit_over(const struct limits *limits, enum relay_limit limit, uint64_t refused,
                      int64_t duration_ms);
/* The last one, written at once; for a signal handler.  system_call: NULL if it has no name here. */
void event_violation(struct relay *relay, const char *system_call, int number);
void event_stopped(struct relay *relay);

#endif
