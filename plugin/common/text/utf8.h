/* SPDX-License-Identifier: MIT */
/*
 * utf8.h: decoding UTF-8 from outside, and making text safe and short enough for a message.
 */
#ifndef SIDECAR_UTF8_H
#define SIDECAR_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the character at the start of text.
 * @length:     bytes that may be read, at least 1
 * @code_point: out: the character, if the sequence is valid
 * Returns the length of the sequence in bytes, 1 to 4, or 0 if it is not valid UTF-8 (RFC 3629 §3:
 * no overlong form, no surrogate, nothing above U+10FFFF).
 */
size_t utf8_decode(const char *text, size_t length, uint32_t *code_point);

/* U+0000–U+001F and U+007F–U+009F. */
bool is_control(uint32_t code_point);

/*
 * Control characters, and those that end the line (U+2028, U+2029) or change the direction of the text around
 * them (UAX #9).  With them a terminal may show something else than was written.
 */
bool is_harmful(uint32_t code_point);

/*
 * Copies text into a buffer of size bytes, with harmful characters and bytes of invalid UTF-8 written as \xNN.
 * Longer text is cut between two characters.
 */
void copy_harmless(char *to, size_t size, const char *text);

#define EXCERPT_BYTES 160

struct excerpt {
    char text[EXCERPT_BYTES + sizeof "…"];
};

/*
 * Copies at most EXCERPT_BYTES of value, followed by "…" if it was cut, so that a long value leaves room for
 * the rest of a message.  Returns excerpt->text.
 */
const char *excerpt_of(struct excerpt *excerpt, const char *value);

/* An excerpt, valid until the end of the enclosing block: failure_set(…, "… %s …", EXCERPT(value)). */
#define EXCERPT(value) excerpt_of(&(struct excerpt){{0}}, (value))

#endif
