/* SPDX-License-Identifier: MIT */
/* json_out.c: see json_out.h. */
#include "relay/base/json_out.h"

#include "common/text/utf8.h"

#include <string.h>

void json_out_init(struct json_out *out, char *buffer, size_t size)
{
    *out = (struct json_out){.buffer = buffer, .size = size};
}

static void put(struct json_out *out, const char *text, size_t length)
{
    if (length > out->size - out->length) {
        out->overflow = true;
        return;
    }
    memcpy(out->buffer + out->length, text, length);
    out->length += length;
}

/* The number of characters at the start of text that need no escaping; usually that is all of them. */
static size_t plain_length(const char *text)
{
    size_t length = 0;

    while (text[length] >= ' ' && text[length] < 0x7f && text[length] != '"' &&
           text[length] != '\\')
        length++;
    return length;
}

static void put_quoted(struct json_out *out, const char *value)
{
    size_t plain = plain_length(value);
    size_t left = strlen(value + plain);

    put(out, "\"", 1);
    put(out, value, plain);
    value += plain;
    while (left > 0 && !out->overflow) {
        uint32_t code_point = 0;
        size_t length = utf8_decode(value, left, &code_point);
        static const char digits[] = "0123456789abcdef";

        if (length == 0) {
            put(out, "\xef\xbf\xbd", 3);
            length = 1;
        } else if (code_point == '"' || code_point == '\\') {
            put(out, "\\", 1);
            put(out, value, 1);
        } else if (is_control(code_point)) {
            const char escape[] = {'\\',
                                   'u',
                                   digits[code_point >> 12 & 15],
                                   digits[code_point >> 8 & 15],
                                   digits[code_point >> 4 & 15],
                                   digits[code_point & 15]};
            put(out, escape, sizeof escape);
        } else {
            put(out, value, length);
        }
        value += length;
        left -= length;
    }
    put(out, "\"", 1);
}

static void put_key(struct json_out *out, const char *key)
{
    if (out->needs_comma)
        put(out, ",", 1);
    out->needs_comma = true;
    if (key) {
        put_quoted(out, key);
        put(out, ":", 1);
    }
}

void json_out_begin(struct json_out *out, const char *key, char kind)
{
    put_key(out, key);
    put(out, &kind, 1);
    out->needs_comma = false;
}

void json_out_end(struct json_out *out, char kind)
{
    put(out, &kind, 1);
    out->needs_comma = true;
}

void json_out_string(struct json_out *out, const char *key, const char *value)
{
    put_key(out, key);
    put_quoted(out, value);
}

void json_out_integer(struct json_out *out, const char *key, int64_t value)
{
    char text[24], *digit = text + sizeof text;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        *--digit = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *--digit = '-';
    put_key(out, key);
    put(out, digit, (size_t)(text + sizeof text - digit));
}

void json_out_null(struct json_out *out, const char *key)
{
    put_key(out, key);
    put(out, "null", 4);
}
