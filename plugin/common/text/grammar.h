/* SPDX-License-Identifier: MIT */
/*
 * grammar.h: the grammars of the values that every sidecar has.
 *
 * A value that matches can be written as it is into a shell script, a configuration file, a file's or a
 * container's name.  Any other is refused; values are never quoted or escaped.  Letters and digits are those
 * of ASCII, in any locale.  Each function is true if the whole text matches; none matches "".
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

/* One character of first, then any number of characters of rest; at most size - 1 in all. */
bool grammar_word(const char *text, const char *first, const char *rest, size_t size);

bool grammar_slug(const char *text); /* [a-z0-9][a-z0-9-]{0,39} */
/* Letters, digits, '-', '_'; no trailing dot; last label no number; 253 characters at most. */
bool grammar_dns_name(const char *text);
bool grammar_hostname(const char *text); /* a DNS name, or an IPv4 or IPv6 address */

/* An IP address to listen on: not the wildcard, multicast, link-local or IPv4-mapped. */
bool grammar_listen_address(const char *text);

void make_lower_case(char *text);

/* Checks and copies the slug of a bottle_prepare. */
enum bottle_result slug_take(const char *slug, char taken[SLUG_SIZE], struct failure *failure);

#endif
