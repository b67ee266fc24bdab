/* SPDX-License-Identifier: MIT */
/*
 * search_list.c: see search_list.h.  A name with at least `ndots` dots is tried as it is first, others last; "." among
 * the domains is the name as it is.
 */
#include "relay/dial/search_list.h"

#include "relay/dial/dns_files.h"

#include <stdio.h>
#include <string.h>

/* The index-th domain; NULL if there are not so many. */
static const char *find_domain(const struct resolv_conf *conf, size_t index, size_t *length)
{
    const char *domain = conf->search;

    for (; index > 0 && *domain; index--)
        domain += strcspn(domain, " ") + (domain[strcspn(domain, " ")] ? 1 : 0);
    *length = strcspn(domain, " ");
    return *length > 0 ? domain : NULL;
}

static unsigned int count_dots(const char *name)
{
    unsigned int dots = 0;

    for (; *name; name++)
        dots += *name == '.';
    return dots;
}

/* False: the name would be too long. */
static bool use_in_domain(struct search *search, const char *domain, size_t length)
{
    size_t host_length = strlen(search->host);

    if (host_length + 1 + length >= sizeof search->name)
        return false;
    memcpy(search->name, search->host, host_length);
    search->name[host_length] = '.';
    memcpy(search->name + host_length + 1, domain, length);
    search->name[host_length + 1 + length] = '\0';
    return true;
}

static bool use_as_is(struct search *search)
{
    (void)snprintf(search->name, sizeof search->name, "%s", search->host);
    search->tried_as_is = true;
    return true;
}

void search_begin(struct search *search, const char *host, const struct resolv_conf *conf)
{
    *search = (struct search){.host = host, .conf = conf};
}

bool search_next(struct search *search)
{
    const char *domain;
    size_t length;

    if (search->next_domain == 0 && !search->tried_as_is &&
        count_dots(search->host) >= search->conf->ndots)
        return use_as_is(search);
    while (!search->past_domains &&
           (domain = find_domain(search->conf, search->next_domain++, &length)) != NULL) {
        if (domain[0] == '.' && length == 1) {
            if (!search->tried_as_is)
                return use_as_is(search);
        } else if (use_in_domain(search, domain, length)) {
            return true;
        }
    }
    return !search->tried_as_is && use_as_is(search);
}

bool search_is_first_as_is(const struct search *search)
{
    return search->tried_as_is && search->next_domain == 0;
}
