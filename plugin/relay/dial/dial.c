/* SPDX-License-Identifier: MIT */
/*
 * dial.c: see dial.h.
 *
 * Every dial resolves: a literal at once, a name through the answer of a moment ago or a lookup
 * (lookup.c), both families side by side.  Then RFC 8305: an IPv6 answer is used at
 * once, an IPv4 answer that comes first waits 50 ms for the other (§3).  Addresses are tried in turn, the
 * families alternating (§4), the next one 250 ms after the last or as soon as an attempt fails
 * (§5).  The first to connect wins.
 *
 * An address of the relay's own listeners is skipped: dialling it would be an endless loop.
 */
#include "relay/dial/dial.h"

#include "relay/dial/dialler.h"
#include "relay/dial/lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ANSWER_MAX_AGE_MS 1000

enum family { IPV6, IPV4, FAMILIES };

struct attempt {
    struct watch watch;
    struct dial *dial;
    const union address *address;
};

struct dial {
    struct list_node node; /* for loop_discard; first */
    struct dialler *dialler;
    struct destination *destination;
    const struct dial_outcome *outcome;
    void *context;         /* of the outcome */
    struct lookup *lookup; /* NULL: none, or all its answers have come */
    unsigned int queries;  /* outstanding answers, one for each family */
    int ttl_s;             /* the shortest of the answers */
    enum family next_family;
    size_t count[FAMILIES], tried[FAMILIES];
    union address addresses[FAMILIES][RESOLVED_MAX_ADDRESSES];
    size_t attempt_count, attempts_open;
    struct attempt attempts[FAMILIES * RESOLVED_MAX_ADDRESSES];
    struct timer deadline;           /* of resolving, then of dialling */
    struct timer next_attempt;       /* or the wait for the other family */
    char failure[LOOKUP_ERROR_SIZE]; /* why the last attempt or the lookup failed */
};

static void try_next(struct dial *dial);

static void close_attempt(struct attempt *attempt)
{
    if (attempt->watch.fd < 0)
        return;
    (void)close(attempt->watch.fd);
    attempt->watch.fd = -1;
    attempt->dial->attempts_open--;
}

/* Ends the dial; its memory is freed when the batch of events is over. */
static void finish(struct dial *dial)
{
    timer_stop(&dial->deadline);
    timer_stop(&dial->next_attempt);
    for (size_t i = 0; i < dial->attempt_count; i++)
        close_attempt(&dial->attempts[i]);
    if (dial->lookup)
        lookup_forget(dial->lookup);
    loop_discard(dial->dialler->loop, &dial->node);
}

void dial_abandon(struct dial *dial)
{
    finish(dial);
}

static void fail(struct dial *dial, const char *what, const char *reason)
{
    const struct relay_upstream_config *config = dial->destination->config;
    char message[RELAY_MESSAGE_SIZE];

    if (dial->attempt_count > 0 || dial->count[IPV6] + dial->count[IPV4] > 0)
        (void)snprintf(message, sizeof message, "cannot reach %s:%u: %s", config->host,
                       config->port, reason);
    else
        (void)snprintf(message, sizeof message, "cannot resolve %s: %s", config->host, reason);
    finish(dial);
    dial->outcome->failed(dial->context, what, message);
}

static void deadline_passed(struct timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, deadline);
    const struct relay_config *config = dial->dialler->config;
    bool dials = dial->attempt_count > 0;
    char reason[64 + LOOKUP_ERROR_SIZE], servers[LOOKUP_ERROR_SIZE] = "";

    if (!dials && dial->lookup)
        lookup_describe(dial->lookup, servers);
    (void)snprintf(reason, sizeof reason, "no answer within %d ms%s%s",
                   dials ? config->dial_timeout_ms : config->resolve_timeout_ms,
                   servers[0] ? ": " : "", servers);
    fail(dial, dials ? "dial-timeout" : "resolve-timeout", reason);
}

static void next_attempt_due(struct timer *timer)
{
    try_next(container_of(timer, struct dial, next_attempt));
}

/* 0.0.0.0 and :: reach this host's loopback, and ::ffff:a.b.c.d means a.b.c.d. */
static union address reached_address(const union address *address)
{
    union address reached = *address;

    if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
        memset(&reached, 0, sizeof reached);
        reached.v4.sin_family = AF_INET;
        reached.v4.sin_port = address->v6.sin6_port;
        memcpy(&reached.v4.sin_addr, address->v6.sin6_addr.s6_addr + 12,
               sizeof reached.v4.sin_addr);
    } else if (address->any.sa_family == AF_INET6 &&
               IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr)) {
        reached.v6.sin6_addr = in6addr_loopback;
    }
    if (reached.any.sa_family == AF_INET && reached.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        reached.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return reached;
}

static void attempt_ready(struct watch *watch, uint32_t events)
{
    struct attempt *attempt = container_of(watch, struct attempt, watch);
    struct dial *dial = attempt->dial;
    int error = 0;
    socklen_t length = sizeof error;

    if (events & (EPOLLERR | EPOLLHUP) &&
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &length))
        error = errno;
    if (error == 0) {
        const union address address = *attempt->address;
        int fd = watch->fd;
        watch->fd = -1;
        dial->attempts_open--;
        finish(dial);
        dial->outcome->connected(dial->context, fd, &address);
        return;
    }
    (void)snprintf(dial->failure, sizeof dial->failure, "%s", strerror(error));
    close_attempt(attempt);
    try_next(dial);
}

/* True if the attempt is under way. */
static bool start_attempt(struct dial *dial, const union address *address)
{
    struct dialler *dialler = dial->dialler;
    struct attempt *attempt = &dial->attempts[dial->attempt_count++];

    *attempt = (struct attempt){
        .watch = {.fd = -1, .ready = attempt_ready}, .dial = dial, .address = address};
    const union address reached = reached_address(address);
    if (dialler->is_own(dialler, &reached)) {
        (void)snprintf(dial->failure, sizeof dial->failure, "that is the gate itself (a loop)");
        return false;
    }
    int fd = tcp_socket(address->any.sa_family);
    if (fd < 0) {
        (void)snprintf(dial->failure, sizeof dial->failure, "%s", strerror(errno));
        return false;
    }
    attempt->watch.fd = fd;
    dial->attempts_open++;
    if ((connect(fd, &address->any, address_length(address)) && errno != EINPROGRESS) ||
        loop_add(dialler->loop, &attempt->watch, EPOLLOUT)) {
        (void)snprintf(dial->failure, sizeof dial->failure, "%s", strerror(errno));
        close_attempt(attempt);
        return false;
    }
    return true;
}

/* The families alternate as long as both have addresses left. */
static const union address *next_address(struct dial *dial)
{
    enum family family = dial->next_family;

    if (dial->tried[family] == dial->count[family])
        family = family == IPV6 ? IPV4 : IPV6;
    if (dial->tried[family] == dial->count[family])
        return NULL;
    dial->next_family = family == IPV6 ? IPV4 : IPV6;
    return &dial->addresses[family][dial->tried[family]++];
}

static void try_next(struct dial *dial)
{
    struct dialler *dialler = dial->dialler;
    const union address *address;

    while ((address = next_address(dial))) {
        if (dial->attempt_count == 0)
            timer_start(dialler->loop, &dialler->dial_timers, &dial->deadline, deadline_passed);
        if (start_attempt(dial, address)) {
            timer_start(dialler->loop, &dialler->attempt_timers, &dial->next_attempt,
                        next_attempt_due);
            return;
        }
    }
    if (dial->attempts_open == 0 && dial->queries == 0)
        fail(dial, dial->attempt_count > 0 ? "dial-failed" : "resolve-failed", dial->failure);
}

static void remember_answer(struct dial *dial)
{
    struct resolution *cached = &dial->destination->cached;
    int64_t age_ms = dial->ttl_s >= 1 ? ANSWER_MAX_AGE_MS : 0;

    cached->count = 0;
    cached->expires_ms = dial->dialler->loop->now_ms + age_ms;
    for (size_t i = 0; i < RESOLVED_MAX_ADDRESSES && cached->count < RESOLVED_MAX_ADDRESSES; i++)
        for (enum family family = IPV6; family < FAMILIES; family++)
            if (i < dial->count[family] && cached->count < RESOLVED_MAX_ADDRESSES)
                cached->addresses[cached->count++] = dial->addresses[family][i];
}

static void add_address(struct dial *dial, const union address *address)
{
    enum family family = address->any.sa_family == AF_INET6 ? IPV6 : IPV4;

    if (dial->count[family] < RESOLVED_MAX_ADDRESSES)
        dial->addresses[family][dial->count[family]++] = *address;
}

static void answered(void *context, int family, const union address *addresses, size_t count,
                     int ttl_s, const char *error)
{
    struct dial *dial = context;
    struct dialler *dialler = dial->dialler;

    if (--dial->queries == 0)
        dial->lookup = NULL;
    for (size_t i = 0; i < count; i++)
        add_address(dial, &addresses[i]);
    if (count > 0 && ttl_s < dial->ttl_s)
        dial->ttl_s = ttl_s;
    /* If an address was dialled, the reason is that of the last attempt. */
    if (count == 0 && dial->attempt_count == 0 && (dial->failure[0] == '\0' || family == AF_INET))
        (void)snprintf(dial->failure, sizeof dial->failure, "%s", error);
    if (dial->queries == 0 && dial->count[IPV6] + dial->count[IPV4] > 0)
        remember_answer(dial);

    if (timer_is_running(&dial->next_attempt) && dial->attempts_open > 0)
        return; /* it will find them */
    if (family == AF_INET6 || dial->queries == 0 || dial->attempts_open > 0)
        try_next(dial);
    else if (count > 0)
        timer_start(dialler->loop, &dialler->family_timers, &dial->next_attempt, next_attempt_due);
}

static void resolve(struct dial *dial)
{
    struct dialler *dialler = dial->dialler;
    struct destination *destination = dial->destination;
    const struct relay_upstream_config *config = destination->config;
    union address literal;

    if (address_from_literal(config->host, config->port, &literal)) {
        add_address(dial, &literal);
        try_next(dial);
        return;
    }
    if (dialler->loop->now_ms < destination->cached.expires_ms && destination->cached.count > 0) {
        for (size_t i = 0; i < destination->cached.count; i++)
            add_address(dial, &destination->cached.addresses[i]);
        try_next(dial);
        return;
    }
    dial->lookup = lookup_new(dialler, destination, answered, dial);
    if (!dial->lookup) {
        fail(dial, "out-of-memory", "the gate is out of memory");
        return;
    }
    timer_start(dialler->loop, &dialler->resolve_timers, &dial->deadline, deadline_passed);
    dial->queries = FAMILIES;
    lookup_start(dial->lookup);
}

void dial_start(struct dialler *dialler, struct destination *destination,
                const struct dial_outcome *outcome, void *context, struct dial **dial)
{
    struct dial *made = *dial = malloc(sizeof *made);

    if (!made) {
        outcome->failed(context, "out-of-memory", "the gate is out of memory");
        return;
    }
    list_init(&made->node);
    made->dialler = dialler;
    made->destination = destination;
    made->outcome = outcome;
    made->context = context;
    made->lookup = NULL;
    made->queries = 0;
    made->ttl_s = INT32_MAX;
    made->next_family = IPV6;
    for (enum family family = IPV6; family < FAMILIES; family++)
        made->count[family] = made->tried[family] = 0;
    made->attempt_count = made->attempts_open = 0;
    timer_init(&made->deadline);
    timer_init(&made->next_attempt);
    made->failure[0] = '\0';
    resolve(made);
}
