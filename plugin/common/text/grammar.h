/* SPDX-License-Identifier: MIT */
/*
 * grammar.h: what the values that every sidecar has may look like.
 *
 * A value that fits is safe as it is in a shell script, a configuration file, a file name, a container's
 * name.  One that does not is refused; nothing is ever quoted or escaped.  Letters and digits are
 * ASCII's, whatever the locale.  Each function is true only for a whole, non-empty value.
 */
#ifndef SIDECAR_GRAMMAR_H
#define SIDECAR_GRAMMAR_H

#include "common/text/failure.h"

#include <stdbool.h>
#include <stddef.h>

#define LOWER_CASE "abcdefghijklmnopqrstuvwxyz"
#define UPPER_CASE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS     "0123456789"
#define WORD       LOWER_CASE UPPER_CASE DIGITS "_"

#define SLUG_SIZE 41  /* with NUL */
#define HOST_SIZE 254 /* RFC 1035 §2.3.4, with NUL */

/* One character of first, then any number of rest; size - 1 characters at most. */
bool grammar_word(const char *text, const char *first, const char *rest, size_t size);

bool grammar_slug(const char *text); /* [a-z0-9][a-z0-9-]{0,39} */
/* Letters, digits, '-', '_'; no trailing dot; last label no number; 253 characters at most. */
bool grammar_dns_name(const char *text);
bool grammar_hostname(const char *text); /* a DNS name, or an IPv4 or IPv6 address */

/* An IP address that only this machine has: not the wildcard, which would listen on every interface. */
bool grammar_listen_address(const char *text);

void make_lower_case(char *text);

/* The slug of a bottle_prepare, copied; a message for what is none. */
enum bottle_result slug_take(const char *slug, char taken[SLUG_SIZE], struct failure *failure);

#endif
