/* SPDX-License-Identifier: MIT */
/*
 * grammar.c: the grammars of an entry's values, in addition to those of common/text/grammar.h.
 *
 * Each accepts only what can be written unquoted wherever the value goes: into a shell script, one
 * of socat's addresses, ssh_config, known_hosts.
 */
#include "bottle/plan.h"

#include "common/text/json_text.h"

#include <string.h>

#define MAX_TYPE       64   /* RFC 4251 §6 */
#define MAX_KEY_LENGTH 3072 /* the bytes that PLAN_HOST_KEY_SIZE base64 characters encode */

bool grammar_user(const char *text)
{
    return grammar_word(text, WORD, WORD ".@+-", PLAN_USER_SIZE);
}

bool grammar_alias(const char *text)
{
    if (grammar_hostname(text))
        return true;
    return grammar_word(text, WORD, WORD ".-", HOST_SIZE) && text[strlen(text) - 1] != '.';
}

static bool has_parent_component(const char *path)
{
    for (;;) {
        size_t length = strcspn(path, "/");
        if (length == 2 && strncmp(path, "..", 2) == 0)
            return true;
        if (path[length] == '\0')
            return false;
        path += length + 1;
    }
}

bool grammar_path(const char *text)
{
    size_t length = strnlen(text, PLAN_PATH_SIZE);

    return length > 0 && length < PLAN_PATH_SIZE && text_is_printable(text, length) &&
           text[0] != '-' && !strpbrk(text, "\"'\\$%`#") && !has_parent_component(text);
}

/* The value of a digit of base64 (RFC 4648 §4); -1: it is none. */
static int base64_value(char character)
{
    static const char alphabet[] = UPPER_CASE LOWER_CASE DIGITS "+/";
    const char *found = character == '\0' ? NULL : strchr(alphabet, character);

    return found ? (int)(found - alphabet) : -1;
}

/*
 * Decodes base64 strictly: padding is required, unused bits must be zero, no other character is
 * allowed.  Returns the number of bytes; 0: text is not base64 or does not fit.
 */
static size_t base64_decode(const char *text, unsigned char *bytes, size_t size)
{
    size_t length = strlen(text);
    size_t digits = strcspn(text, "=");
    size_t used = 0;
    unsigned bits = 0;
    unsigned bit_count = 0;

    if (length % 4 != 0 || length - digits > 2 || strspn(text + digits, "=") != length - digits)
        return 0;
    for (size_t i = 0; i < digits; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return 0;
        bits = (bits << 6 | (unsigned)value) & 0xffff;
        bit_count += 6;
        if (bit_count < 8)
            continue;
        if (used == size)
            return 0;
        bit_count -= 8;
        bytes[used++] = (unsigned char)(bits >> bit_count);
    }
    return (bits & ((1u << bit_count) - 1)) == 0 ? used : 0;
}

/* Takes one string of SSH's binary format (RFC 4251 §5) from the blob; NULL: it is truncated. */
static const unsigned char *take_field(const unsigned char **blob, size_t *left,
                                       size_t *field_length)
{
    const unsigned char *field;
    size_t length;

    if (*left < 4)
        return NULL;
    field = *blob + 4;
    length =
        (size_t)(*blob)[0] << 24 | (size_t)(*blob)[1] << 16 | (size_t)(*blob)[2] << 8 | (*blob)[3];
    if (length > *left - 4)
        return NULL;
    *blob = field + length;
    *left -= 4 + length;
    *field_length = length;
    return field;
}

/* Whether blob is a public key: its type and at least one more field, without truncation or trailing bytes. */
static bool is_key_blob(const unsigned char *blob, size_t length, const char *type,
                        size_t type_length)
{
    size_t field_length;
    size_t fields = 0;
    const unsigned char *field = take_field(&blob, &length, &field_length);

    if (!field || field_length != type_length || memcmp(field, type, type_length) != 0)
        return false;
    for (; length > 0; fields++) {
        field = take_field(&blob, &length, &field_length);
        if (!field || field_length == 0)
            return false;
    }
    return fields > 0;
}

bool grammar_host_key(const char *text)
{
    unsigned char blob[MAX_KEY_LENGTH];
    size_t type_length = strspn(text, WORD ".@-");
    size_t blob_length;

    if (strnlen(text, PLAN_HOST_KEY_SIZE) == PLAN_HOST_KEY_SIZE)
        return false;
    if (type_length == 0 || type_length > MAX_TYPE || text[type_length] != ' ')
        return false;
    blob_length = base64_decode(text + type_length + 1, blob, sizeof blob);
    return is_key_blob(blob, blob_length, text, type_length);
}
