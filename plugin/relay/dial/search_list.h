/* SPDX-License-Identifier: MIT */
/* search_list.h: the names to ask for, by the search list of resolv.conf(5), as res_nsearch(3) does. */
#ifndef RELAY_SEARCH_LIST_H
#define RELAY_SEARCH_LIST_H

#include "wire/config.h"

#include <stdbool.h>
#include <stddef.h>

struct resolv_conf;

struct search {
    const char *host;
    const struct resolv_conf *conf;
    bool tried_as_is;
    bool past_domains; /* no further domain is tried */
    size_t next_domain;
    char name[RELAY_HOST_SIZE]; /* that is being asked for; empty: it has not begun */
};

/* host and conf must live as long as the search; conf may change meanwhile. */
void search_begin(struct search *search, const char *host, const struct resolv_conf *conf);
/* The next name to ask for, in search->name; false: there is none.  There is one at least. */
bool search_next(struct search *search);
/* Whether the name is the host as it is, tried before any domain. */
bool search_is_first_as_is(const struct search *search);

#endif
