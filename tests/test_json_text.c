/* SPDX-License-Identifier: MIT */
/*
 * test_json_text.c: JSON text from outside is taken as RFC 8259 has it, and nothing else.
 */
#include "common/cleanup.h"
#include "common/text/json_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* What is accepted, and what json-c makes of it. */
static const struct {
    const char *text;
    const char *plain;
} accepted[] = {
    {"{}", "{}"},
    {" \t\r\n{ \t\r\n} \t\r\n", "{}"},
    {"{\"\":1}", "{\"\":1}"},
    {"{\"a\":[]}", "{\"a\":[]}"},
    {"{\"a\":[ ]}", "{\"a\":[]}"},
    {"{\"a\":[1 , 2],\"b\":{\"c\":null}}", "{\"a\":[1,2],\"b\":{\"c\":null}}"},
    {"{\"a\":true,\"b\":false,\"c\":null}", "{\"a\":true,\"b\":false,\"c\":null}"},
    {"{\"a\":0,\"b\":-0,\"c\":-1}", "{\"a\":0,\"b\":0,\"c\":-1}"},
    {"{\"a\":0.5,\"b\":-0.0e0,\"c\":1e2,\"d\":1E+2,\"e\":10.25e-3}",
     "{\"a\":0.5,\"b\":-0.0e0,\"c\":1e2,\"d\":1E+2,\"e\":10.25e-3}"},
    {"{\"a\":9223372036854775807,\"b\":-9223372036854775808}",
     "{\"a\":9223372036854775807,\"b\":-9223372036854775808}"},
    {"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "{\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"}"},
    {"{\"a\":\"\\u0041\\u00e9\\u20AC\\ud83d\\uDD11\"}",
     "{\"a\":\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91\"}"},
    {"{\"\xc3\xa9\":\"\xf0\x9f\x94\x91\"}", "{\"\xc3\xa9\":\"\xf0\x9f\x94\x91\"}"},
    /* the first and the last character of each length, in a key, in a string and below both */
    {"{\"\xc2\x80\xdf\xbf\":\"\xe0\xa0\x80\xef\xbf\xbf\"}",
     "{\"\xc2\x80\xdf\xbf\":\"\xe0\xa0\x80\xef\xbf\xbf\"}"},
    {"{\"\xf0\x90\x80\x80\":[\"\xf4\x8f\xbf\xbf\",{\"\xed\x9f\xbf\":\"x\xee\x80\x80\"}]}",
     "{\"\xf0\x90\x80\x80\":[\"\xf4\x8f\xbf\xbf\",{\"\xed\x9f\xbf\":\"x\xee\x80\x80\"}]}"},
    {"{\"\\u00e9\xc3\xa9\":\"\\u00e9\xc3\xa9\\n\"}",
     "{\"\xc3\xa9\xc3\xa9\":\"\xc3\xa9\xc3\xa9\\n\"}"},
    {"{\"a\":{\"k\":1},\"b\":{\"k\":1}}", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}"},
    {"{\"k\":{\"k\":{\"k\":1}}}", "{\"k\":{\"k\":{\"k\":1}}}"},
    {"{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}"},
};

Test(json_text, accepts_json)
{
    for (size_t i = 0; i < ROWS(accepted); i++) {
        struct failure failure = {""};
        CLEANUP_JSON json_object *object = NULL;
        enum bottle_result result = json_text_parse("plan", accepted[i].text, &object, &failure);
        cr_expect_eq(result, BOTTLE_OK, "%s: %s", accepted[i].text, failure.message);
        cr_expect_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                    JSON_C_TO_STRING_NOSLASHESCAPE),
                         accepted[i].plain);
    }
}

static void expect_refused(const char *text, const char *says)
{
    struct failure failure = {""};
    json_object *object = (json_object *)&failure; /* any value but NULL */

    cr_expect_eq(json_text_parse("bottle", text, &object, &failure), BOTTLE_INVALID, "%.80s",
                 text == NULL ? "NULL" : text);
    cr_expect_null(object);
    cr_expect(strncmp(failure.message, "bottle", 6) == 0, "%s", failure.message);
    cr_expect_not_null(strstr(failure.message, says),
                       "\"%.80s\" is refused with \"%s\", not \"%s\"", text == NULL ? "NULL" : text,
                       failure.message, says);
    cr_expect(text_is_printable(failure.message, strlen(failure.message)), "%s", failure.message);
}

static const struct {
    const char *text;
    const char *says;
} refused[] = {
    /* the text as a whole */
    {NULL, "no text given"},
    {"", "expected a JSON object, which begins with '{', but the text ends"},
    {" \n ", "line 2, column 2: expected a JSON object"},
    {"null", "expected a JSON object"},
    {"[]", "expected a JSON object, which begins with '{', not \"[\""},
    {"\"text\"", "expected a JSON object"},
    {"22", "expected a JSON object"},
    {"\xef\xbb\xbf{}", "expected a JSON object"},
    {"\xc3\xa9{}", "expected a JSON object, which begins with '{', not \"\xc3\xa9\""},
    {"{\xc3\xa9\"a\":1}", "expected a key in double quotes, not \"\xc3\xa9\""},
    {"{\"a\"\xc3\xa9:1}", "expected ':' after the key, not \"\xc3\xa9\""},
    {"{\"a\":\xc3\xa9}", "expected a JSON value, not \"\xc3\xa9\""},
    {"{\"a\":1\xc3\xa9}", "expected ',' or '}', not \"\xc3\xa9\""},
    {"{\"a\":[1\xc2\xa0]}", "expected ',' or ']'"},
    {"{}\xc2\xa0", "expected nothing after the JSON object"},
    {"{}{}", "column 3: expected nothing after the JSON object, not \"{\""},
    {"{} x", "expected nothing after the JSON object"},
    {"{}\v", "expected nothing after the JSON object"},
    {"{}\xff", "expected nothing after the JSON object, not \"\\xff\""},
    {"{}//x", "expected nothing after the JSON object"},
    {"/**/{}", "expected a JSON object"},
    {"{/**/}", "expected a key in double quotes"},
    {"#\n{}", "expected a JSON object"},
    /* objects and arrays */
    {"{", "expected a key in double quotes, but the text ends"},
    {"{\"a\"", "bottle.a: line 1, column 5: expected ':' after the key, but the text ends"},
    {"{\"a\":", "bottle.a: line 1, column 6: expected a JSON value, but the text ends"},
    {"{\"a\":1", "expected ',' or '}', but the text ends"},
    {"{\"a\":1,}", "expected a key in double quotes, not \"}\""},
    {"{,\"a\":1}", "expected a key in double quotes"},
    {"{\"a\" 1}", "expected ':' after the key"},
    {"{\"a\"=1}", "expected ':' after the key"},
    {"{\"a\":1 \"b\":2}", "expected ',' or '}'"},
    {"{\"a\":1;\"b\":2}", "expected ',' or '}'"},
    {"{a:1}", "expected a key in double quotes"},
    {"{'a':1}", "expected a key in double quotes"},
    {"{1:1}", "expected a key in double quotes"},
    {"{null:1}", "expected a key in double quotes"},
    {"{\"a\":'b'}", "expected a JSON value"},
    {"{\"a\":[1,]}", "bottle.a[1]: line 1, column 9: expected a JSON value"},
    {"{\"a\":[,1]}", "bottle.a[0]"},
    {"{\"a\":[1 2]}", "expected ',' or ']'"},
    {"{\"a\":[1}", "expected ',' or ']'"},
    {"{\"a\":[}", "expected a JSON value"},
    {"{\"a\":}", "expected a JSON value"},
    {"{\"ssh\":[{},{\"Host\":\"a\",\"Port\":}]}", "bottle.ssh[1].Port: line 1, column 31:"},
    {"{\n \"ssh\": [\n  {\"Port\": x}]}", "bottle.ssh[0].Port: line 3, column 12:"},
    /* literals */
    {"{\"a\":TRUE}", "expected a JSON value"},
    {"{\"a\":nUll}", "expected a JSON value"},
    {"{\"a\":tru}", "expected a JSON value"},
    {"{\"a\":truefalse}", "expected ',' or '}'"},
    {"{\"a\":nulll}", "expected ',' or '}'"},
    {"{\"a\":NaN}", "expected a JSON value"},
    {"{\"a\":Infinity}", "expected a JSON value"},
    {"{\"a\":undefined}", "expected a JSON value"},
    /* numbers */
    {"{\"a\":-Infinity}", "expected a digit, not \"I\""},
    {"{\"a\":-}", "expected a digit"},
    {"{\"a\":--1}", "expected a digit"},
    {"{\"a\":+1}", "expected a JSON value"},
    {"{\"a\":.5}", "expected a JSON value"},
    {"{\"a\":1.}", "expected a digit"},
    {"{\"a\":1.e2}", "expected a digit"},
    {"{\"a\":1e}", "expected a digit"},
    {"{\"a\":1e+}", "expected a digit"},
    {"{\"a\":1e+-5}", "expected a digit"},
    {"{\"a\":01}", "a number must not begin with 0"},
    {"{\"a\":-01}", "a number must not begin with 0"},
    {"{\"a\":00}", "a number must not begin with 0"},
    {"{\"a\":0x10}", "expected ',' or '}'"},
    {"{\"a\":1.5.5}", "expected ',' or '}'"},
    {"{\"a\":1_000}", "expected ',' or '}'"},
    {"{\"a\":9223372036854775808}",
     "bottle.a: line 1, column 25: the number 9223372036854775808 does"},
    {"{\"a\":18446744073709551616}", "the number 18446744073709551616 does not fit"},
    {"{\"a\":-9223372036854775809}", "the number -9223372036854775809 does not fit"},
    /* strings */
    {"{\"a\":\"b}", "a string is not closed"},
    {"{\"a", "a string is not closed"},
    {"{\"a\":\"b\\", "after a backslash, but the text ends"},
    {"{\"a\":\"\\x41\"}", "after a backslash, not \"x\""},
    {"{\"a\":\"\\'\"}", "after a backslash"},
    {"{\"a\":\"\\U0041\"}", "after a backslash"},
    {"{\"a\":\"\\u004\"}", "four hexadecimal digits"},
    {"{\"a\":\"\\u00g0\"}", "four hexadecimal digits"},
    {"{\"a\":\"\\u 041\"}", "four hexadecimal digits"},
    {"{\"a\":\"\\u00", "four hexadecimal digits after \\u, but the text ends"},
    {"{\"a\":\"\\u0000\"}", "bottle.a: line 1, column 13: \\u0000 (NUL)"},
    {"{\"a\\u0000b\":1}", "\\u0000 (NUL)"},
    {"{\"a\":\"\\ud800\"}", "\\ud800 is half a surrogate pair"},
    {"{\"a\":\"\\ud800\\u0041\"}", "\\ud800 is half a surrogate pair"},
    {"{\"a\":\"\\ud800\\ud800\"}", "\\ud800 is half a surrogate pair"},
    {"{\"a\":\"\\ud800x\"}", "\\ud800 is half a surrogate pair"},
    {"{\"a\":\"\\udc00\"}", "\\udc00 is half a surrogate pair"},
    {"{\"a\":\"\\udc00\\ud800\"}", "\\udc00 is half a surrogate pair"},
    {"{\"a\\udfff\":1}", "\\udfff is half a surrogate pair"},
    {"{\"a\":\"x\ny\"}", "control character 0x0a in a string: write it as \\u000a"},
    {"{\"a\":\"x\ty\"}", "control character 0x09"},
    {"{\"a\x01\":1}", "control character 0x01"},
    {"{\"a\":\"\x1f\"}", "control character 0x1f"},
    {"{\"a\":\"\x80\"}", "invalid UTF-8 in a string: byte 0x80"},
    {"{\"a\":\"\xc3\"}", "byte 0xc3"},
    {"{\"a\":\"\xc0\xaf\"}", "byte 0xc0"},
    {"{\"a\":\"\xe0\x80\x80\"}", "byte 0xe0"},
    {"{\"a\":\"\xed\xa0\x80\"}", "byte 0xed"},
    {"{\"a\":\"\xf0\x80\x80\x80\"}", "byte 0xf0"},
    {"{\"a\":\"\xf4\x90\x80\x80\"}", "byte 0xf4"},
    {"{\"a\":\"\xf5\x80\x80\x80\"}", "byte 0xf5"},
    {"{\"a\":\"\xff\"}", "byte 0xff"},
    {"{\"\xff\":1}", "byte 0xff"},
    {"{\"a\":\"\xf0\x9f\x94", "byte 0xf0"}, /* the text ends inside the sequence */
    /* keys that are there twice */
    {"{\"a\":1,\"a\":2}", "bottle: line 1, column 11: the key \"a\" is there twice"},
    {"{\"a\":1,\"a\":1}", "the key \"a\" is there twice"},
    {"{\"a\":null,\"a\":null}", "the key \"a\" is there twice"},
    {"{\"\":1,\"\":2}", "the key \"\" is there twice"},
    {"{\"a\":1,\"b\":2,\"\\u0061\":3}", "the key \"a\" is there twice"},
    {"{\"\\u00e9\":1,\"\xc3\xa9\":2}", "the key \"\xc3\xa9\" is there twice"},
    {"{\"\\ud83d\\udd11\":1,\"\xf0\x9f\x94\x91\":2}", "is there twice"},
    {"{\"a\\/b\":1,\"a/b\":2}", "the key \"a/b\" is there twice"},
    {"{\"a\":{\"k\":1},\"a\":{}}", "bottle: line 1, column 17: the key \"a\" is there twice"},
    {"{\"ssh\":[{},{\"Port\":1,\"Host\":\"a\",\"Port\":1}]}",
     "bottle.ssh[1]: line 1, column 39: the key \"Port\" is there twice: remove one of them"},
    {"{\"a\":[[{\"b\":{\"c\":1,\"c\":2}}]]}", "bottle.a[0][0].b: "},
};

Test(json_text, refuses_everything_else)
{
    for (size_t i = 0; i < ROWS(refused); i++)
        expect_refused(refused[i].text, refused[i].says);
}

/* depth objects and arrays around one number, the outermost an object. */
static void nest(char *text, size_t size, int depth)
{
    FILE *stream = fmemopen(text, size, "w");

    cr_assert_not_null(stream);
    fputs("{\"a\":", stream);
    for (int i = 1; i < depth; i++)
        fputs(i % 2 == 0 ? "{\"a\":" : "[", stream);
    fputs("1", stream);
    for (int i = depth - 1; i >= 1; i--)
        fputs(i % 2 == 0 ? "}" : "]", stream);
    fputs("}", stream);
    cr_assert_eq(fclose(stream), 0);
}

Test(json_text, bounds_depth)
{
    char text[8 * JSON_TEXT_MAX_DEPTH];
    struct failure failure = {""};
    CLEANUP_JSON json_object *object = NULL;

    nest(text, sizeof text, JSON_TEXT_MAX_DEPTH);
    cr_assert_eq(json_text_parse("bottle", text, &object, &failure), BOTTLE_OK, "%s",
                 failure.message);
    nest(text, sizeof text, JSON_TEXT_MAX_DEPTH + 1);
    expect_refused(text,
                   "bottle.a[0].a[0].a[0].a[0].a[0].a[0].a[0].a[0]: line 1, column 49: deeper "
                   "than 16 levels");
}

Test(json_text, a_path_of_long_keys_stays_short)
{
    char text[JSON_TEXT_MAX_DEPTH * 220 + 8];
    size_t used = 0;

    for (int i = 0; i < JSON_TEXT_MAX_DEPTH; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "{\"%0200d\":", i);
    snprintf(text + used, sizeof text - used, "x");
    expect_refused(text, "…: line 1, column ");
    expect_refused(text, "expected a JSON value, not \"x\"");
}

Test(json_text, a_megabyte_of_brackets_is_refused)
{
    char *text = malloc(JSON_TEXT_MAX_BYTES + 1);

    cr_assert_not_null(text);
    memset(text, '[', JSON_TEXT_MAX_BYTES);
    memcpy(text, "{\"a\":", 5);
    text[JSON_TEXT_MAX_BYTES] = '\0';
    expect_refused(text, "deeper than 16 levels");
    free(text);
}

Test(json_text, bounds_length)
{
    char *text = malloc(JSON_TEXT_MAX_BYTES + 2);
    struct failure failure = {""};
    CLEANUP_JSON json_object *object = NULL;

    cr_assert_not_null(text);
    memset(text, ' ', JSON_TEXT_MAX_BYTES + 1);
    memcpy(text, "{}", 2);
    text[JSON_TEXT_MAX_BYTES] = '\0';
    cr_assert_eq(json_text_parse("bottle", text, &object, &failure), BOTTLE_OK, "%s",
                 failure.message);
    text[JSON_TEXT_MAX_BYTES] = ' ';
    text[JSON_TEXT_MAX_BYTES + 1] = '\0';
    expect_refused(text, "longer than 1048576 bytes");
    free(text);
}

static double seconds_to_parse(const char *text, enum bottle_result expected)
{
    struct failure failure = {""};
    CLEANUP_JSON json_object *object = NULL;
    clock_t start = clock();

    cr_assert_eq(json_text_parse("bottle", text, &object, &failure), expected, "%s",
                 failure.message);
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* As many different keys of one object as fit into bytes; the last is the first again if so wanted.
 */
static char *many_keys(size_t bytes, bool repeat)
{
    char *text = malloc(bytes + 1);
    size_t used = 1;

    cr_assert_not_null(text);
    text[0] = '{';
    for (unsigned i = 0; used + 40 < bytes; i++)
        used += (size_t)snprintf(text + used, bytes + 1 - used, "\"%x\":0,", i);
    snprintf(text + used, bytes + 1 - used, "\"%s\":0}", repeat ? "0" : "last");
    return text;
}

/* Four times the text may take four times as long, not sixteen times: with room for noise, ten. */
Test(json_text, time_is_linear_in_the_number_of_keys)
{
    for (int repeat = 0; repeat <= 1; repeat++) {
        enum bottle_result expected = repeat ? BOTTLE_INVALID : BOTTLE_OK;
        char *small = many_keys(JSON_TEXT_MAX_BYTES / 16, repeat);
        char *large = many_keys(JSON_TEXT_MAX_BYTES / 4, repeat);
        double small_best = seconds_to_parse(small, expected);
        double large_best = seconds_to_parse(large, expected);
        for (int i = 0; i < 2; i++) {
            double again = seconds_to_parse(small, expected);
            small_best = again < small_best ? again : small_best;
            again = seconds_to_parse(large, expected);
            large_best = again < large_best ? again : large_best;
        }
        cr_expect(large_best < 10 * small_best, "%f s, then %f s", small_best, large_best);
        free(small);
        free(large);
    }
}

Test(json_text, check_keys_names_the_unknown_key_and_the_known_ones)
{
    static const char *const keys[] = {"Host", "Port", NULL};
    static const char *const none[] = {NULL};
    static const struct {
        const char *text;
        const char *const *keys;
        const char *says; /* NULL where the keys are right */
    } rows[] = {
        {"{}", keys, NULL},
        {"{}", none, NULL},
        {"{\"Host\":1,\"Port\":2}", keys, NULL},
        {"{\"Host\":1,\"Prot\":2}", keys,
         "bottle.ssh[2]: unknown key \"Prot\": the keys are Host, Port"},
        {"{\"port\":2}", keys, "bottle.ssh[2]: unknown key \"port\": did you mean \"Port\"?"},
        {"{\"HOST\":2}", keys, "bottle.ssh[2]: unknown key \"HOST\": did you mean \"Host\"?"},
        {"{\"\":2}", keys, "bottle.ssh[2]: unknown key \"\": the keys are Host, Port"},
        {"{\"a\\nb\":2}", keys, "bottle.ssh[2]: unknown key \"a\\x0ab\": the keys are Host, Port"},
        {"{\"a\":2}", none, "bottle.ssh[2]: unknown key \"a\": the keys are none"},
    };

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct failure failure = {""};
        CLEANUP_JSON json_object *object = NULL;
        cr_assert_eq(json_text_parse("bottle", rows[i].text, &object, &failure), BOTTLE_OK);
        enum bottle_result result =
            json_check_keys(object, "bottle.ssh[2]", rows[i].keys, &failure);
        cr_expect_eq(result, rows[i].says == NULL ? BOTTLE_OK : BOTTLE_INVALID, "row %zu", i);
        cr_expect_str_eq(failure.message, rows[i].says == NULL ? "" : rows[i].says);
    }
}

Test(json_text, printable_is_utf8_without_control_characters)
{
    cr_expect(text_is_printable("", 0));
    cr_expect(text_is_printable("a b~", 4));
    cr_expect(text_is_printable("\xc2\xa0\xe2\x82\xac", 5));
    cr_expect_not(text_is_printable("a\nb", 3));
    cr_expect_not(text_is_printable("a\0b", 3));
    cr_expect_not(text_is_printable("\x7f", 1));
    cr_expect_not(text_is_printable("\xc2\x80", 2));
    cr_expect_not(text_is_printable("\xc2\x9f", 2));
    cr_expect_not(text_is_printable("\xe2\x82\xac", 2));
}
