/* SPDX-License-Identifier: MIT */
/*
 * test_text.c: text that is put together in memory, and what is returned where that cannot be done.
 */
#include "common/cleanup.h"
#include "common/text/text.h"

#include <criterion/criterion.h>
#include <wchar.h>

Test(text, is_formatted)
{
    CLEANUP_FREE char *text = text_format("%s:%d", "a", 1);

    cr_assert_str_eq(text, "a:1");
}

/* asprintf(3) leaves its result undefined: in the C library of Debian 12, as it was. */
Test(text, that_cannot_be_formatted_is_null)
{
    /* No character of the locale "C". */
    CLEANUP_FREE char *text = text_format("%lc", (wint_t)0x10348);

    cr_assert_null(text);
}

Test(text, is_written_piece_by_piece)
{
    struct text text;

    cr_assert(text_open(&text));
    cr_assert_gt(fprintf(text.stream, "%s", "a"), 0);
    cr_assert_gt(fprintf(text.stream, "%s", "b"), 0);
    CLEANUP_FREE char *closed = text_close(&text);
    cr_assert_str_eq(closed, "ab");
}
