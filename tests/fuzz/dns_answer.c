/* SPDX-License-Identifier: MIT */
/*
 * dns_answer.c: an answer of a DNS server, through c-ares to what a dial gets.
 *
 * The server is a socket of the target's.  To each question it gives its ID and the input behind the first
 * byte, which says whether both families are asked for.
 */
#include "relay/dial/dialler.h"
#include "relay/dial/lookup.h"

#include "fuzz.h"

#include <arpa/inet.h>
#include <errno.h>

#define ROUNDS 16 /* an answer that c-ares does not believe is asked for again */

static struct loop loop;
static struct io_buffer buffer;
static struct relay_config config; /* too large for a stack */
static struct dialler dialler = {.loop = &loop, .buffer = &buffer};
static int server = -1;

static void answered(void *context, int family, const union address *addresses, size_t count,
                     int ttl_s, const char *error)
{
    int *answers = context;

    (void)ttl_s;
    REQUIRE(family == AF_INET || family == AF_INET6);
    REQUIRE(count <= RESOLVED_MAX_ADDRESSES && (count > 0 || error));
    for (size_t i = 0; i < count; i++) {
        REQUIRE(addresses[i].any.sa_family == family);
        REQUIRE(ntohs(addresses[i].v4.sin_port) == 22); /* where IPv6 has it as well */
    }
    ++*answers;
}

static void set_up(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char message[RELAY_MESSAGE_SIZE];
    bool invalid;

    server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(server >= 0 && !bind(server, (struct sockaddr *)&address, sizeof address));
    REQUIRE(!getsockname(server, (struct sockaddr *)&address, &length));
    config.upstream_count = 1;
    config.upstreams[0] = (struct relay_upstream_config){.host = "gitea.example", .port = 22};
    config.resolve_timeout_ms = 60000;
    config.dns_server_count = 1;
    (void)snprintf(config.dns_servers[0], sizeof config.dns_servers[0], "127.0.0.1:%u",
                   ntohs(address.sin_port));
    dialler_init(&dialler, &config); /* and no other process opens the files */
    REQUIRE(!loop_init(&loop) && dialler_watch(&dialler, &invalid, message));
    dialler.resolver.conf.search[0] = '\0';
    dialler.destinations[0].from_hosts.count = 0;
    dialler.resolver.looked_ms = INT64_MAX; /* the files never again */
}

/* False: there is no question. */
static bool answer(const uint8_t *data, size_t size)
{
    static uint8_t packet[65536];
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t received =
        recvfrom(server, packet, sizeof packet, 0, (struct sockaddr *)&from, &length);

    if (received < 2)
        return false;
    if (size > sizeof packet - 2)
        size = sizeof packet - 2;
    memcpy(packet + 2, data, size);
    /* What is too long for a packet is one that was lost. */
    (void)sendto(server, packet, 2 + size, 0, (struct sockaddr *)&from, length);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int answers = 0;

    if (server < 0)
        set_up();
    if (size < 1)
        return 0;
    dialler.resolver.conf.no_aaaa = !(data[0] & 1);
    struct lookup *lookup = lookup_new(&dialler, &dialler.destinations[0], answered, &answers);
    REQUIRE(lookup);
    lookup_start(lookup);
    for (int i = 0; i < ROUNDS && answers < 2; i++) {
        if (!answer(data + 1, size - 1))
            break;
        loop_wait(&loop, 0);
    }
    if (answers < 2)
        ares_cancel(dialler.resolver.channel);
    REQUIRE(answers == 2 && list_is_empty(&dialler.resolver.asking));
    while (answer(data, 0))
        ;
    return 0;
}
