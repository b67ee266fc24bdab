/* SPDX-License-Identifier: MIT */
/* text.c: see text.h. */
#include "common/text/text.h"

#include <stdlib.h>

bool text_open(struct text *text)
{
    text->buffer = NULL;
    text->stream = open_memstream(&text->buffer, &text->length);
    return text->stream;
}

char *text_close(struct text *text)
{
    bool failed = ferror(text->stream) != 0;

    failed |= fclose(text->stream) != 0;
    if (!failed)
        return text->buffer;
    free(text->buffer);
    return NULL;
}

char *text_format_arguments(const char *format, va_list arguments)
{
    char *text = NULL;

    return vasprintf(&text, format, arguments) < 0 ? NULL : text;
}

char *text_format(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    char *text = text_format_arguments(format, arguments);
    va_end(arguments);
    return text;
}
