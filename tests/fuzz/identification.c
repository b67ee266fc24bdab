/* SPDX-License-Identifier: MIT */
/*
 * identification.c: the SSH identification in a stream, and what the relay itself says in SSH.
 *
 * Where the stream is cut must not matter.  The first byte of an input says where.
 */
#include "relay/serve/ssh_wire.h"

#include "fuzz.h"

/* The same question, asked of the whole. */
static bool has_identification(const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        const uint8_t *end = memchr(bytes, '\n', length);
        if (!end)
            return false;
        if (end - bytes >= 4 && memcmp(bytes, "SSH-", 4) == 0)
            return true;
        length -= (size_t)(end + 1 - bytes);
        bytes = end + 1;
    }
    return false;
}

static uint32_t u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* RFC 4253 §6: uint32 packet_length, byte padding_length, payload, padding. */
static void check_goodbye(const char *text)
{
    char *buffer = malloc(SSH_GOODBYE_MAX_SIZE);

    REQUIRE(buffer);
    size_t length = ssh_goodbye(buffer, SSH_DISCONNECT_SERVICE_NOT_AVAILABLE, text);
    REQUIRE(length <= SSH_GOODBYE_MAX_SIZE && has_identification((uint8_t *)buffer, length));
    const unsigned char *packet = memchr(buffer, '\n', length);
    packet++;
    size_t packet_length = length - (size_t)((const char *)packet - buffer);
    REQUIRE(packet_length % 8 == 0 && u32(packet) == packet_length - 4);
    uint32_t text_length = u32(packet + 10);
    REQUIRE(packet[4] >= 4 && packet[5] == 1 && text_length == strnlen(text, SSH_GOODBYE_MAX_TEXT));
    REQUIRE(4 + 1 + 1 + 4 + 4 + text_length + 4 + packet[4] == packet_length);
    REQUIRE(text_is_printable((const char *)packet + 14, text_length));
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct identification identification = {0};
    size_t piece = size > 0 ? data[0] + (size_t)1 : 1;

    for (size_t at = 1; at < size; at += piece)
        identification_scan(&identification, (const char *)data + at,
                            size - at < piece ? size - at : piece);
    REQUIRE(identification.done == (size > 0 && has_identification(data + 1, size - 1)));

    char *text = fuzz_text(data, size);
    check_goodbye(text);
    free(text);
    return 0;
}
