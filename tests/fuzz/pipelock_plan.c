/* SPDX-License-Identifier: MIT */
/*
 * pipelock_plan.c: the plan of the sample sidecar: whatever is taken makes a configuration of whole
 * lines, each with one host name.
 */
#include "pipelock/plan.h"

#include "fuzz.h"

#include "common/cleanup.h"

#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*"

/* Everything behind "api_allowlist:" is an item. */
static size_t count_hosts(char *config)
{
    size_t hosts = 0;
    bool in_list = false;

    for (char *rest = config, *line; (line = strsep(&rest, "\n"));) {
        size_t length = strlen(line);
        if (in_list && length > 0) {
            REQUIRE(length > 6 && strncmp(line, "  - \"", 5) == 0 && line[length - 1] == '"');
            REQUIRE(strspn(line + 5, HOST_CHARACTERS) == length - 6);
            hosts++;
        }
        in_list = in_list || strcmp(line, "api_allowlist:") == 0;
    }
    return hosts;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = fuzz_text(data, size);
    CLEANUP_PLAN struct pipelock_plan plan = {0};
    struct failure failure;

    enum bottle_result result = plan_from_json(text, &plan, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID);
        require_message(&failure);
        return 0;
    }
    CLEANUP_FREE char *config = plan_render_config(&plan);
    REQUIRE(config && count_hosts(config) == json_object_array_length(plan.upstreams));
    return 0;
}
