/* SPDX-License-Identifier: MIT */
/* text.c: see text.h. */
#include "text.h"

#include <stdlib.h>

bool text_open(struct text *text)
{
    text->buffer = NULL;
    text->stream = open_memstream(&text->buffer, &text->length);
    return text->stream != NULL;
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
