/* SPDX-License-Identifier: MIT */
/*
 * grammar.c: what the values of an entry may look like, beside those that every sidecar has
 * (common/text/grammar.h).
 *
 * Each function accepts exactly what is safe, as it is, everywhere the value goes: a shell script,
 * socat's address syntax, ssh_config, known_hosts.
 */
#include "bottle/plan.h"

#include "common/text/json_text.h"

#include <string.h>

#define MAX_TYPE    64   /* RFC 4251 §6 */
#define MAX_KEY_LEN 3072 /* bytes of which PLAN_HOST_KEY_SIZE characters of base64 are made */

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
        size_t len = strcspn(path, "/");
        if (len == 2 && strncmp(path, "..", 2) == 0)
            return true;
        if (path[len] == '\0')
            return false;
        path += len + 1;
    }
}

bool grammar_path(const char *text)
{
    size_t len = strnlen(text, PLAN_PATH_SIZE);

    return len > 0 && len < PLAN_PATH_SIZE && text_is_printable(text, len) && text[0] != '-' &&
           strpbrk(text, "\"'\\$%`#") == NULL && !has_parent_component(text);
}

/* -1 if the character is not of the base64 alphabet (RFC 4648 §4). */
static int base64_value(char character)
{
    static const char alphabet[] = UPPER_CASE LOWER_CASE DIGITS "+/";
    const char *found = character == '\0' ? NULL : strchr(alphabet, character);

    return found == NULL ? -1 : (int)(found - alphabet);
}

/*
 * Decodes base64 strictly: padding where it belongs, no bit set that is not used, nothing else.
 * Returns the number of bytes, 0 if text is not base64 or does not fit.
 */
static size_t base64_decode(const char *text, unsigned char *bytes, size_t size)
{
    size_t len = strlen(text);
    size_t digits = strcspn(text, "=");
    size_t used = 0;
    unsigned bits = 0;
    unsigned bit_count = 0;

    if (len % 4 != 0 || len - digits > 2 || strspn(text + digits, "=") != len - digits)
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

/* Takes one string of SSH's binary format (RFC 4251 §5) from the blob; NULL if it is cut short. */
static const unsigned char *take_field(const unsigned char **blob, size_t *left, size_t *field_len)
{
    const unsigned char *field;
    size_t len;

    if (*left < 4)
        return NULL;
    field = *blob + 4;
    len =
        (size_t)(*blob)[0] << 24 | (size_t)(*blob)[1] << 16 | (size_t)(*blob)[2] << 8 | (*blob)[3];
    if (len > *left - 4)
        return NULL;
    *blob = field + len;
    *left -= 4 + len;
    *field_len = len;
    return field;
}

/* A public key is its type and at least one field more, to the last byte: a key that was cut is
 * not. */
static bool is_key_blob(const unsigned char *blob, size_t len, const char *type, size_t type_len)
{
    size_t field_len;
    size_t fields = 0;
    const unsigned char *field = take_field(&blob, &len, &field_len);

    if (field == NULL || field_len != type_len || memcmp(field, type, type_len) != 0)
        return false;
    for (; len > 0; fields++) {
        field = take_field(&blob, &len, &field_len);
        if (field == NULL || field_len == 0)
            return false;
    }
    return fields > 0;
}

bool grammar_host_key(const char *text)
{
    unsigned char blob[MAX_KEY_LEN];
    size_t type_len = strspn(text, WORD ".@-");
    size_t blob_len;

    if (strnlen(text, PLAN_HOST_KEY_SIZE) == PLAN_HOST_KEY_SIZE)
        return false;
    if (type_len == 0 || type_len > MAX_TYPE || text[type_len] != ' ')
        return false;
    blob_len = base64_decode(text + type_len + 1, blob, sizeof blob);
    return is_key_blob(blob, blob_len, text, type_len);
}
