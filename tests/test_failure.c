/* SPDX-License-Identifier: MIT */
/*
 * test_failure.c: a message stays one printable line of bounded length, whatever it quotes.
 */
#include "common/text/failure.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(failure, sets_message_and_returns_result)
{
    struct failure failure;

    cr_assert_eq(failure_set(&failure, BOTTLE_CONFLICT, "port %u is taken", 22u), BOTTLE_CONFLICT);
    cr_assert_str_eq(failure.message, "port 22 is taken");
}

Test(failure, may_quote_its_own_message)
{
    struct failure failure = {"cause"};

    failure_format(&failure, "%s: and more", failure.message);
    cr_assert_str_eq(failure.message, "cause: and more");
}

Test(failure, escapes_what_is_not_printable)
{
    static const struct {
        const char *value;
        const char *shown;
    } rows[] = {
        {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
        {"\x1b[31m", "\\x1b[31m"},
        {"\x7f", "\\x7f"},
        {"\xc2\x9b", "\\xc2\\x9b"}, /* U+009B, CSI */
        {"\xc2\xa0", "\xc2\xa0"},
        /* NOLINTBEGIN(misc-misleading-bidirectional): they are what is to be escaped */
        {"a\xe2\x80\xae"
         "b",
         "a\\xe2\\x80\\xae"
         "b"}, /* U+202E, what follows runs to the left */
        {"\xd8\x9c", "\\xd8\\x9c"},
        {"\xe2\x80\x8e\xe2\x80\x8f", "\\xe2\\x80\\x8e\\xe2\\x80\\x8f"},
        {"\xe2\x80\xa8\xe2\x80\xaa", "\\xe2\\x80\\xa8\\xe2\\x80\\xaa"},
        /* NOLINTEND(misc-misleading-bidirectional) */
        {"\xe2\x81\xa6\xe2\x81\xa9", "\\xe2\\x81\\xa6\\xe2\\x81\\xa9"},
        {"\xe2\x80\xa7\xe2\x80\xaf", "\xe2\x80\xa7\xe2\x80\xaf"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91"},
        {"\xc3", "\\xc3"},
        {"\xff\xfe", "\\xff\\xfe"},
        {"\xc0\xaf", "\\xc0\\xaf"}, /* overlong forms of '/' */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
        {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
        {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct failure failure;
        failure_format(&failure, "%s", rows[i].value);
        cr_expect_str_eq(failure.message, rows[i].shown, "row %zu: %s", i, failure.message);
    }
}

/* At every offset of the cut, with characters of each length and with bytes that are escaped. */
Test(failure, cuts_between_characters)
{
    static const char *const pieces[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91", "\n"};

    for (size_t piece = 0; piece < sizeof pieces / sizeof pieces[0]; piece++) {
        for (size_t shift = 0; shift < 8; shift++) {
            struct failure failure;
            char text[2 * FAILURE_MESSAGE_SIZE] = "";
            size_t used = shift;
            memset(text, 'x', shift);
            while (used + strlen(pieces[piece]) < sizeof text) {
                memcpy(text + used, pieces[piece], strlen(pieces[piece]) + 1);
                used += strlen(pieces[piece]);
            }
            failure_format(&failure, "%s", text);
            size_t length = strlen(failure.message);
            cr_expect(length < FAILURE_MESSAGE_SIZE && length >= FAILURE_MESSAGE_SIZE - 4);
            cr_expect(text_is_printable(failure.message, length), "piece %zu, shift %zu", piece,
                      shift);
        }
    }
}

Test(failure, an_excerpt_is_cut_between_characters_and_marked)
{
    char text[EXCERPT_BYTES + 8] = "";

    memset(text, 'x', EXCERPT_BYTES);
    cr_assert_str_eq(EXCERPT(text), text);
    memcpy(text + EXCERPT_BYTES - 1, "\xe2\x82\xac", sizeof "\xe2\x82\xac");
    const char *shown = EXCERPT(text);
    cr_assert_eq(strlen(shown), EXCERPT_BYTES - 1 + strlen("…"));
    cr_assert_str_eq(shown + EXCERPT_BYTES - 1, "…");
    cr_assert_str_eq(EXCERPT(""), "");

    /* What is not UTF-8 is cut as well. */
    memset(text, 0x80, sizeof text - 1);
    cr_assert_leq(strlen(EXCERPT(text)), EXCERPT_BYTES + strlen("…"));
}

Test(failure, result_of_errno_tells_the_kinds_apart)
{
    cr_expect_eq(result_of_errno(EACCES), BOTTLE_DENIED);
    cr_expect_eq(result_of_errno(EPERM), BOTTLE_DENIED);
    cr_expect_eq(result_of_errno(EROFS), BOTTLE_DENIED);
    cr_expect_eq(result_of_errno(EADDRINUSE), BOTTLE_CONFLICT);
    cr_expect_eq(result_of_errno(EEXIST), BOTTLE_CONFLICT);
    cr_expect_eq(result_of_errno(ETIMEDOUT), BOTTLE_TIMEOUT);
    cr_expect_eq(result_of_errno(ENOENT), BOTTLE_UNAVAILABLE);
    cr_expect_eq(result_of_errno(EADDRNOTAVAIL), BOTTLE_UNAVAILABLE);
    cr_expect_eq(result_of_errno(ENOSPC), BOTTLE_UNAVAILABLE);
    cr_expect_eq(result_of_errno(ENAMETOOLONG), BOTTLE_INVALID);
    cr_expect_eq(result_of_errno(ELOOP), BOTTLE_INVALID);
    cr_expect_eq(result_of_errno(ENOMEM), BOTTLE_INTERNAL);
    cr_expect_eq(result_of_errno(EMFILE), BOTTLE_INTERNAL);
}
