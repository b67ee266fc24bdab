/* SPDX-License-Identifier: MIT */
/*
 * print.c: what people read on their terminals.
 *
 * Names, addresses, states and messages come from manifests, plugins, engines and peers.  Everything that
 * sample-host prints goes through here and is harmless: of the characters that a terminal acts on, or that turn
 * the direction of the text, only their numbers are shown.
 */
#include "sample_host.h"

#include "common/cleanup.h"
#include "common/text/failure.h"
#include "common/text/text.h"
#include "common/text/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void print_arguments(FILE *to, const char *format, va_list arguments)
{
    CLEANUP_FREE char *text = text_format_arguments(format, arguments);
    const size_t size = text != NULL ? strlen(text) * strlen("\\xff") + 1 : 0;
    CLEANUP_FREE char *harmless = text != NULL ? malloc(size) : NULL;

    if (harmless == NULL) {
        (void)fputs("(out of memory)", to);
        return;
    }
    copy_harmless(harmless, size, text);
    (void)fputs(harmless, to);
}

void print_line(FILE *to, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_arguments(to, format, arguments);
    va_end(arguments);
    (void)fputc('\n', to);
}

void print_part(FILE *to, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_arguments(to, format, arguments);
    va_end(arguments);
}

bool fail(const char *format, ...)
{
    struct failure failure;
    char text[2 * FAILURE_MESSAGE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    failure_format(&failure, "%s", len < 0 ? format : text);
    print_line(stderr, "sample-host: %s", failure.message);
    return false;
}

/* What harms a terminal can only be in a string, where an escape means the same. */
bool print_json(json_object *object)
{
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t left = text != NULL ? strlen(text) : 0;

    if (text == NULL)
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

void describe_upstream(json_object *upstream, const char *between, struct failure *text)
{
    const char *alias = text_member(upstream, "bottle_host_alias");
    const char *upstream_host = text_member(upstream, "upstream_host");
    json_object *port = json_object_object_get(upstream, "upstream_port");

    if (upstream_host == NULL)
        failure_format(text, "%s", json_object_to_json_string(upstream));
    else if (alias == NULL || port == NULL)
        failure_format(text, "%s", upstream_host);
    else
        failure_format(text, strchr(upstream_host, ':') != NULL ? "%s%s[%s]:%s" : "%s%s%s:%s",
                       alias, between, upstream_host, json_object_to_json_string(port));
}
