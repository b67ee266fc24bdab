/* SPDX-License-Identifier: MIT */
/*
 * arguments.c: the relay's command line; an input is its words, each with a NUL after it.
 *
 * What is taken, written as a command line anew, is the same config.
 */
#include "wire/command_line.h"

#include "fuzz.h"

#include <stdarg.h>

#define WORDS_MAX 512

static struct relay_config config, again; /* too large for a stack */
static char written[WORDS_MAX][2 * RELAY_HOST_SIZE + 32];
static char *words[WORDS_MAX];
static int written_count;

static void write_option(const char *option, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_option(const char *option, const char *format, ...)
{
    va_list arguments;

    REQUIRE(written_count + 2 <= WORDS_MAX);
    (void)snprintf(written[written_count++], sizeof written[0], "%s", option);
    va_start(arguments, format);
    (void)vsnprintf(written[written_count++], sizeof written[0], format, arguments);
    va_end(arguments);
}

static void write_config(void)
{
    written_count = 0;
    write_option("--slug", "%s", config.slug);
    write_option("--instance", "%s", config.instance);
    for (uint32_t i = 0; i < config.listen_address_count; i++) {
        const char *address = config.listen_addresses[i].address;
        write_option("--listen", "%s/%d", address, strchr(address, ':') ? 128 : 32);
    }
    for (uint32_t i = 0; i < config.upstream_count; i++)
        write_option("--upstream", "%s,%u,%s,%u", config.upstreams[i].alias,
                     config.upstreams[i].listen_port, config.upstreams[i].host,
                     config.upstreams[i].port);
    for (uint32_t i = 0; i < config.dns_server_count; i++)
        write_option("--dns-server", "%s", config.dns_servers[i]);
    write_option("--resolve-timeout-ms", "%d", config.resolve_timeout_ms);
    write_option("--dial-timeout-ms", "%d", config.dial_timeout_ms);
    write_option("--identification-timeout-ms", "%d", config.identification_timeout_ms);
    for (size_t i = 0; i < RELAY_LIMITS; i++)
        write_option("--limit", "%s=%d", RELAY_LIMIT[i].key, config.limits[i]);
    if (config.sandbox_required)
        write_option("--sandbox", "required");
    if (config.refuses_forwarding)
        write_option("--forwarding", "refused");
    if (config.takeover_instance[0])
        write_option("--takeover", "%s", config.takeover_instance);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), message[RELAY_MESSAGE_SIZE] = "";
    int count = 0;

    for (size_t at = 0; at < size && count < WORDS_MAX; at += strlen(text + at) + 1)
        words[count++] = text + at;
    memset(&config, 0, sizeof config);
    bool taken = arguments_read(count, words, &config, message);
    REQUIRE(taken || (message[0] && memchr(message, '\0', sizeof message)));
    REQUIRE(config.upstream_count <= RELAY_MAX_UPSTREAMS);
    REQUIRE(config.listen_address_count <= RELAY_MAX_ADDRESSES);
    REQUIRE(config.dns_server_count <= RELAY_MAX_DNS_SERVERS);
    if (taken) {
        write_config();
        for (int i = 0; i < written_count; i++)
            words[i] = written[i];
        memset(&again, 0, sizeof again);
        REQUIRE(arguments_read(written_count, words, &again, message));
        /* Beyond the end of a text may be what a longer one left there. */
        REQUIRE(again.upstream_count == config.upstream_count);
        for (uint32_t i = 0; i < config.upstream_count; i++) {
            REQUIRE(strcmp(again.upstreams[i].alias, config.upstreams[i].alias) == 0);
            REQUIRE(strcmp(again.upstreams[i].host, config.upstreams[i].host) == 0);
            REQUIRE(again.upstreams[i].port == config.upstreams[i].port);
            REQUIRE(again.upstreams[i].listen_port == config.upstreams[i].listen_port);
        }
        REQUIRE(again.listen_address_count == config.listen_address_count);
        REQUIRE(again.dns_server_count == config.dns_server_count);
        REQUIRE(again.dial_timeout_ms == config.dial_timeout_ms);
        REQUIRE(memcmp(again.limits, config.limits, sizeof again.limits) == 0);
        REQUIRE(again.sandbox_required == config.sandbox_required);
        REQUIRE(again.refuses_forwarding == config.refuses_forwarding);
        REQUIRE(strcmp(again.takeover_instance, config.takeover_instance) == 0);
        REQUIRE(again.holds_network == config.holds_network);
    }
    free(text);
    return 0;
}
