/* SPDX-License-Identifier: MIT */
/*
 * ssh_wire.h: the part of SSH that the relay implements: recognizing an identification, and disconnecting
 * before the key exchange.
 */
#ifndef RELAY_SSH_WIRE_H
#define RELAY_SSH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Watches one direction for its identification line.  Zeroed: nothing seen. */
struct identification {
    uint8_t matched; /* characters of "SSH-" matched at the start of this line */
    bool in_line;    /* this line can no longer begin with "SSH-" */
    bool done;       /* a whole line that begins with "SSH-" has passed */
};

/*
 * Examines the next bytes of a direction.  RFC 4253 §4.2: a server may send other lines before the
 * line that begins with "SSH-"; a line ends with LF.
 */
void identification_scan(struct identification *identification, const char *bytes, size_t length);

/* RFC 4253 §11.1. */
#define SSH_DISCONNECT_SERVICE_NOT_AVAILABLE 7

/* Longer texts are cut. */
#define SSH_GOODBYE_MAX_TEXT 512
#define SSH_GOODBYE_MAX_SIZE (SSH_GOODBYE_MAX_TEXT + 64)

/*
 * Writes what a server sends to disconnect a client at once, and the client shows to its user: an
 * identification line and one unencrypted SSH_MSG_DISCONNECT (RFC 4253 §4.2, §6, §11.1).
 * @text:   printable ASCII; other bytes become '?'
 * @buffer: at least SSH_GOODBYE_MAX_SIZE bytes
 * Returns the length.
 */
size_t ssh_goodbye(char *buffer, uint32_t reason, const char *text);

#endif
