/* SPDX-License-Identifier: MIT */
/*
 * ssh_wire.h: the little of SSH that the relay knows: where an identification ends, and how to say
 * goodbye before keys are exchanged.
 */
#ifndef RELAY_SSH_WIRE_H
#define RELAY_SSH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Watches one direction for its identification line.  Zeroed: nothing seen. */
struct identification {
    uint8_t matched; /* characters of "SSH-" matched at the start of this line */
    bool in_line;    /* past the place where this line could still begin with "SSH-" */
    bool done;       /* a whole line that begins with "SSH-" went by */
};

/*
 * Looks at the next bytes of a direction.  RFC 4253 §4.2: a server may send other lines before the
 * line that begins with "SSH-"; a line ends with LF.
 */
void identification_scan(struct identification *identification, const char *bytes, size_t length);

/* RFC 4253 §11.1. */
#define SSH_DISCONNECT_SERVICE_NOT_AVAILABLE 7

/* The longest text that a goodbye carries; the rest is cut. */
#define SSH_GOODBYE_MAX_TEXT 512
#define SSH_GOODBYE_MAX_SIZE (SSH_GOODBYE_MAX_TEXT + 64)

/*
 * Writes what an SSH client shows its user when it arrives in place of a server's first words: an
 * identification line and one unencrypted SSH_MSG_DISCONNECT (RFC 4253 §4.2, §6, §11.1).
 * @text:   printable ASCII; other bytes become '?'
 * @buffer: at least SSH_GOODBYE_MAX_SIZE bytes
 * Returns the length.
 */
size_t ssh_goodbye(char *buffer, uint32_t reason, const char *text);

#endif
