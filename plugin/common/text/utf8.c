/* SPDX-License-Identifier: MIT */
/*
 * utf8.c: see utf8.h.
 *
 * The C library's decoders depend on the locale, which is the host's.
 */
#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>

size_t utf8_decode(const char *text, size_t length, uint32_t *code_point)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800,
                                      0x10000}; /* by length; anything lower is overlong */
    const unsigned char *bytes = (const unsigned char *)text;
    uint32_t value = bytes[0];
    size_t sequence;

    if (value < 0x80) {
        *code_point = value;
        return 1;
    }
    if ((value & 0xe0) == 0xc0)
        sequence = 2;
    else if ((value & 0xf0) == 0xe0)
        sequence = 3;
    else if ((value & 0xf8) == 0xf0)
        sequence = 4;
    else
        return 0;
    if (sequence > length)
        return 0;

    value &= 0xffu >> (sequence + 1);
    for (size_t i = 1; i < sequence; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < lowest[sequence] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code_point = value;
    return sequence;
}

bool is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
}

bool is_harmful(uint32_t code_point)
{
    return is_control(code_point) || code_point == 0x61c || code_point == 0x200e ||
           code_point == 0x200f || (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2066 && code_point <= 0x2069);
}

void copy_harmless(char *to, size_t size, const char *text)
{
    size_t length = strlen(text);
    size_t used = 0;

    while (length > 0) {
        char escaped[sizeof "\\xff\\xff\\xff\\xff"];
        const char *piece = text;
        uint32_t code_point;
        size_t taken = utf8_decode(text, length, &code_point);
        size_t piece_length = taken;

        if (taken == 0 || is_harmful(code_point)) {
            taken = taken == 0 ? 1 : taken;
            piece = escaped;
            piece_length = 0;
            for (size_t i = 0; i < taken; i++)
                piece_length +=
                    (size_t)snprintf(escaped + piece_length, sizeof escaped - piece_length,
                                     "\\x%02x", (unsigned char)text[i]);
        }
        if (used + piece_length >= size)
            break;
        memcpy(to + used, piece, piece_length);
        used += piece_length;
        text += taken;
        length -= taken;
    }
    to[used] = '\0';
}

const char *excerpt_of(struct excerpt *excerpt, const char *value)
{
    size_t length = strnlen(value, EXCERPT_BYTES + 1);
    const char *mark = "";

    if (length > EXCERPT_BYTES) {
        length = EXCERPT_BYTES;
        while (length > EXCERPT_BYTES - 3 && ((unsigned char)value[length] & 0xc0) == 0x80)
            length--;
        mark = "…";
    }
    memcpy(excerpt->text, value, length);
    memcpy(excerpt->text + length, mark, strlen(mark) + 1);
    return excerpt->text;
}
