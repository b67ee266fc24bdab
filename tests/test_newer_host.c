/* SPDX-License-Identifier: MIT */
/*
 * test_newer_host.c: a host of a later minor version (abi/newer_minor.sed), with host.c built for it,
 * runs plugins of the present version and of its own.  test_loader.c has the present host with newer
 * plugins, abi.sh the whole life of gates between all of them.
 */
#include "directory.h"

#include <bottle/host.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef BOTTLE_LATER
#error "this is not the header of a later version"
#endif

#define OLDER_GATE "plugin/ssh_gate.so"
#define NEWER_GATE "tests/fixtures/ssh_gate_newer_minor.so"
#define OLDER_FAKE "tests/fixtures/fake_good.so"
#define NEWER_FAKE "tests/fixtures/fake_newer_minor.so"

static struct bottle_plugin *plugin;
static const struct bottle_sidecar *table;

static void load(const char *file)
{
    char path[4096];
    char *message = NULL;

    (void)snprintf(path, sizeof path, "%s/%s", getenv("BUILD_DIR"), file);
    cr_assert_eq(bottle_plugin_load(path, &plugin, &message), BOTTLE_OK, "%s", message);
    table = bottle_plugin_table(plugin);
}

static void tear_down(void)
{
    bottle_plugin_unload(plugin);
}

TestSuite(newer_host, .fini = tear_down);

/* The operation has this result, and a message with part in it; "": no message.  Frees the message. */
static void expect(enum bottle_result result, enum bottle_result expected, char **message,
                   const char *part)
{
    const char *text = *message ? *message : "";

    cr_expect_eq(result, expected, "%s, not %s: %s", bottle_result_name(result),
                 bottle_result_name(expected), text);
    cr_expect(part[0] ? strstr(text, part) != NULL : !*message, "no \"%s\" in: %s", part, text);
    table->release(*message);
    *message = NULL;
}

/* ---- the table ---- */

Test(newer_host, takes_what_an_older_table_lacks_as_zero)
{
    load(OLDER_FAKE);
    cr_expect_eq(table->abi_major, BOTTLE_SIDECAR_ABI_MAJOR);
    cr_expect_lt(table->abi_minor, BOTTLE_SIDECAR_ABI_MINOR);
    cr_expect_eq(table->struct_size, sizeof(struct bottle_sidecar));
    cr_expect_eq(table->later, 0);
}

Test(newer_host, sees_all_of_a_table_of_its_own_version)
{
    load(NEWER_FAKE);
    cr_expect_eq(table->abi_minor, BOTTLE_SIDECAR_ABI_MINOR);
    cr_expect_eq(table->later, UINT64_MAX);
}

/* ---- arguments ---- */

Test(newer_host, is_understood_by_a_plugin_of_its_own_version)
{
    struct bottle_prepare arguments = {
        .struct_size = sizeof arguments, .bottle = "later", .later = 7};

    load(NEWER_FAKE);
    cr_expect_eq(table->prepare(&arguments), BOTTLE_OK);
    cr_expect_str_eq(arguments.plan, "7");
    table->release(arguments.plan);
}

/* By the loader, which sets nothing to anything but zero that the older plugin does not know. */
Test(newer_host, runs_an_older_gate)
{
    char *text = NULL, *message = NULL;

    load(OLDER_GATE);
    cr_expect_eq(bottle_plugin_prepare(plugin, NULL, "{}", "UPPER", "/", &text, &message),
                 BOTTLE_INVALID);
    cr_expect(message && strstr(message, "slug"), "%s", message);
    free(message);
    cr_expect_eq(bottle_plugin_stop(plugin, NULL, "native:newer-host", NULL), BOTTLE_OK);
    cr_expect_eq(bottle_plugin_drain(plugin, NULL, "native:newer-host", 0, NULL), BOTTLE_NOT_FOUND);
    cr_expect_eq(bottle_plugin_status(plugin, NULL, "native:newer-host", &text, NULL),
                 BOTTLE_NOT_FOUND);
}

/* Each operation, asked for what it does not know, says so and does nothing. */
Test(newer_host, asks_an_older_gate_for_too_much)
{
    static const char part[] = "sidecar ABI 1.1 does not have";
    char stage_dir[] = "/tmp/test_newer_host.XXXXXX";

    cr_assert_not_null(mkdtemp(stage_dir));
    load(OLDER_GATE);
    struct bottle_prepare prepare = {.struct_size = sizeof prepare,
                                     .bottle = "{}",
                                     .slug = "newer-host",
                                     .stage_dir = stage_dir,
                                     .plan = stage_dir,
                                     .later = 1};
    expect(table->prepare(&prepare), BOTTLE_UNSUPPORTED, &prepare.message, part);
    cr_expect_null(prepare.plan);
    cr_expect_eq(directory_count(stage_dir), 0);
    struct bottle_start start = {
        .struct_size = sizeof start, .plan = "{}", .target = stage_dir, .later = 1ULL << 63};
    expect(table->start(&start), BOTTLE_UNSUPPORTED, &start.message, part);
    cr_expect_null(start.target);
    struct bottle_stop stop = {.struct_size = sizeof stop, .target = "native:a", .later = 1};
    expect(table->stop(&stop), BOTTLE_UNSUPPORTED, &stop.message, part);
    struct bottle_drain drain = {.struct_size = sizeof drain, .target = "native:a", .later = 1};
    expect(table->drain(&drain), BOTTLE_UNSUPPORTED, &drain.message, part);
    struct bottle_status status = {
        .struct_size = sizeof status, .target = "native:a", .status = stage_dir, .later = 1};
    expect(table->status(&status), BOTTLE_UNSUPPORTED, &status.message, part);
    cr_expect_null(status.status);

    /* Nothing asked for: as ever. */
    prepare.later = 0;
    expect(table->prepare(&prepare), BOTTLE_OK, &prepare.message, "");
    cr_expect_not_null(prepare.plan);
    table->release(prepare.plan);
    cr_expect_gt(directory_count(stage_dir), 0);
    cr_assert(directory_remove(stage_dir));
}

/* What the host offers beyond what the plugin knows is left alone. */
Test(newer_host, offers_an_older_gate_more)
{
    const struct bottle_host host = {.struct_size = sizeof host, .later = UINT64_MAX};
    struct bottle_stop stop = {
        .struct_size = sizeof stop, .host = &host, .target = "native:newer-host"};

    load(OLDER_GATE);
    expect(table->stop(&stop), BOTTLE_OK, &stop.message, "");
}

/* The newer gate knows the field, so it is no more than it can do. */
Test(newer_host, asks_a_gate_of_its_own_version)
{
    struct bottle_stop stop = {
        .struct_size = sizeof stop, .target = "native:newer-host", .later = 1};

    load(NEWER_GATE);
    expect(table->stop(&stop), BOTTLE_OK, &stop.message, "");
}

/* ---- less than version 1.0 ---- */

/* Whatever its version, a plugin that gets less than version 1.0 had writes nothing. */
static void expect_truncated_refused(const char *file)
{
    char untouched[] = "untouched";

    load(file);
    struct bottle_prepare prepare = {.struct_size = offsetof(struct bottle_prepare, message),
                                     .plan = untouched,
                                     .message = untouched};
    cr_expect_eq(table->prepare(&prepare), BOTTLE_INVALID);
    cr_expect_eq(prepare.plan, untouched);
    cr_expect_eq(prepare.message, untouched);
    struct bottle_start start = {.struct_size = 0, .target = untouched, .message = untouched};
    cr_expect_eq(table->start(&start), BOTTLE_INVALID);
    cr_expect_eq(start.target, untouched);
    cr_expect_eq(start.message, untouched);
    struct bottle_stop stop = {.struct_size = sizeof(size_t), .message = untouched};
    cr_expect_eq(table->stop(&stop), BOTTLE_INVALID);
    cr_expect_eq(stop.message, untouched);
    struct bottle_drain drain = {.struct_size = offsetof(struct bottle_drain, message) + 1,
                                 .message = untouched};
    cr_expect_eq(table->drain(&drain), BOTTLE_INVALID);
    cr_expect_eq(drain.message, untouched);
    struct bottle_status status = {.struct_size = offsetof(struct bottle_status, status),
                                   .status = untouched,
                                   .message = untouched};
    cr_expect_eq(table->status(&status), BOTTLE_INVALID);
    cr_expect_eq(status.status, untouched);
    cr_expect_eq(status.message, untouched);
    cr_expect_eq(table->status(NULL), BOTTLE_INVALID);
}

Test(newer_host, truncated_arguments)
{
    expect_truncated_refused(OLDER_GATE);
}

Test(newer_host, truncated_arguments_to_a_newer_gate)
{
    expect_truncated_refused(NEWER_GATE);
}

Test(newer_host, truncated_host)
{
    const struct bottle_host host = {.struct_size = offsetof(struct bottle_host, log_context)};
    struct bottle_stop stop = {
        .struct_size = sizeof stop, .host = &host, .target = "native:newer-host"};

    load(OLDER_GATE);
    expect(table->stop(&stop), BOTTLE_INVALID, &stop.message, "host has a struct_size of 16");
}
