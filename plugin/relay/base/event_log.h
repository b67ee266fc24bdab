/* SPDX-License-Identifier: MIT */
/*
 * event_log.h: the event log: one JSON object a line (json_out.h).  serve/events.h lists the events; ssh_gate(7)
 * ("EVENTS") describes their members.
 *
 * Writing never blocks.  Lines that cannot be written are counted, and a later line gives their number.
 */
#ifndef RELAY_EVENT_LOG_H
#define RELAY_EVENT_LOG_H

#include "relay/base/io_buffer.h"
#include "relay/base/json_out.h"
#include "relay/base/loop.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_SIZE 4000 /* enough for four host names and a message, escaped */

struct event_log {
    int fd;
    int32_t max_bytes;        /* of a file */
    struct io_buffer *buffer; /* for shortening a file */
    bool in_file;             /* not a pipe or a terminal */
    bool may_shorten;         /* this relay serves the slug; set by control.c */
    bool together;            /* lines are written once a turn; before the loop runs, at once */
    /* The lines of this turn; at most as many bytes as a pipe takes atomically (pipe(7)). */
    char lines[PIPE_BUF];
    size_t length;
    uint64_t lost;             /* lines lost since the last one that was written */
    size_t bytes_checked;      /* written since the size of the file was checked */
    struct watch library_text; /* what libraries print on standard error */
};

/*
 * After loop_init(); until then fd is standard error.  Moves the log away from there, and raises RLIMIT_FSIZE as far
 * as it goes.  False with errno set.
 */
bool event_log_set_up(struct event_log *log, struct loop *loop);

/* Begins and ends an event; the caller writes its members in between.  buffer: for the line */
void event_begin(struct json_out *out, char buffer[EVENT_SIZE], const char *event);
void event_end(struct event_log *log, struct json_out *out);

/* An event with a message only. */
void event_notice(struct event_log *log, const char *event, const char *message);

/* Writes the lines of this turn. */
void event_log_write(struct event_log *log);

#endif
