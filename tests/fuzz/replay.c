/* SPDX-License-Identifier: MIT */
/* replay.c: runs a fuzz target on the files that are its arguments, where libFuzzer is not linked. */
#include "fuzz.h"

#include <errno.h>

#define INPUT_MAX ((size_t)1 << 20)

static void replay(const char *path)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = malloc(INPUT_MAX);

    if (!file || !bytes) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(EXIT_FAILURE);
    }
    size_t length = fread(bytes, 1, INPUT_MAX, file);
    (void)fclose(file); /* it was only read */
    /* Of exactly its size, so that a read beyond it is seen. */
    uint8_t *input = malloc(length + (length == 0));
    REQUIRE(input);
    memcpy(input, bytes, length);
    free(bytes);
    (void)LLVMFuzzerTestOneInput(input, length);
    free(input);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
