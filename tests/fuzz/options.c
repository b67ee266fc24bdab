/* SPDX-License-Identifier: MIT */
/* options.c: start options, as the docker backend takes them: its own and the relay's. */
#include "docker/options.h"

#include "fuzz.h"

#include "common/cleanup.h"
#include "common/sidecar/options.h"

static bool is_in(int32_t value, int32_t minimum, int32_t maximum)
{
    return value >= minimum && value <= maximum;
}

static void check_relay(const struct relay_config *config)
{
    REQUIRE(is_in(config->resolve_timeout_ms, 1, DAY_MS));
    REQUIRE(is_in(config->dial_timeout_ms, 1, DAY_MS));
    REQUIRE(is_in(config->identification_timeout_ms, 1, DAY_MS));
    REQUIRE(is_in(config->event_log_max_bytes, 64 << 10, 1 << 30));
    for (size_t i = 0; i < RELAY_LIMITS; i++)
        REQUIRE(is_in(config->limits[i], 1, RELAY_LIMIT_HIGHEST));
    REQUIRE(config->dns_server_count <= RELAY_MAX_DNS_SERVERS);
    for (uint32_t i = 0; i < config->dns_server_count; i++) {
        const char *server = config->dns_servers[i];
        size_t length = strnlen(server, RELAY_DNS_SERVER_SIZE);
        REQUIRE(length > 0 && length < RELAY_DNS_SERVER_SIZE);
        /* c-ares takes a list with commas, and interfaces after a percent sign. */
        REQUIRE(strspn(server, "0123456789abcdefABCDEF.:[]") == length);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = fuzz_text(data, size);
    CLEANUP_FREE struct relay_config *config = calloc(1, sizeof *config);
    CLEANUP_JSON json_object *object = NULL;
    struct container_options options;
    struct failure failure;

    REQUIRE(config && unsetenv("CLAUDE_BOTTLE_SSH_GATE_IMAGE") == 0);
    if (json_text_parse("start options", text, &object, &failure) != BOTTLE_OK)
        return 0;
    enum bottle_result result = docker_read_options(object, &options, config, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID);
        require_message(&failure);
        return 0;
    }
    check_relay(config);
    REQUIRE(is_in(options.engine_timeout_ms, 1, DAY_MS));
    REQUIRE(is_in(options.start_timeout_ms, 1, DAY_MS));
    REQUIRE(is_in(options.memory_limit_mib, 16, 1 << 20) && is_in(options.pids_limit, 8, 1 << 20));
    REQUIRE(!options.image || (options.image[0] && !strpbrk(options.image, " ?&%#\\\"'\n")));
    return 0;
}
