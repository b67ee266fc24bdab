/* SPDX-License-Identifier: MIT */
/* target.c: what stop, status and drain are given: what is taken, put together again, is the same text. */
#include "common/sidecar/target.h"

#include "fuzz.h"

#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const BACKENDS[] = {"native", "docker", NULL};
    CLEANUP_FREE char *text = fuzz_text(data, size);
    CLEANUP_FREE char *again = NULL;
    struct target target;
    struct failure failure;
    size_t backend = 99;

    enum bottle_result result = target_parse(text, BACKENDS, &backend, &target, &failure);
    if (result != BOTTLE_OK) {
        REQUIRE(result == BOTTLE_INVALID);
        require_message(&failure);
        return 0;
    }
    REQUIRE(backend < 2 && grammar_slug(target.slug));
    REQUIRE(target_text(BACKENDS[backend], target.slug, target.instance, &again, &failure) ==
            BOTTLE_OK);
    /* Without an instance the long form has a colon more. */
    REQUIRE(strncmp(again, text, strlen(text)) == 0);
    REQUIRE(strlen(again) == strlen(text) + (target.instance[0] ? 0 : 1));
    return 0;
}
