/* SPDX-License-Identifier: MIT */
/*
 * json_out.c: what the relay writes, event lines and status, is JSON whatever the bytes in it are.
 *
 * The first byte of an input is the size of the buffer, of 16 bytes each; the rest a text.
 */
#include "relay/base/json_out.h"

#include "fuzz.h"

#include "common/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = fuzz_text(data, size);
    const char *value = size > 0 ? text + 1 : text;
    size_t room = size > 0 ? data[0] * (size_t)16 : 0;
    CLEANUP_FREE char *buffer = malloc(room + 1);
    CLEANUP_JSON json_object *object = NULL;
    json_object *read = NULL;
    struct json_out out;
    struct failure failure;

    REQUIRE(buffer);
    json_out_init(&out, buffer, room);
    json_out_begin(&out, NULL, '{');
    json_out_begin(&out, "list", '[');
    json_out_string(&out, NULL, value);
    json_out_null(&out, NULL);
    json_out_end(&out, ']');
    json_out_string(&out, "text", value);
    json_out_integer(&out, "number", -(int64_t)size);
    json_out_end(&out, '}');
    REQUIRE(out.length <= room);
    if (out.overflow)
        return 0;
    buffer[out.length] = '\0';
    REQUIRE(!memchr(buffer, '\n', out.length));
    REQUIRE(json_text_parse("line", buffer, &object, &failure) == BOTTLE_OK);
    REQUIRE(json_object_object_get_ex(object, "text", &read));
    /* What was UTF-8 is there as it was. */
    REQUIRE(!text_is_printable(value, strlen(value)) ||
            strcmp(json_object_get_string(read), value) == 0);
    return 0;
}
