/* SPDX-License-Identifier: MIT */
/* ssh_wire.c: see ssh_wire.h.  The functions use nothing but their arguments. */
#include "relay/serve/ssh_wire.h"

#include <string.h>

static const char PREFIX[4] = {'S', 'S', 'H', '-'};

void identification_scan(struct identification *identification, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length && !identification->done; i++) {
        if (bytes[i] == '\n') {
            identification->done = identification->matched == sizeof PREFIX;
            identification->matched = 0;
            identification->in_line = false;
        } else if (!identification->in_line && bytes[i] == PREFIX[identification->matched]) {
            identification->matched++;
            identification->in_line = identification->matched == sizeof PREFIX;
        } else if (!identification->in_line) {
            identification->matched = 0;
            identification->in_line = true;
        }
    }
}

static size_t put_u32(unsigned char *to, uint32_t value)
{
    to[0] = (unsigned char)(value >> 24);
    to[1] = (unsigned char)(value >> 16);
    to[2] = (unsigned char)(value >> 8);
    to[3] = (unsigned char)value;
    return 4;
}

size_t ssh_goodbye(char *buffer, uint32_t reason, const char *text)
{
    static const char IDENTIFICATION[] = "SSH-2.0-ssh_gate\r\n";
    enum { SSH_MSG_DISCONNECT = 1, BLOCK = 8, MIN_PADDING = 4 };
    const size_t identification_length = sizeof IDENTIFICATION - 1;
    size_t text_length = strnlen(text, SSH_GOODBYE_MAX_TEXT);

    memcpy(buffer, IDENTIFICATION, identification_length);

    /* uint32 packet_length, byte padding_length, payload, padding: a multiple of 8 in all (§6). */
    size_t payload_length = 1 + 4 + 4 + text_length + 4;
    size_t padding_length = BLOCK - (4 + 1 + payload_length) % BLOCK;
    if (padding_length < MIN_PADDING)
        padding_length += BLOCK;

    unsigned char *packet = (unsigned char *)buffer + identification_length;
    size_t at = put_u32(packet, (uint32_t)(1 + payload_length + padding_length));
    packet[at++] = (unsigned char)padding_length;
    packet[at++] = SSH_MSG_DISCONNECT;
    at += put_u32(packet + at, reason);
    at += put_u32(packet + at, (uint32_t)text_length);
    for (size_t i = 0; i < text_length; i++)
        packet[at++] = text[i] >= ' ' && text[i] <= '~' ? (unsigned char)text[i] : '?';
    at += put_u32(packet + at, 0);          /* language tag: none */
    memset(packet + at, 0, padding_length); /* need not be random, as nothing is encrypted yet */
    return identification_length + at + padding_length;
}
