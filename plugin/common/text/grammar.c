/* SPDX-License-Identifier: MIT */
/* grammar.c: see grammar.h. */
#include "common/text/grammar.h"

#include "common/text/utf8.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_LABEL 63 /* RFC 1035 §2.3.4 */

bool grammar_word(const char *text, const char *first, const char *rest, size_t size)
{
    size_t length = strnlen(text, size);

    return length > 0 && length < size && strchr(first, text[0]) &&
           1 + strspn(text + 1, rest) == length;
}

bool grammar_slug(const char *text)
{
    return grammar_word(text, LOWER_CASE DIGITS, LOWER_CASE DIGITS "-", SLUG_SIZE);
}

static bool is_ip_address(const char *text)
{
    struct in6_addr addr; /* has room for both families */

    return inet_pton(AF_INET, text, &addr) == 1 || inet_pton(AF_INET6, text, &addr) == 1;
}

/* inet_aton(3), and so every resolver, reads "127.1", "0x7f.1" and "2130706433" as addresses. */
static bool looks_like_number(const char *label)
{
    return label[strspn(label, DIGITS)] == '\0' || strncasecmp(label, "0x", 2) == 0;
}

bool grammar_dns_name(const char *text)
{
    const char *label = text;

    if (strnlen(text, HOST_SIZE) == HOST_SIZE)
        return false;
    for (;;) {
        size_t length = strspn(label, WORD "-");
        if (length == 0 || length > MAX_LABEL || label[0] == '-' || label[length - 1] == '-')
            return false;
        if (label[length] == '\0')
            return !looks_like_number(label);
        if (label[length] != '.')
            return false;
        label += length + 1;
    }
}

bool grammar_hostname(const char *text)
{
    return grammar_dns_name(text) || is_ip_address(text);
}

bool grammar_listen_address(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1)
        return v4.s_addr != htonl(INADDR_ANY) && v4.s_addr != htonl(INADDR_BROADCAST) &&
               !IN_MULTICAST(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_UNSPECIFIED(&v6) &&
           !IN6_IS_ADDR_MULTICAST(&v6) && !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6);
}

void make_lower_case(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
    }
}

enum bottle_result slug_take(const char *slug, char taken[SLUG_SIZE], struct failure *failure)
{
    if (!slug || !grammar_slug(slug))
        return failure_set(
            failure, BOTTLE_INVALID,
            "slug \"%s\" must be 1 to 40 lower-case letters, digits and '-', and not "
            "begin with '-'",
            slug ? EXCERPT(slug) : "");
    (void)snprintf(taken, SLUG_SIZE, "%s", slug);
    return BOTTLE_OK;
}
