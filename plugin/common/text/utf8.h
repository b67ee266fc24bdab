/* SPDX-License-Identifier: MIT */
/*
 * utf8.h: UTF-8 from outside: which bytes are a character, and how much of a value a message shows.
 */
#ifndef SIDECAR_UTF8_H
#define SIDECAR_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The character at the start of text.
 * @length:     bytes that may be read, at least 1
 * @code_point: out: the character, if the sequence is valid
 * Returns the length of the sequence in bytes, 1 to 4, or 0 if it is not valid UTF-8 (RFC 3629 §3:
 * no overlong form, no surrogate, nothing above U+10FFFF).
 */
size_t utf8_decode(const char *text, size_t length, uint32_t *code_point);

/* U+0000–U+001F and U+007F–U+009F. */
bool is_control(uint32_t code_point);

/*
 * Control characters, and those that end the line or change the direction of the text around them (UAX #9, and
 * U+2028, U+2029): a terminal that gets one shows something else than was written.
 */
bool is_harmful(uint32_t code_point);

/*
 * Copies text into a buffer of size bytes so that it is one harmless line: harmful characters and bytes that
 * are no UTF-8 become \xNN.  What does not fit is cut, between two characters.
 */
void copy_harmless(char *to, size_t size, const char *text);

#define EXCERPT_BYTES 160

struct excerpt {
    char text[EXCERPT_BYTES + sizeof "…"];
};

/*
 * The start of value, so that one long value does not push the rest of a message out: EXCERPT_BYTES
 * at most, followed by "…" if anything was cut.  Returns excerpt->text.
 */
const char *excerpt_of(struct excerpt *excerpt, const char *value);

/* An excerpt that lives as long as the enclosing block: failure_set(…, "… %s …", EXCERPT(value)).
 */
#define EXCERPT(value) excerpt_of(&(struct excerpt){{0}}, (value))

#endif
