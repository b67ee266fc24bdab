/* SPDX-License-Identifier: MIT */
/*
 * event_log.h: one JSON object a line for each thing that happens (json_out.h).  Which events there are, serve/events.h
 * says; what each has, ssh_gate(7) ("EVENTS").
 *
 * Writing never waits: a line that cannot be written is counted and told of later.
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

#define EVENT_SIZE 4000 /* four host names and a message, escaped, fit */

struct event_log {
    int fd;
    int32_t max_bytes;        /* of a file */
    struct io_buffer *buffer; /* for shortening a file */
    bool in_file;             /* not a pipe or a terminal */
    bool may_shorten;         /* the file: this relay is the one that serves; control.c sets it */
    bool together;            /* the loop runs; until then each line is written at once */
    /* The lines of this turn; of so many bytes a pipe takes all or nothing (pipe(7)). */
    char lines[PIPE_BUF];
    size_t length;
    uint64_t lost;             /* since the last one that could be written */
    size_t bytes_checked;      /* written since the size of the file was looked at */
    struct watch library_text; /* what libraries print on standard error */
};

/*
 * After loop_init(); until then fd is standard error.  Moves the log away from there, and raises RLIMIT_FSIZE as far
 * as it goes.  False with errno set.
 */
bool event_log_set_up(struct event_log *log, struct loop *loop);

/* An event's members go between these two; buffer holds the line meanwhile. */
void event_begin(struct json_out *out, char buffer[EVENT_SIZE], const char *event);
void event_end(struct event_log *log, struct json_out *out);

/* An event with a message and nothing else. */
void event_notice(struct event_log *log, const char *event, const char *message);

/* Writes the lines of this turn. */
void event_log_write(struct event_log *log);

#endif
