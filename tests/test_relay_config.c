/* SPDX-License-Identifier: MIT */
/* test_relay_config.c: what the relay is told, from the start options. */
#include "bottle/relay_config.h"
#include "common/cleanup.h"

#include <criterion/criterion.h>
#include <stdio.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static enum bottle_result take(const char *text, struct relay_config *config,
                               struct failure *failure)
{
    CLEANUP_JSON json_object *options = json_tokener_parse(text);

    cr_assert_not_null(options, "%s", text);
    *config = (struct relay_config){0};
    *failure = (struct failure){0};
    return relay_config_take_options(config, options, failure);
}

/* A server may look its client up first, or wake a disk: OpenSSH's own patience is two minutes. */
Test(relay_config, timeouts_without_options)
{
    struct relay_config config;
    struct failure failure;

    cr_assert_eq(take("{}", &config, &failure), BOTTLE_OK);
    cr_expect_eq(config.resolve_timeout_ms, 5000);
    cr_expect_eq(config.dial_timeout_ms, 10000);
    cr_expect_eq(config.identification_timeout_ms, 120000);
    cr_expect_eq(config.dns_server_count, 0);
}

Test(relay_config, dns_servers)
{
    static const char *const RIGHT[] = {
        "127.0.0.1",
        "127.0.0.1:5353",
        "::1",
        "[::1]",
        "[::1]:5353",
        "fe80::1%eth0",
        "[fe80::1%eth0.4094]:5353",
        "fe80::1%2",
        "[fe80:1111:2222:3333:4444:5555:6666:7777%fifteen-letters]:65535",
    };
    static const char *const WRONG[] = {
        "",
        "gitea.example",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:+53",
        "127.0.0.1%eth0",
        "[127.0.0.1]",
        "[127.0.0.1]:53",
        "[::1",
        "[::1]53",
        "[::1]:",
        "::1]",
        "fe80::1",
        "[fe80::1]:53",
        "fe80::1%",
        "fe80::1%a b",
        "fe80::1%a/b",
        "fe80::1%a%b",
        "fe80::1%a,b",
        "fe80::1%sixteen-letters-",
        "[fe80::1%eth0:53]",
    };
    struct relay_config config;
    struct failure failure;
    char options[128];

    for (size_t i = 0; i < ROWS(RIGHT); i++) {
        (void)snprintf(options, sizeof options, "{\"dns_servers\": [\"%s\"]}", RIGHT[i]);
        cr_expect_eq(take(options, &config, &failure), BOTTLE_OK, "%s: %s", RIGHT[i],
                     failure.message);
        cr_expect_str_eq(config.dns_servers[0], RIGHT[i]);
    }
    for (size_t i = 0; i < ROWS(WRONG); i++) {
        (void)snprintf(options, sizeof options, "{\"dns_servers\": [\"::1\", \"%s\"]}", WRONG[i]);
        cr_expect_eq(take(options, &config, &failure), BOTTLE_INVALID, "\"%s\"", WRONG[i]);
        cr_expect_not_null(strstr(failure.message, "dns_servers[1]"), "%s", failure.message);
    }
}
