/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c: a plan survives the way through JSON, and one that was tampered with is refused.
 */
#include "bottle/plan.h"
#include "common/cleanup.h"
#include "common/text/json_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO5oVek6oac/sbglPnUQ4lVic4fw5B60k3AjwivJBBB6"

static char stage_dir[] = "/run/stage";
static char no_network[] = "";
static char internal[] = "/run/netns/web";
static char egress[] = "host";
static char identity_file[] = "~/.ssh/a key \xe2\x82\xac";
static char known_host_key[] = ED25519;

static struct upstream upstreams[] = {
    {.alias = "gitea",
     .host = "gitea.example",
     .listen_port = 30009,
     .port = 30009,
     .user = "git",
     .identity_file = identity_file,
     .known_host_key = known_host_key},
    {.alias = "six", .host = "2001:db8::1", .listen_port = 22, .port = 22},
};

static const struct plan two_upstreams = {
    .slug = "web",
    .stage_dir = stage_dir,
    .upstream_count = 2,
    .upstreams = upstreams,
    .internal_network = internal,
    .egress_network = egress,
};

static void expect_equal_text(const char *got, const char *expected)
{
    cr_expect((got == NULL) == (expected == NULL));
    if (got != NULL && expected != NULL)
        cr_expect_str_eq(got, expected);
}

static void expect_round_trip(const struct plan *plan)
{
    CLEANUP_FREE char *text = plan_to_json(plan);
    CLEANUP_PLAN struct plan back = {0};
    struct failure failure = {""};

    cr_assert_not_null(text);
    cr_assert_eq(plan_from_json(text, &back, &failure), BOTTLE_OK, "%s", failure.message);
    cr_expect_str_eq(back.slug, plan->slug);
    cr_expect_str_eq(back.stage_dir, plan->stage_dir);
    cr_expect_str_eq(back.internal_network, plan->internal_network);
    cr_expect_str_eq(back.egress_network, plan->egress_network);
    cr_assert_eq(back.upstream_count, plan->upstream_count);
    for (size_t i = 0; i < plan->upstream_count; i++) {
        const struct upstream *got = &back.upstreams[i];
        const struct upstream *expected = &plan->upstreams[i];
        cr_expect_str_eq(got->alias, expected->alias);
        cr_expect_str_eq(got->host, expected->host);
        cr_expect_eq(got->listen_port, expected->listen_port);
        cr_expect_eq(got->port, expected->port);
        cr_expect_str_eq(got->user, expected->user);
        expect_equal_text(got->identity_file, expected->identity_file);
        expect_equal_text(got->known_host_key, expected->known_host_key);
    }
    CLEANUP_FREE char *again = plan_to_json(&back);
    cr_expect_str_eq(again, text);
}

Test(plan, survives_the_round_trip)
{
    struct plan plan = two_upstreams;

    expect_round_trip(&plan);
    plan.internal_network = no_network;
    plan.egress_network = no_network;
    expect_round_trip(&plan);
    plan.upstream_count = 0;
    plan.upstreams = NULL;
    expect_round_trip(&plan);
    plan.stage_dir = (char[]){"/"};
    expect_round_trip(&plan);
    CLEANUP_FREE char *text = plan_to_json(&plan);
    cr_expect_not_null(strstr(text, "\"ssh_config\":\"/ssh_config\""), "%s", text);
    plan.stage_dir = (char[]){"/with space/caf\xc3\xa9/'\"$#\\"};
    expect_round_trip(&plan);
}

/* The launcher reads it: the text itself is a contract. */
Test(plan, is_the_json_that_plan_h_shows)
{
    struct plan plan = two_upstreams;
    CLEANUP_FREE char *text = plan_to_json(&plan);

    cr_assert_str_eq(
        text,
        "{\"version\":1,\"sidecar\":\"ssh_gate\",\"slug\":\"web\",\"stage_dir\":\"/run/stage\","
        "\"entrypoint_script\":\"/run/stage/ssh_gate_entrypoint.sh\","
        "\"ssh_config\":\"/run/stage/ssh_config\",\"known_hosts\":\"/run/stage/known_hosts\","
        "\"event_log\":\"/run/stage/ssh_gate_events.jsonl\",\"upstreams\":["
        "{\"bottle_host_alias\":\"gitea\",\"listen_port\":30009,"
        "\"upstream_host\":\"gitea.example\",\"upstream_port\":30009,\"user\":\"git\","
        "\"identity_file\":\"~/.ssh/a key \xe2\x82\xac\",\"known_host_key\":\"" ED25519 "\"},"
        "{\"bottle_host_alias\":\"six\",\"listen_port\":22,\"upstream_host\":\"2001:db8::1\","
        "\"upstream_port\":22}],"
        "\"internal_network\":\"/run/netns/web\",\"egress_network\":\"host\"}");
}

/* A launcher may write the text anew: order and spacing do not matter. */
Test(plan, may_come_back_in_another_shape)
{
    static const char text[] =
        "{ \"egress_network\" : \"host\", \"upstreams\": [ ],\n \"version\": 1,"
        "\"internal_network\":\"127.0.0.1\",\"event_log\":\"\\/s\\/ssh_gate_events.jsonl\","
        "\"known_hosts\":\"/s/known_hosts\",\"ssh_config\":\"/s/ssh_config\","
        "\"entrypoint_script\":\"/s/ssh_gate_entrypoint.sh\",\"stage_dir\":\"\\u002fs\","
        "\"slug\":\"web\",\"sidecar\":\"ssh_gate\"}\n";
    CLEANUP_PLAN struct plan plan = {0};
    struct failure failure = {""};

    cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s", failure.message);
    cr_expect_str_eq(plan.stage_dir, "/s");
    cr_expect_eq(plan.upstream_count, 0);
}

Test(plan, clear_leaves_nothing)
{
    struct plan plan = {0};
    static const struct plan zero = {0};
    CLEANUP_FREE char *text = plan_to_json(&two_upstreams);
    struct failure failure = {""};

    plan_clear(&plan);
    cr_assert_eq(plan_from_json(text, &plan, &failure), BOTTLE_OK, "%s", failure.message);
    plan_clear(&plan);
    cr_expect_eq(memcmp(&plan, &zero, sizeof plan), 0);
}

static void expect_refused(const char *name, const char *text, const char *says)
{
    static const struct plan zero = {0};
    struct plan plan = {0};
    struct failure failure = {""};

    cr_expect_eq(plan_from_json(text, &plan, &failure), BOTTLE_INVALID, "%s: %s", name,
                 failure.message);
    cr_expect_eq(memcmp(&plan, &zero, sizeof plan), 0, "%s: the plan must be cleared", name);
    cr_expect_not_null(strstr(failure.message, says), "%s: \"%s\" does not say \"%s\"", name,
                       failure.message, says);
    cr_expect_not_null(strstr(failure.message, "plan"), "%s: %s", name, failure.message);
    cr_expect(text_is_printable(failure.message, strlen(failure.message)), "%s: %s", name,
              failure.message);
}

/* The good plan with one value replaced; NULL takes the key out.  malloc'ed. */
static char *tampered(const char *where, const char *key, const char *json)
{
    CLEANUP_FREE char *text = plan_to_json(&two_upstreams);
    CLEANUP_JSON json_object *plan = json_tokener_parse(text);
    json_object *object = plan;

    if (strcmp(where, "first") == 0)
        object = json_object_array_get_idx(json_object_object_get(plan, "upstreams"), 0);
    if (strcmp(where, "second") == 0)
        object = json_object_array_get_idx(json_object_object_get(plan, "upstreams"), 1);
    cr_assert_not_null(object);
    json_object_object_del(object, key);
    if (json != NULL) {
        /* json_tokener_parse() has no way to tell null from an error. */
        json_object *value = json_tokener_parse(json);
        cr_assert(value != NULL || strcmp(json, "null") == 0, "%s", json);
        cr_assert_eq(json_object_object_add(object, key, value), 0);
    }
    return strdup(json_object_to_json_string_ext(plan, JSON_C_TO_STRING_PLAIN));
}

static const struct {
    const char *where;
    const char *key;
    const char *json; /* NULL: the key is missing */
    const char *says;
} rows[] = {
    {"plan", "version", NULL, "plan: version is missing"},
    {"plan", "version", "0", "plan: version 0 is not this plugin's"},
    {"plan", "version", "2", "plan: version 2 is not this plugin's"},
    {"plan", "version", "\"1\"", "plan: version \"1\" must be a number, without quotes: 1"},
    {"plan", "version", "1.0",
     "plan: version 1.0 must be written without a fraction or an exponent: 1"},
    {"plan", "version", "null", "plan: version null must be a whole number from 0 to 2147483647"},
    {"plan", "sidecar", NULL, "plan: sidecar is missing"},
    {"plan", "sidecar", "\"pipelock\"", "plan: sidecar \"pipelock\" is another sidecar"},
    {"plan", "sidecar", "\"\"", "plan: sidecar \"\" is another sidecar"},
    {"plan", "sidecar", "1", "plan: sidecar 1 must be of type string"},
    {"plan", "slug", NULL, "plan: slug is missing"},
    {"plan", "slug", "\"\"", "plan: slug \"\" is not valid"},
    {"plan", "slug", "\"../web\"", "plan: slug \"../web\" is not valid"},
    {"plan", "slug", "\"a;reboot\"", "plan: slug \"a;reboot\" is not valid"},
    {"plan", "slug", "\"a1234567890123456789012345678901234567890\"", "plan: slug"},
    {"plan", "slug", "{}", "plan: slug {} must be of type string"},
    {"plan", "stage_dir", NULL, "plan: stage_dir is missing"},
    {"plan", "stage_dir", "\"\"", "plan: stage_dir \"\" is not valid"},
    {"plan", "stage_dir", "\"run/stage\"", "plan: stage_dir \"run/stage\" is not valid"},
    {"plan", "stage_dir", "\"/run/\\nstage\"", "plan: stage_dir \"/run/\\nstage\" is not valid"},
    {"plan", "stage_dir", "\"/run/other\"", "plan: entrypoint_script"},
    {"plan", "stage_dir", "[]", "plan: stage_dir [] must be of type string"},
    {"plan", "entrypoint_script", NULL, "plan: entrypoint_script is missing"},
    {"plan", "entrypoint_script", "\"/etc/passwd\"",
     "plan: entrypoint_script \"/etc/passwd\" is not the file in stage_dir"},
    {"plan", "entrypoint_script", "\"/run/stage/../x/ssh_gate_entrypoint.sh\"",
     "plan: entrypoint_script"},
    {"plan", "entrypoint_script", "null", "plan: entrypoint_script null must be of type string"},
    {"plan", "ssh_config", NULL, "plan: ssh_config is missing"},
    {"plan", "ssh_config", "\"/run/stage/known_hosts\"", "plan: ssh_config"},
    {"plan", "known_hosts", NULL, "plan: known_hosts is missing"},
    {"plan", "known_hosts", "\"/root/.ssh/known_hosts\"", "plan: known_hosts"},
    {"plan", "event_log", NULL, "plan: event_log is missing"},
    {"plan", "event_log", "\"/etc/cron.d/x\"", "plan: event_log \"/etc/cron.d/x\""},
    {"plan", "upstreams", NULL, "plan: upstreams is missing"},
    {"plan", "upstreams", "{}", "plan: upstreams {} must be of type array"},
    {"plan", "upstreams", "null", "plan: upstreams null must be of type array"},
    {"plan", "upstreams", "[null]", "plan.upstreams[0] must be an object"},
    {"plan", "upstreams", "[\"gitea\"]", "plan.upstreams[0] must be an object"},
    {"plan", "upstreams", "[{}]", "plan.upstreams[0]: bottle_host_alias is missing"},
    {"plan", "internal_network", NULL, "plan: internal_network is missing"},
    {"plan", "internal_network", "null", "plan: internal_network null must be of type string"},
    {"plan", "internal_network", "\"a\\nb\"", "plan: internal_network \"a\\nb\" must be one line"},
    {"plan", "internal_network", "\"\\u009b\"", "plan: internal_network \"\\xc2\\x9b\" must be"},
    {"plan", "egress_network", NULL, "plan: egress_network is missing"},
    {"plan", "egress_network", "1", "plan: egress_network 1 must be of type string"},
    {"plan", "egress_network", "\"\\u007f\"", "plan: egress_network \"\\x7f\" must be one line"},
    {"plan", "egress", "\"host\"", "plan: unknown key \"egress\""},
    {"plan", "Version", "1", "plan: unknown key \"Version\": did you mean \"version\"?"},
    {"plan", "", "1", "plan: unknown key \"\""},
    {"first", "bottle_host_alias", NULL, "plan.upstreams[0]: bottle_host_alias is missing"},
    {"first", "bottle_host_alias", "\"\"",
     "plan.upstreams[0]: bottle_host_alias \"\" is not valid"},
    {"first", "bottle_host_alias", "\"*\"", "bottle_host_alias \"*\" is not valid"},
    {"first", "bottle_host_alias", "\"a b\"", "bottle_host_alias \"a b\" is not valid"},
    {"first", "bottle_host_alias", "null", "bottle_host_alias null must be of type string"},
    {"first", "upstream_host", NULL, "plan.upstreams[0]: upstream_host is missing"},
    {"first", "upstream_host", "\"\"", "upstream_host \"\" is not valid"},
    {"first", "upstream_host", "\"Gitea.example\"", "upstream_host \"Gitea.example\" is not valid"},
    {"first", "upstream_host", "\"[::1]\"", "upstream_host \"[::1]\" is not valid"},
    {"first", "upstream_host", "\"127.1\"", "upstream_host \"127.1\" is not valid"},
    {"first", "upstream_host", "\"a;reboot\"", "upstream_host \"a;reboot\" is not valid"},
    {"first", "upstream_host", "\"$(reboot)\"", "upstream_host \"$(reboot)\" is not valid"},
    {"first", "upstream_host", "\"a\\nb\"", "upstream_host \"a\\nb\" is not valid"},
    {"first", "upstream_host", "\"-a\"", "upstream_host \"-a\" is not valid"},
    {"first", "upstream_host", "\"a.\"", "upstream_host \"a.\" is not valid"},
    {"first", "upstream_host", "[\"a\"]", "upstream_host [\"a\"] must be of type string"},
    {"first", "listen_port", NULL, "plan.upstreams[0]: listen_port is missing"},
    {"first", "listen_port", "0", "listen_port 0 must be a whole number from 1 to 65535"},
    {"first", "listen_port", "-1", "listen_port -1 must be a whole number from 1 to 65535"},
    {"first", "listen_port", "65536", "listen_port 65536 must be a whole number from 1 to 65535"},
    {"first", "listen_port", "4294997305",
     "listen_port 4294997305 must be a whole number from 1 to 65535"},
    {"first", "listen_port", "\"30009\"",
     "listen_port \"30009\" must be a number, without quotes: 30009"},
    {"first", "listen_port", "30009.0",
     "listen_port 30009.0 must be written without a fraction or an exponent: 30009"},
    {"first", "listen_port", "3.0009e4", "listen_port 3.0009e4 must be written without"},
    {"first", "listen_port", "30009.5", "listen_port 30009.5 must be a whole number from 1 to"},
    {"first", "listen_port", "1e300", "listen_port 1e300 must be a whole number from 1 to"},
    {"first", "listen_port", "0.0", "listen_port 0.0 must be a whole number from 1 to"},
    {"first", "listen_port", "65536.0", "listen_port 65536.0 must be a whole number from 1 to"},
    {"first", "listen_port", "\"030009x\"", "\"030009x\" must be a whole number from 1 to 65535"},
    {"first", "upstream_port", "30009.0", "upstream_port 30009.0 must be written without a"},
    {"first", "listen_port", "true", "listen_port true must be a whole number from 1 to 65535"},
    {"first", "listen_port", "30010", "upstream_port 30009 must be equal to listen_port"},
    {"first", "upstream_port", NULL, "plan.upstreams[0]: upstream_port is missing"},
    {"first", "upstream_port", "0", "upstream_port 0 must be a whole number from 1 to 65535"},
    {"first", "upstream_port", "22", "upstream_port 22 must be equal to listen_port"},
    {"first", "upstream_port", "\"30009\"",
     "upstream_port \"30009\" must be a number, without quotes: 30009"},
    {"first", "user", "\"\"", "user \"\" is not valid"},
    {"first", "user", "\"git git\"", "user \"git git\" is not valid"},
    {"first", "user", "\"-l\"", "user \"-l\" is not valid"},
    {"first", "user", "\"git\\nProxyCommand x\"", "user \"git\\nProxyCommand x\" is not valid"},
    {"first", "user", "null", "user null must be of type string"},
    {"first", "identity_file", "\"\"", "identity_file \"\" is not valid"},
    {"first", "identity_file", "\"a\\\"b\"", "identity_file \"a\\\"b\" is not valid"},
    {"first", "identity_file", "\"../a\"", "identity_file \"../a\" is not valid"},
    {"first", "identity_file", "\"$HOME\"", "identity_file \"$HOME\" is not valid"},
    {"first", "identity_file", "\"a\\nb\"", "identity_file \"a\\nb\" is not valid"},
    {"first", "identity_file", "{}", "identity_file {} must be of type string"},
    {"first", "known_host_key", "\"\"", "known_host_key \"\" is not valid"},
    {"first", "known_host_key", "\"ssh-ed25519 AAAA\"", "known_host_key"},
    {"first", "known_host_key", "\"" ED25519 " comment\"", "known_host_key"},
    {"first", "known_host_key", "\"" ED25519 "\\n\"", "known_host_key"},
    {"first", "known_host_key", "1", "known_host_key 1 must be of type string"},
    {"first", "Port", "22", "plan.upstreams[0]: unknown key \"Port\""},
    {"first", "upstream_Host", "\"a\"", "unknown key \"upstream_Host\": did you mean"},
    {"second", "upstream_host", "\"[2001:db8::1]\"", "plan.upstreams[1]: upstream_host"},
    {"second", "user", "1", "plan.upstreams[1]: user 1 must be of type string"},
};

Test(plan, tampered_values_are_refused)
{
    for (size_t i = 0; i < ROWS(rows); i++) {
        char name[128];
        CLEANUP_FREE char *text = tampered(rows[i].where, rows[i].key, rows[i].json);
        snprintf(name, sizeof name, "%s.%s %s", rows[i].where, rows[i].key,
                 rows[i].json == NULL ? "missing" : rows[i].json);
        expect_refused(name, text, rows[i].says);
    }
    cr_log_info("%zu tampered plans", ROWS(rows));
}

Test(plan, tampered_text_is_refused)
{
    CLEANUP_FREE char *good = plan_to_json(&two_upstreams);
    CLEANUP_FREE char *doubled = NULL;
    CLEANUP_FREE char *cut = strndup(good, strlen(good) - 1);

    cr_assert_gt(asprintf(&doubled, "%.*s,\"slug\":\"other\"}", (int)strlen(good) - 1, good), 0);
    expect_refused("key twice", doubled, "plan: line 1, column");
    expect_refused("key twice", doubled, "the key \"slug\" is there twice");
    expect_refused("cut", cut, "the text ends");
    expect_refused("empty", "", "the text ends");
    expect_refused("NULL", NULL, "plan: no text given");
    expect_refused("empty object", "{}", "plan: version is missing");
    expect_refused("array", "[]", "expected a JSON object");
}

Test(plan, two_upstreams_on_one_port_are_refused)
{
    struct upstream same[] = {upstreams[0], upstreams[1], upstreams[0]};
    struct plan plan = two_upstreams;
    CLEANUP_FREE char *text = NULL;

    plan.upstreams = same;
    plan.upstream_count = 3;
    text = plan_to_json(&plan);
    expect_refused("one port", text,
                   "plan.upstreams[0] and plan.upstreams[2]: both have listen_port 30009");
}

Test(plan, more_upstreams_than_there_may_be_are_refused)
{
    struct plan plan = two_upstreams;
    struct upstream many[PLAN_MAX_UPSTREAMS + 1] = {0};
    CLEANUP_FREE char *text = NULL;

    for (size_t i = 0; i < ROWS(many); i++) {
        many[i] = upstreams[1];
        many[i].port = many[i].listen_port = (uint16_t)(1000 + i);
    }
    plan.upstreams = many;
    plan.upstream_count = PLAN_MAX_UPSTREAMS;
    expect_round_trip(&plan);
    plan.upstream_count = PLAN_MAX_UPSTREAMS + 1;
    text = plan_to_json(&plan);
    expect_refused("129 upstreams", text, "plan: upstreams has 129 items: at most 128");
}

Test(plan, long_values_are_refused)
{
    char value[2 * PLAN_PATH_SIZE + 3];
    static const struct {
        const char *where;
        const char *key;
    } keys[] = {
        {"plan", "slug"},           {"plan", "stage_dir"},          {"plan", "ssh_config"},
        {"plan", "sidecar"},        {"plan", "internal_network"},   {"plan", "egress_network"},
        {"first", "user"},          {"first", "bottle_host_alias"}, {"first", "upstream_host"},
        {"first", "identity_file"}, {"first", "known_host_key"}};

    memset(value, 'a', sizeof value - 1);
    value[0] = '"';
    value[1] = '/';
    value[sizeof value - 2] = '"';
    value[sizeof value - 1] = '\0';
    for (int slash = 1; slash >= 0; slash--) {
        value[1] = slash ? '/' : 'a';
        for (size_t i = 0; i < ROWS(keys); i++) {
            CLEANUP_FREE char *text = tampered(keys[i].where, keys[i].key, value);
            expect_refused(keys[i].key, text, keys[i].key);
        }
    }
}
