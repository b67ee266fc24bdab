/* SPDX-License-Identifier: MIT */
/*
 * test_arguments.c: a relay's config from its command line, as it is started in a container.  docker.sh has
 * the containers.
 */
#include "wire/command_line.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MAX 64

#define COMPLETE                                                                                   \
    "--slug", "web", "--instance", "0123456789abcdef", "--listen", "127.0.0.0/8", "--upstream",    \
        "gitea,30009,gitea.example,22", "--resolve-timeout-ms", "1", "--dial-timeout-ms", "2",     \
        "--identification-timeout-ms", "3", "--limit", "max_connections=4", "--limit",             \
        "max_pending_dials=5", "--limit", "max_dials_per_second=6", "--limit",                     \
        "max_connections_per_upstream=7", "--limit", "max_pending_dials_per_upstream=8",           \
        "--limit", "max_dials_per_second_per_upstream=1000000"

static bool read_arguments(const char *const *words, struct relay_config *config, char *message)
{
    char *arguments[ARGUMENTS_MAX];
    int count = 0;

    memset(config, 0, sizeof *config);
    for (; words[count]; count++)
        cr_assert_not_null(arguments[count] = strdup(words[count]));
    bool read = arguments_read(count, arguments, config, message);
    for (int i = 0; i < count; i++)
        free(arguments[i]);
    return read;
}

static struct relay_config config; /* too large for a stack */

Test(arguments, a_complete_line_is_taken)
{
    static const char *const WORDS[] = {
        COMPLETE,       "--listen",   "198.51.100.0/24",  "--upstream", "six,22,2001:db8::1,2222",
        "--dns-server", "[::1]:53",   "--sandbox",        "required",   "--forwarding",
        "refused",      "--takeover", "fedcba9876543210", NULL};
    char message[RELAY_MESSAGE_SIZE] = "";

    cr_assert(read_arguments(WORDS, &config, message), "%s", message);
    cr_expect_str_eq(config.slug, "web");
    cr_expect_str_eq(config.instance, "0123456789abcdef");
    /* A subnet in which this machine has no address is no error, as long as there is another. */
    cr_expect_eq(config.listen_address_count, 1);
    cr_expect_str_eq(config.listen_addresses[0].address, "127.0.0.1");
    cr_expect_str_eq(config.listen_addresses[0].interface, "lo");
    cr_assert_eq(config.upstream_count, 2);
    cr_expect_str_eq(config.upstreams[0].alias, "gitea");
    cr_expect_eq(config.upstreams[0].listen_port, 30009);
    cr_expect_str_eq(config.upstreams[0].host, "gitea.example");
    cr_expect_eq(config.upstreams[0].port, 22);
    cr_expect_str_eq(config.upstreams[1].host, "2001:db8::1");
    cr_expect_eq(config.dns_server_count, 1);
    cr_expect_str_eq(config.dns_servers[0], "[::1]:53");
    cr_expect_eq(config.resolve_timeout_ms, 1);
    cr_expect_eq(config.dial_timeout_ms, 2);
    cr_expect_eq(config.identification_timeout_ms, 3);
    cr_expect(config.sandbox_required);
    cr_expect(config.refuses_forwarding);
    cr_expect_str_eq(config.takeover_instance, "fedcba9876543210");
    cr_expect(!config.holds_network);
    cr_expect_eq(config.limits[MAX_CONNECTIONS], 4);
    cr_expect_eq(config.limits[MAX_PENDING_DIALS], 5);
    cr_expect_eq(config.limits[MAX_DIALS_PER_SECOND], 6);
    cr_expect_eq(config.limits[MAX_CONNECTIONS_PER_UPSTREAM], 7);
    cr_expect_eq(config.limits[MAX_PENDING_DIALS_PER_UPSTREAM], 8);
    cr_expect_eq(config.limits[MAX_DIALS_PER_SECOND_PER_UPSTREAM], 1000000);
}

Test(arguments, what_is_wrong_is_named)
{
    static const char *const ROWS[][2] = {
        {"--no-such", "x"},
        {"serve", "x"},
        {"--slug", ""},
        {"--slug", "a-slug-that-is-longer-than-any-slug-that-there-can-be"},
        {"--listen", "127.0.0.0"},
        {"--listen", "127.0.0.0/33"},
        {"--listen", "127.0.0.0/0"},
        {"--listen", "/8"},
        {"--listen", "::/129"},
        {"--listen", "host/8"},
        {"--listen", "127.0.0.0/8x"},
        {"--upstream", "a"},
        {"--upstream", "a,22,b"},
        {"--upstream", "a,22,b,"},
        {"--upstream", "a,22,b,0"},
        {"--upstream", "a,65536,b,1"},
        {"--upstream", ",22,b,1"},
        {"--upstream", "a,22,,1"},
        {"--upstream", "a,22,b,1,2"},
        {"--upstream", "a,-1,b,1"},
        {"--upstream", "a, 22,b,1x"},
        {"--dns-server", ""},
        {"--dial-timeout-ms", "0"},
        {"--dial-timeout-ms", "-1"},
        {"--dial-timeout-ms", "2147483648"},
        {"--dial-timeout-ms", "99999999999999999999"},
        {"--dial-timeout-ms", "1s"},
        {"--forwarding", "allowed"},
        {"--limit", "max_connections"},
        {"--limit", "max_connections="},
        {"--limit", "max_connections=0"},
        {"--limit", "max_connections=1000001"},
        {"--limit", "max_connections_per=1"},
        {"--limit", "=1"},
        {"--sandbox", "best-effort"},
        {"--takeover", ""},
        {"--takeover", "an-instance-that-is-longer-than-any"},
    };

    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const char *const words[] = {COMPLETE, ROWS[i][0], ROWS[i][1], NULL};
        char message[RELAY_MESSAGE_SIZE] = "", expected[128];
        (void)snprintf(expected, sizeof expected, "argument %s: \"%s\"", ROWS[i][0], ROWS[i][1]);
        cr_expect(!read_arguments(words, &config, message), "%s", expected);
        cr_expect_eq(strncmp(message, expected, strlen(expected)), 0, "%s", message);
    }
}

Test(arguments, what_is_missing_is_an_error)
{
    static const char *const WORDS[] = {COMPLETE, NULL};
    size_t count = sizeof WORDS / sizeof WORDS[0] - 1;

    for (size_t left_out = 0; left_out < count; left_out += 2) {
        const char *words[ARGUMENTS_MAX] = {0};
        char message[RELAY_MESSAGE_SIZE] = "";
        for (size_t i = 0, j = 0; i < count; i++)
            if (i < left_out || i > left_out + 1)
                words[j++] = WORDS[i];
        cr_expect(!read_arguments(words, &config, message), "without %s", WORDS[left_out]);
        cr_expect(message[0] != '\0');
    }
}

Test(arguments, a_value_is_missing)
{
    static const char *const WORDS[] = {COMPLETE, "--slug", NULL};
    char message[RELAY_MESSAGE_SIZE] = "";

    cr_expect(!read_arguments(WORDS, &config, message));
    cr_expect_str_eq(message, "argument --slug: \"\" is not what it takes");
}

Test(arguments, more_than_fits_is_an_error)
{
    const char *words[2 * RELAY_MAX_DNS_SERVERS + 3] = {0};
    char message[RELAY_MESSAGE_SIZE] = "";

    for (size_t i = 0; i < (size_t)2 * RELAY_MAX_DNS_SERVERS + 2; i += 2) {
        words[i] = "--dns-server";
        words[i + 1] = "127.0.0.1";
    }
    cr_expect(!read_arguments(words, &config, message));
    cr_expect_not_null(strstr(message, "--dns-server"));
}
