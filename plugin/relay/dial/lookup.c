/* SPDX-License-Identifier: MIT */
/*
 * lookup.c: one upstream's name, as glibc would look it up with "hosts: files dns".
 *
 * First the files are checked, unless that was done within the last second.  Then hosts(5) is used; if it has
 * the name, DNS is not asked.  Then DNS, for one name after the other of the search list of
 * resolv.conf(5), as res_nsearch(3) goes through it:
 *
 *   - a name with at least `ndots` dots is tried as it is first, others last
 *   - no such name, or no address: the next domain
 *   - no server gave an answer: the next domain too, after the name as it is or if a server failed
 *     (SERVFAIL); else the domains that are left are passed over
 *   - "." among the domains is the name as it is
 *
 * Both families of one name are asked for at once, and the first name for which either has addresses is used, so
 * the addresses of a dial always belong to one name.  An answer with addresses is passed on at once; that there
 * are none, only when no further answer can have any.
 */
#include "relay/dial/lookup.h"

#include "relay/dial/dialler.h"
#include "relay/dial/dns_look.h"
#include "relay/dial/search_list.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum family { IPV6, IPV4, FAMILIES };
static const int FAMILY[FAMILIES] = {AF_INET6, AF_INET};

/* Of one name. */
enum outcome { NOT_TRIED, NO_SUCH_NAME, NO_ANSWER, NO_ADDRESS, OUT_OF_MEMORY };

struct question {
    struct lookup *lookup;
    enum family family;
    int status; /* of c-ares */
    bool delivered;
};

struct lookup {
    struct list_node node; /* in resolver.waiting or resolver.asking */
    struct dialler *dialler;
    const struct destination *destination;
    lookup_answer *answer; /* NULL: cancelled */
    void *context;
    struct question questions[FAMILIES];
    unsigned int open; /* questions that c-ares holds */
    bool found;        /* an address of one family at least */
    bool taken_back;   /* a question was, to be asked of other servers */
    struct search search;
    enum outcome as_is_first, worst; /* of the name tried first as it is; of the others */
    /* What each server did, asked for the name: 0 nothing yet, an RCODE, or a negative errno value. */
    int servers[RESOLVER_MAX_SERVERS];
};

static void ask(struct lookup *lookup);

static void end(struct lookup *lookup)
{
    list_remove(&lookup->node);
    free(lookup);
}

static void deliver(struct lookup *lookup, enum family family, const union address *addresses,
                    size_t count, int ttl_s, const char *error)
{
    lookup->questions[family].delivered = true;
    if (lookup->answer)
        lookup->answer(lookup->context, FAMILY[family], addresses, count, ttl_s, error);
}

static void deliver_nothing(struct lookup *lookup, const char *error)
{
    for (enum family family = IPV6; family < FAMILIES; family++)
        if (!lookup->questions[family].delivered)
            deliver(lookup, family, NULL, 0, 0, error);
}

/* ---- the reason of a failure ---- */

static void describe_server(char *text, size_t size, const char *server, int did)
{
    if (did == 0)
        (void)snprintf(text, size, "%s gave no answer", server);
    else if (did < 0)
        (void)snprintf(text, size, "%s cannot be reached (%s)", server, strerror(-did));
    else if (did == ns_r_refused)
        (void)snprintf(text, size, "%s refused to answer", server);
    else if (did == ns_r_servfail)
        (void)snprintf(text, size, "%s failed (SERVFAIL)", server);
    else
        (void)snprintf(text, size, "%s does not understand the question (RCODE %d)", server, did);
}

void lookup_describe(const struct lookup *lookup, char text[LOOKUP_ERROR_SIZE])
{
    const struct resolv_conf *conf = &lookup->dialler->resolver.conf;
    size_t length = (size_t)snprintf(text, LOOKUP_ERROR_SIZE, "DNS server ");

    if (!lookup->search.name[0]) { /* it has not started */
        (void)snprintf(text, LOOKUP_ERROR_SIZE,
                       "/etc/hosts and /etc/resolv.conf have not been looked at yet");
        return;
    }
    for (size_t i = 0; i < conf->server_count; i++) {
        char server[DNS_SERVER_TEXT_SIZE], did[160];
        (void)dns_server_text(&conf->servers[i], server);
        describe_server(did, sizeof did, server, lookup->servers[i]);
        size_t needed = strlen(did) + (i > 0 ? 2 : 0);
        if (length + needed >= LOOKUP_ERROR_SIZE - sizeof ", ...") {
            (void)snprintf(text + length, LOOKUP_ERROR_SIZE - length, ", ...");
            return;
        }
        length += (size_t)snprintf(text + length, LOOKUP_ERROR_SIZE - length, "%s%s",
                                   i > 0 ? ", " : "", did);
    }
}

static void fail(struct lookup *lookup)
{
    enum outcome outcome = lookup->as_is_first != NOT_TRIED ? lookup->as_is_first : lookup->worst;
    char error[LOOKUP_ERROR_SIZE];

    switch (outcome) {
    case NO_ADDRESS:
        (void)snprintf(error, sizeof error, "the name has no address");
        break;
    case NO_ANSWER:
        lookup_describe(lookup, error);
        break;
    case OUT_OF_MEMORY:
        (void)snprintf(error, sizeof error, "the gate is out of memory");
        break;
    default:
        (void)snprintf(error, sizeof error, "no such name");
    }
    deliver_nothing(lookup, error);
    end(lookup);
}

/* ---- the answers ---- */

static enum outcome outcome_of(const struct lookup *lookup)
{
    enum outcome outcome = NO_SUCH_NAME;

    for (enum family family = IPV6; family < FAMILIES; family++) {
        switch (lookup->questions[family].status) {
        case ARES_ENOTFOUND:
        case ARES_EBADNAME:
            return NO_SUCH_NAME; /* for all families */
        case ARES_SUCCESS:
        case ARES_ENODATA:
            outcome = outcome == NO_SUCH_NAME ? NO_ADDRESS : outcome;
            break;
        case ARES_ENOMEM:
            return OUT_OF_MEMORY;
        default:
            outcome = NO_ANSWER;
        }
    }
    return outcome;
}

/* If the network cannot be reached, other names need not be tried. */
static bool is_cut_off(const struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->dialler->resolver.conf.server_count; i++)
        if (lookup->servers[i] >= 0)
            return false;
    return true;
}

static bool has_server_failed(const struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->dialler->resolver.conf.server_count; i++)
        if (lookup->servers[i] == ns_r_servfail)
            return true;
    return false;
}

/* The result for a name without addresses is complete. */
static void name_failed(struct lookup *lookup)
{
    enum outcome outcome = outcome_of(lookup);
    bool is_first_as_is = search_is_first_as_is(&lookup->search);

    if (is_first_as_is)
        lookup->as_is_first = outcome;
    else if (outcome > lookup->worst)
        lookup->worst = outcome;
    if (outcome == NO_ANSWER && !is_first_as_is && !has_server_failed(lookup))
        lookup->search.past_domains = true;
    if (outcome == OUT_OF_MEMORY || (outcome == NO_ANSWER && is_cut_off(lookup)) ||
        !search_next(&lookup->search))
        fail(lookup);
    else
        ask(lookup);
}

static size_t take_addresses(const struct lookup *lookup, enum family family,
                             const struct ares_addrinfo *result,
                             union address addresses[RESOLVED_MAX_ADDRESSES], int *ttl_s)
{
    size_t count = 0;

    for (const struct ares_addrinfo_node *node = result->nodes;
         node && count < RESOLVED_MAX_ADDRESSES; node = node->ai_next) {
        if (node->ai_family != FAMILY[family])
            continue;
        if (family == IPV6)
            memcpy(&addresses[count].v6, node->ai_addr, sizeof addresses->v6);
        else
            memcpy(&addresses[count].v4, node->ai_addr, sizeof addresses->v4);
        address_set_port(&addresses[count++], lookup->destination->config->port);
        if (node->ai_ttl < *ttl_s)
            *ttl_s = node->ai_ttl;
    }
    return count;
}

static void answered(void *context, int status, int timeouts, struct ares_addrinfo *result)
{
    struct question *question = context;
    struct lookup *lookup = question->lookup;
    struct question *other = &lookup->questions[question->family == IPV6 ? IPV4 : IPV6];
    union address addresses[RESOLVED_MAX_ADDRESSES];
    int ttl_s = INT32_MAX;
    size_t count = 0;

    (void)timeouts; /* the dial has its own deadline */
    lookup->open--;
    question->status = status;
    if (status == ARES_SUCCESS)
        count = take_addresses(lookup, question->family, result, addresses, &ttl_s);
    if (result)
        ares_freeaddrinfo(result);
    if (status == ARES_ECANCELLED && lookup->dialler->resolver.restarting && !lookup->found) {
        lookup->taken_back = true;
        return;
    }
    if (count > 0) {
        lookup->found = true;
        if (lookup->open == 0 && !other->delivered)
            deliver(lookup, other->family, NULL, 0, 0, "no address");
        deliver(lookup, question->family, addresses, count, ttl_s, NULL);
    }
    if (lookup->open > 0)
        return;
    if (lookup->found)
        deliver_nothing(lookup, "no address");
    if (lookup->found || !lookup->answer)
        end(lookup);
    else
        name_failed(lookup);
}

static void ask(struct lookup *lookup)
{
    bool no_aaaa = lookup->dialler->resolver.conf.no_aaaa;

    /* Both count before the first can be answered, so the lookup is still there for the second. */
    lookup->open = no_aaaa ? 1 : FAMILIES;
    memset(lookup->servers, 0, sizeof lookup->servers);
    lookup->questions[IPV6].status = ARES_ENODATA;
    if (!no_aaaa)
        resolver_ask(lookup->dialler, lookup->search.name, AF_INET6, answered,
                     &lookup->questions[IPV6]);
    resolver_ask(lookup->dialler, lookup->search.name, AF_INET, answered, &lookup->questions[IPV4]);
}

/* ---- beginning ---- */

static bool is_in_hosts(struct lookup *lookup)
{
    const struct resolution *known = &lookup->destination->from_hosts;

    for (enum family family = IPV6; known->count > 0 && family < FAMILIES; family++) {
        union address addresses[RESOLVED_MAX_ADDRESSES];
        size_t count = 0;
        for (size_t i = 0; i < known->count; i++)
            if (known->addresses[i].any.sa_family == FAMILY[family])
                addresses[count++] = known->addresses[i];
        deliver(lookup, family, addresses, count, 0, "no address");
    }
    return known->count > 0;
}

static void begin(struct lookup *lookup)
{
    if (is_in_hosts(lookup)) {
        end(lookup);
        return;
    }
    list_append(&lookup->dialler->resolver.asking, &lookup->node);
    lookup->taken_back = false;
    lookup->as_is_first = lookup->worst = NOT_TRIED;
    search_begin(&lookup->search, lookup->destination->config->host,
                 &lookup->dialler->resolver.conf);
    (void)search_next(&lookup->search); /* there is one at least */
    ask(lookup);
}

struct lookup *lookup_new(struct dialler *dialler, const struct destination *destination,
                          lookup_answer *answer, void *context)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);

    if (!lookup)
        return NULL;
    *lookup = (struct lookup){
        .dialler = dialler, .destination = destination, .answer = answer, .context = context};
    list_init(&lookup->node);
    for (enum family family = IPV6; family < FAMILIES; family++)
        lookup->questions[family] = (struct question){.lookup = lookup, .family = family};
    return lookup;
}

void lookup_start(struct lookup *lookup)
{
    if (dns_look_must_wait(lookup->dialler))
        list_append(&lookup->dialler->resolver.waiting, &lookup->node);
    else
        begin(lookup);
}

void lookup_forget(struct lookup *lookup)
{
    lookup->answer = NULL; /* while c-ares has a question of it, or an answer is being delivered */
}

/* The files have been checked: continues the lookups that waited for that. */
static void go_on(struct dialler *dialler)
{
    struct list_node *waiting = &dialler->resolver.waiting;

    while (!list_is_empty(waiting)) {
        struct lookup *lookup = container_of(waiting->next, struct lookup, node);
        list_remove(&lookup->node);
        if (lookup->answer)
            begin(lookup);
        else
            end(lookup);
    }
}

/* Repeats all pending questions. */
static void restart(struct dialler *dialler)
{
    struct list_node *asking = &dialler->resolver.asking;

    for (struct list_node *node = asking->next, *next; node != asking; node = next) {
        struct lookup *lookup = container_of(node, struct lookup, node);
        next = node->next;
        if (!lookup->taken_back)
            continue;
        list_remove(node);
        if (lookup->answer)
            begin(lookup);
        else
            end(lookup);
    }
}

/* ---- what the servers do ---- */

/* True if the packet's question (RFC 1035 §4.1.2) is the name; a label may hold any byte, also NUL. */
static bool asks_for(const unsigned char *packet, size_t length, const char *name)
{
    size_t at = NS_HFIXEDSZ;

    while (at < length && packet[at] != 0) {
        size_t label = packet[at++];
        if (label > NS_MAXLABEL || at + label > length || strnlen(name, label) != label ||
            strncasecmp(name, (const char *)packet + at, label) != 0 ||
            (name[label] != '.' && name[label] != '\0'))
            return false;
        at += label;
        name += label;
        if (*name == '.')
            name++;
    }
    return at < length && *name == '\0';
}

/* Records the answer in every lookup that asked this question. */
static void note_answer(struct dialler *dialler, int server, const unsigned char *packet,
                        size_t length)
{
    struct list_node *asking = &dialler->resolver.asking;

    /* Over TCP the length goes before it (§4.2.2), and may have been read by itself. */
    if (length > NS_INT16SZ && ((size_t)packet[0] << 8 | packet[1]) == length - NS_INT16SZ) {
        packet += NS_INT16SZ;
        length -= NS_INT16SZ;
    }
    if (length < NS_HFIXEDSZ)
        return;
    int rcode = packet[3] & 0xf;
    bool is_answer = rcode == ns_r_noerror || rcode == ns_r_nxdomain;
    for (struct list_node *node = asking->next; node != asking; node = node->next) {
        struct lookup *lookup = container_of(node, struct lookup, node);
        /* An answer for one family leaves a failure for the other what it is. */
        if (asks_for(packet, length, lookup->search.name) &&
            (!is_answer || lookup->servers[server] < 0))
            lookup->servers[server] = is_answer ? 0 : rcode;
    }
}

/* Of all lookups, as they share sockets; to one that got an answer of the server, that is what it did. */
static void note_unreachable(struct dialler *dialler, int server, int error)
{
    struct list_node *asking = &dialler->resolver.asking;

    for (struct list_node *node = asking->next; node != asking; node = node->next) {
        struct lookup *lookup = container_of(node, struct lookup, node);
        if (lookup->servers[server] <= 0)
            lookup->servers[server] = -error;
    }
}

void lookups_init(struct dialler *dialler)
{
    static const struct resolver_user USER = {
        .answered = note_answer, .unreachable = note_unreachable, .restarted = restart};
    struct resolver *resolver = &dialler->resolver;

    list_init(&resolver->waiting);
    list_init(&resolver->asking);
    timer_init(&resolver->look_timer);
    resolver->user = &USER;
    resolver->looked = go_on;
}
