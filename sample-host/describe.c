/* SPDX-License-Identifier: MIT */
/*
 * describe.c: JSON objects as people read them.
 *
 * As in print.c, nothing that is printed can harm a terminal.
 */
#include "describe.h"

#include "fail.h"
#include "members.h"

#include "common/text/failure.h"
#include "common/text/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* In JSON, harmful characters can only be inside strings, where an escape has the same meaning. */
bool print_json(json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t left = text ? strlen(text) : 0;

    if (!text)
        return fail("out of memory");
    while (left > 0) {
        uint32_t code_point = 0;
        size_t length = utf8_decode(text, left, &code_point);
        if (length == 0) {
            length = 1;
            (void)fputs("\\ufffd", stdout);
        } else if (code_point != '\n' && is_harmful(code_point)) {
            (void)printf("\\u%04x", (unsigned)code_point);
        } else {
            (void)fwrite(text, length, 1, stdout);
        }
        text += length;
        left -= length;
    }
    return fputc('\n', stdout) >= 0;
}

void describe_upstream(json_object *upstream, const char *separator, struct failure *text)
{
    const char *alias = text_member(upstream, "bottle_host_alias");
    const char *upstream_host = text_member(upstream, "upstream_host");
    json_object *port = json_object_object_get(upstream, "upstream_port");

    if (!upstream_host)
        failure_format(text, "%s", json_object_to_json_string(upstream));
    else if (!alias || !port)
        failure_format(text, "%s", upstream_host);
    else
        failure_format(text, strchr(upstream_host, ':') ? "%s%s[%s]:%s" : "%s%s%s:%s", alias,
                       separator, upstream_host, json_object_to_json_string(port));
}
