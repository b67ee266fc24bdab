/* SPDX-License-Identifier: MIT */
/*
 * test_loader.c: bottle/host.h takes what it must, refuses the rest with a message for each way,
 * and hands strings and results through.  The plugins are fixtures/fake_sidecar.c.
 */
#include <bottle/host.h>

#include <criterion/criterion.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

/* A directory for one test, and a plugin in it that the test may spoil. */
static char directory[] = "/tmp/test_loader.XXXXXX";
static char plugin_path[128];

static char *fake_path(const char *variant)
{
    char *path = NULL;
    cr_assert(asprintf(&path, "%s/tests/fixtures/fake_%s.so", getenv("BUILD_DIR"), variant) > 0);
    return path;
}

static char *read_fake(const char *variant, size_t *length)
{
    char *path = fake_path(variant);
    FILE *file = fopen(path, "re");
    cr_assert(file != NULL, "%s: %m", path);
    struct stat status;
    cr_assert(fstat(fileno(file), &status) == 0);
    *length = (size_t)status.st_size;
    char *bytes = malloc(*length);
    cr_assert(bytes != NULL);
    cr_assert(fread(bytes, 1, *length, file) == *length);
    cr_assert(fclose(file) == 0);
    free(path);
    return bytes;
}

/* Writes the plugin of this test: exactly these bytes, mode 644. */
static void write_plugin(const void *bytes, size_t length)
{
    FILE *file = fopen(plugin_path, "we");
    cr_assert(file != NULL, "%s: %m", plugin_path);
    cr_assert(fwrite(bytes, 1, length, file) == length);
    cr_assert(fclose(file) == 0);
    cr_assert(chmod(plugin_path, 0644) == 0);
}

static void copy_good(void)
{
    size_t length;
    char *bytes = read_fake("good", &length);
    write_plugin(bytes, length);
    free(bytes);
}

/* The good plugin with another value in its ELF header. */
static void write_with_header(void (*change)(Elf64_Ehdr *header))
{
    size_t length;
    char *bytes = read_fake("good", &length);
    Elf64_Ehdr header;
    memcpy(&header, bytes, sizeof(header));
    change(&header);
    memcpy(bytes, &header, sizeof(header));
    write_plugin(bytes, length);
    free(bytes);
}

static void set_up(void)
{
    cr_assert(mkdtemp(directory) != NULL);
    snprintf(plugin_path, sizeof(plugin_path), "%s/plugin.so", directory);
}

static void tear_down(void)
{
    unlink(plugin_path);
    cr_assert(rmdir(directory) == 0, "%s: %m", directory);
}

TestSuite(loader, .init = set_up, .fini = tear_down);

/* Loading name fails with this result, and a one-line message with both parts in it. */
static void expect_refused(const char *name, enum bottle_result result, const char *part,
                           const char *remedy)
{
    struct bottle_plugin *plugin = (struct bottle_plugin *)directory; /* anything but NULL */
    char *message = NULL;
    enum bottle_result got = bottle_plugin_load(name, &plugin, &message);
    cr_expect_eq(got, result, "%s, not %s: %s", bottle_result_name(got), bottle_result_name(result),
                 message);
    cr_expect_null(plugin);
    cr_assert_not_null(message);
    cr_expect(strstr(message, part) != NULL, "no \"%s\" in: %s", part, message);
    cr_expect(strstr(message, remedy) != NULL, "no \"%s\" in: %s", remedy, message);
    cr_expect(strchr(message, '\n') == NULL, "more than one line: %s", message);
    free(message);
}

static void expect_fake_refused(const char *variant, const char *part, const char *remedy)
{
    char *path = fake_path(variant);
    expect_refused(path, BOTTLE_INVALID, part, remedy);
    free(path);
}

static struct bottle_plugin *load(const char *name)
{
    struct bottle_plugin *plugin = NULL;
    char *message = NULL;
    enum bottle_result result = bottle_plugin_load(name, &plugin, &message);
    cr_assert_eq(result, BOTTLE_OK, "%s: %s", bottle_result_name(result), message);
    cr_assert_not_null(plugin);
    cr_assert_null(message);
    return plugin;
}

static struct bottle_plugin *load_fake(const char *variant)
{
    char *path = fake_path(variant);
    struct bottle_plugin *plugin = load(path);
    free(path);
    return plugin;
}

static void expect_text(char *text, const char *expected)
{
    cr_assert_not_null(text);
    cr_expect_str_eq(text, expected);
    free(text);
}

/* --- what is refused before any of its code runs --- */

Test(loader, no_name)
{
    expect_refused("", BOTTLE_INVALID, "no plugin given", "give the path");
    expect_refused(NULL, BOTTLE_INVALID, "no plugin given", "give the path");
}

Test(loader, not_there)
{
    expect_refused(plugin_path, BOTTLE_UNAVAILABLE, "No such file", "check the path");
}

Test(loader, dangling_symlink)
{
    cr_assert(symlink("nowhere", plugin_path) == 0);
    expect_refused(plugin_path, BOTTLE_UNAVAILABLE, "No such file", plugin_path);
}

Test(loader, directory)
{
    expect_refused(directory, BOTTLE_INVALID, "is a directory", "not a regular file");
}

Test(loader, fifo)
{
    cr_assert(mkfifo(plugin_path, 0600) == 0);
    expect_refused(plugin_path, BOTTLE_INVALID, "FIFO", "not a regular file");
}

Test(loader, text_file)
{
    write_plugin("hello\n", 6);
    expect_refused(plugin_path, BOTTLE_INVALID, "is no ELF file", "give the plugin's .so");
}

Test(loader, empty_file)
{
    write_plugin("", 0);
    expect_refused(plugin_path, BOTTLE_INVALID, "is no ELF file", plugin_path);
}

/* Whatever its length, a part of a plugin is refused and not mapped: mapping it can end in SIGBUS.
 */
Test(loader, truncated)
{
    size_t length;
    char *bytes = read_fake("good", &length);
    write_plugin(bytes, 40);
    expect_refused(plugin_path, BOTTLE_INVALID, "ends inside its ELF header, after 40 bytes",
                   "copy or build it again");
    write_plugin(bytes, 100);
    expect_refused(plugin_path, BOTTLE_INVALID, "is cut short", "copy or build it again");
    write_plugin(bytes, 5000);
    expect_refused(plugin_path, BOTTLE_INVALID, "is cut short", "within its 5000 bytes");
    free(bytes);
}

static void make_object_file(Elf64_Ehdr *header)
{
    header->e_type = ET_REL;
}

static void make_executable(Elf64_Ehdr *header)
{
    header->e_type = ET_EXEC;
}

static void make_foreign(Elf64_Ehdr *header)
{
    header->e_machine = EM_S390;
}

static void make_32_bit(Elf64_Ehdr *header)
{
    header->e_ident[EI_CLASS] = ELFCLASS32;
}

Test(loader, object_file)
{
    write_with_header(make_object_file);
    expect_refused(plugin_path, BOTTLE_INVALID, "an object file", "-shared");
}

Test(loader, executable)
{
    write_with_header(make_executable);
    expect_refused(plugin_path, BOTTLE_INVALID, "an executable", "-shared");
}

Test(loader, position_independent_executable)
{
    expect_refused("/proc/self/exe", BOTTLE_INVALID, "cannot load plugin", "executable");
}

Test(loader, other_machine)
{
    write_with_header(make_foreign);
    expect_refused(plugin_path, BOTTLE_INVALID, "another kind of machine", "build it for this one");
    write_with_header(make_32_bit);
    expect_refused(plugin_path, BOTTLE_INVALID, "another kind of machine", "class 1");
}

static void expect_mode_refused(mode_t mode, const char *who)
{
    char remedy[sizeof(plugin_path) + 16];
    snprintf(remedy, sizeof(remedy), "chmod go-w %s", plugin_path);
    copy_good();
    cr_assert(chmod(plugin_path, mode) == 0);
    expect_refused(plugin_path, BOTTLE_DENIED, who, remedy);
}

Test(loader, group_writable)
{
    expect_mode_refused(0664, "may be written by its group");
}

Test(loader, other_writable)
{
    expect_mode_refused(0646, "may be written by everybody");
}

/* A symlink is followed, and judged by what it leads to. */
Test(loader, writable_behind_symlink)
{
    char link_path[sizeof(plugin_path) + 8];
    snprintf(link_path, sizeof(link_path), "%s.link", plugin_path);
    copy_good();
    cr_assert(symlink(plugin_path, link_path) == 0);
    bottle_plugin_unload(load(link_path));
    cr_assert(chmod(plugin_path, 0666) == 0);
    expect_refused(link_path, BOTTLE_DENIED, "may be written by everybody", plugin_path);
    cr_assert(unlink(link_path) == 0);
}

Test(loader, directory_writable)
{
    char remedy[sizeof(directory) + 16];
    snprintf(remedy, sizeof(remedy), "chmod go-w %s", directory);
    copy_good();
    cr_assert(chmod(directory, 0777) == 0);
    expect_refused(plugin_path, BOTTLE_DENIED, "others may replace it", remedy);
    cr_assert(chmod(directory, 0770) == 0);
    expect_refused(plugin_path, BOTTLE_DENIED, "others may replace it", remedy);
}

/* As in /tmp: nobody else can replace the file there. */
Test(loader, directory_sticky)
{
    copy_good();
    cr_assert(chmod(directory, 01777) == 0);
    bottle_plugin_unload(load(plugin_path));
}

Test(loader, other_owner)
{
    if (geteuid() != 0)
        cr_skip_test("only root can give a file away");
    char remedy[sizeof(plugin_path) + 16];
    snprintf(remedy, sizeof(remedy), "chown 0 %s", plugin_path);
    copy_good();
    cr_assert(chown(plugin_path, NOBODY, NOBODY) == 0);
    expect_refused(plugin_path, BOTTLE_DENIED, "belongs to user 65534", remedy);
}

Test(loader, directory_of_other_owner)
{
    if (geteuid() != 0)
        cr_skip_test("only root can give a directory away");
    char remedy[sizeof(directory) + 16];
    snprintf(remedy, sizeof(remedy), "chown 0 %s", directory);
    copy_good();
    cr_assert(chown(directory, NOBODY, NOBODY) == 0);
    expect_refused(plugin_path, BOTTLE_DENIED, "belongs to user 65534", remedy);
}

Test(loader, not_readable)
{
    copy_good();
    cr_assert(chmod(plugin_path, 0) == 0);
    cr_assert(chmod(directory, 0755) == 0);
    if (geteuid() == 0) {
        cr_assert(chown(plugin_path, NOBODY, NOBODY) == 0);
        cr_assert(seteuid(NOBODY) == 0);
    }
    expect_refused(plugin_path, BOTTLE_DENIED, "Permission denied", "who may read it");
    if (getuid() == 0)
        cr_assert(seteuid(0) == 0);
}

/* --- the table --- */

Test(loader, no_entry)
{
    expect_fake_refused("no_entry", "is no sidecar plugin", "bottle_sidecar_entry");
}

Test(loader, null_table)
{
    expect_fake_refused("null_table", "returned NULL", "must return its table");
}

Test(loader, newer_major)
{
    expect_fake_refused("newer_major", "speaks sidecar ABI 2.1, this launcher speaks 1.x",
                        "use a plugin built for 1.x");
}

Test(loader, truncated_table)
{
    char sizes[64];
    snprintf(sizes, sizeof(sizes), "%zu bytes, sidecar ABI 1.0 has %zu",
             offsetof(struct bottle_sidecar, release),
             offsetof(struct bottle_sidecar, backend_networks));
    expect_fake_refused("truncated_table", sizes, "struct_size");
}

Test(loader, required_fields)
{
    const char *const fields[] = {"name",    "version", "description", "backends",
                                  "prepare", "start",   "stop",        "release"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char variant[32];
        char part[32];
        snprintf(variant, sizeof(variant), "without_%s", fields[i]);
        snprintf(part, sizeof(part), "a table without %s,", fields[i]);
        expect_fake_refused(variant, part, "every sidecar needs");
    }
}

Test(loader, empty_backends)
{
    expect_fake_refused("empty_backends", "a table without backends,", "every sidecar needs");
}

Test(loader, optional_operations)
{
    struct bottle_plugin *plugin = load_fake("without_drain");
    char *message = NULL;
    cr_expect_eq(bottle_plugin_drain(plugin, NULL, "t", 0, &message), BOTTLE_UNSUPPORTED);
    expect_text(message, "fake 0.1 has no operation drain");
    cr_expect_eq(bottle_plugin_drain(plugin, NULL, "t", 0, NULL), BOTTLE_UNSUPPORTED);
    bottle_plugin_unload(plugin);

    plugin = load_fake("without_status");
    char *status = directory;
    cr_expect_eq(bottle_plugin_status(plugin, NULL, "t", &status, &message), BOTTLE_UNSUPPORTED);
    cr_expect_null(status);
    expect_text(message, "fake 0.1 has no operation status");
    bottle_plugin_unload(plugin);
}

/* It has fields that this host does not know; test_newer_host.c has the other way round. */
Test(loader, newer_minor)
{
    struct bottle_plugin *plugin = load_fake("newer_minor");
    const struct bottle_sidecar *table = bottle_plugin_table(plugin);
    cr_expect_eq(table->struct_size, sizeof(struct bottle_sidecar));
    cr_expect_gt(table->abi_minor, BOTTLE_SIDECAR_ABI_MINOR);
    char *plan = NULL;
    cr_expect_eq(bottle_plugin_prepare(plugin, NULL, "later", "s", "d", &plan, NULL), BOTTLE_OK);
    expect_text(plan, "0");
    bottle_plugin_unload(plugin);
}

Test(loader, table)
{
    char *path = fake_path("good");
    char *resolved = realpath(path, NULL);
    struct bottle_plugin *plugin = load(path);
    const struct bottle_sidecar *table = bottle_plugin_table(plugin);
    cr_expect_eq(table->abi_major, 1);
    cr_expect_str_eq(table->name, "fake");
    cr_expect_str_eq(table->version, "0.1");
    cr_expect_str_eq(table->description, "Puts out what it is given");
    cr_expect_str_eq(table->backends[0], "first");
    cr_expect_str_eq(table->backends[1], "second");
    cr_expect_null(table->backends[2]);
    cr_expect_str_eq(bottle_plugin_path(plugin), resolved);
    bottle_plugin_unload(plugin);
    free(resolved);
    free(path);
}

Test(loader, unload_nothing)
{
    bottle_plugin_unload(NULL);
}

/* --- finding by name --- */

Test(loader, by_name)
{
    copy_good();
    char search[2 * sizeof(directory) + 64];
    snprintf(search, sizeof(search), ":/nonexistent::%s:", directory);
    cr_assert(setenv("BOTTLE_SIDECAR_PATH", search, 1) == 0);
    struct bottle_plugin *plugin = load("plugin");
    cr_expect_str_eq(bottle_plugin_path(plugin), plugin_path);
    bottle_plugin_unload(plugin);

    /* A bad file that comes first is not passed over in silence. */
    cr_assert(chmod(plugin_path, 0666) == 0);
    expect_refused("plugin", BOTTLE_DENIED, "may be written by everybody", plugin_path);

    /* An empty directory in the list is not the working directory. */
    cr_assert(chmod(plugin_path, 0644) == 0);
    cr_assert(setenv("BOTTLE_SIDECAR_PATH", ":", 1) == 0);
    cr_assert(chdir(directory) == 0);
    expect_refused("plugin", BOTTLE_UNAVAILABLE, "no plugin.so in /", "BOTTLE_SIDECAR_PATH");
}

Test(loader, by_unknown_name)
{
    cr_assert(setenv("BOTTLE_SIDECAR_PATH", directory, 1) == 0);
    char part[sizeof(directory) + 64];
    snprintf(part, sizeof(part), "no no_such.so in %s:/", directory);
    expect_refused("no_such", BOTTLE_UNAVAILABLE, part, "install it");
    cr_assert(unsetenv("BOTTLE_SIDECAR_PATH") == 0);
    expect_refused("no_such", BOTTLE_UNAVAILABLE, "/bottle: install it", "give a path");
}

/* --- operations --- */

struct logged {
    enum bottle_log_level level;
    char text[32];
};

static void record_log(void *log_context, enum bottle_log_level level, const char *text)
{
    struct logged *logged = log_context;
    logged->level = level;
    snprintf(logged->text, sizeof(logged->text), "%s", text);
}

static void expect_unreleased(const struct bottle_plugin *plugin, int count)
{
    char expected[64];
    char *status = NULL;
    snprintf(expected, sizeof(expected), "%zu x %d", sizeof(struct bottle_status), count);
    cr_assert_eq(bottle_plugin_status(plugin, NULL, "x", &status, NULL), BOTTLE_OK);
    expect_text(status, expected);
}

Test(loader, operations)
{
    struct bottle_plugin *plugin = load_fake("good");
    struct logged logged = {BOTTLE_LOG_ERROR, ""};
    const struct bottle_host host = {sizeof(host), record_log, &logged};
    char expected[128];
    char *output = NULL;
    char *message = directory; /* must become NULL */

    cr_expect_eq(bottle_plugin_prepare(plugin, &host, "{}", "slug", "/stage", &output, &message),
                 BOTTLE_OK);
    cr_expect_null(message);
    snprintf(expected, sizeof(expected), "%zu {} slug /stage", sizeof(struct bottle_prepare));
    expect_text(output, expected);
    cr_expect_eq(logged.level, BOTTLE_LOG_INFO);
    cr_expect_str_eq(logged.text, "slug");

    cr_expect_eq(bottle_plugin_start(plugin, NULL, "p", "b", "o", "t", &output, NULL), BOTTLE_OK);
    snprintf(expected, sizeof(expected), "%zu p b o t", sizeof(struct bottle_start));
    expect_text(output, expected);
    cr_expect_eq(bottle_plugin_start(plugin, NULL, "p", NULL, NULL, NULL, &output, &message),
                 BOTTLE_OK);
    snprintf(expected, sizeof(expected), "%zu p (none) (none) (none)", sizeof(struct bottle_start));
    expect_text(output, expected);

    cr_expect_eq(bottle_plugin_stop(plugin, NULL, "quiet", &message), BOTTLE_OK);
    cr_expect_null(message);
    cr_expect_eq(bottle_plugin_stop(plugin, NULL, "t", &message), BOTTLE_TIMEOUT);
    snprintf(expected, sizeof(expected), "%zu t", sizeof(struct bottle_stop));
    expect_text(message, expected);

    cr_expect_eq(bottle_plugin_drain(plugin, NULL, "t", -1, &message), BOTTLE_NOT_FOUND);
    snprintf(expected, sizeof(expected), "%zu t -1", sizeof(struct bottle_drain));
    expect_text(message, expected);

    expect_unreleased(plugin, 0);
    bottle_plugin_unload(plugin);
}

/* A failure's output is NULL, and its message outlives the plugin. */
Test(loader, failure)
{
    struct bottle_plugin *plugin = load_fake("good");
    char *target = directory;
    char *message = NULL;
    cr_expect_eq(bottle_plugin_start(plugin, NULL, "conflict", NULL, NULL, NULL, &target, NULL),
                 BOTTLE_CONFLICT);
    cr_expect_eq(bottle_plugin_start(plugin, NULL, "conflict", NULL, NULL, NULL, &target, &message),
                 BOTTLE_CONFLICT);
    cr_expect_null(target);
    expect_unreleased(plugin, 0);
    bottle_plugin_unload(plugin);
    expect_text(message, "port 22 is taken");
}

Test(loader, unknown_result)
{
    struct bottle_plugin *plugin = load_fake("good");
    char *plan = directory;
    char *message = NULL;
    cr_expect_eq(bottle_plugin_prepare(plugin, NULL, "unknown result", "s", "d", &plan, &message),
                 BOTTLE_INTERNAL);
    cr_expect_null(plan);
    expect_text(message, "fake: prepare returned 99, which this launcher does not know: the moon "
                         "is in the way");
    expect_unreleased(plugin, 0);
    bottle_plugin_unload(plugin);
}

Test(loader, missing_output)
{
    struct bottle_plugin *plugin = load_fake("good");
    char *output = directory;
    char *message = NULL;
    cr_expect_eq(bottle_plugin_prepare(plugin, NULL, "no output", "s", "d", &output, &message),
                 BOTTLE_INTERNAL);
    cr_expect_null(output);
    expect_text(message, "fake: prepare returned ok without its output");

    cr_expect_eq(
        bottle_plugin_start(plugin, NULL, "no reason", NULL, NULL, NULL, &output, &message),
        BOTTLE_DENIED);
    expect_text(message, "fake: start failed (denied) and gave no reason");
    bottle_plugin_unload(plugin);
}

/* Two copies of one plugin share nothing: each has its own variables. */
Test(loader, two_copies)
{
    copy_good();
    struct bottle_plugin *first = load_fake("good");
    struct bottle_plugin *second = load(plugin_path);
    const struct bottle_sidecar *first_table = bottle_plugin_table(first);
    const struct bottle_sidecar *second_table = bottle_plugin_table(second);
    cr_expect_neq(first_table, second_table);
    cr_expect_neq((const void *)first_table->backends, (const void *)second_table->backends);

    /* One text of the first, held: the second counts none. */
    struct bottle_stop arguments = {sizeof(arguments), NULL, "held", NULL};
    cr_assert_eq(first_table->stop(&arguments), BOTTLE_TIMEOUT);
    expect_unreleased(first, 1);
    expect_unreleased(second, 0);
    first_table->release(arguments.message);

    bottle_plugin_unload(first);
    expect_unreleased(second, 0);
    bottle_plugin_unload(second);
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            count++;
    return count;
}

/* Neither success nor any refusal keeps a descriptor. */
Test(loader, descriptors)
{
    size_t before = open_descriptors();
    copy_good();
    for (int i = 0; i < 10; i++) {
        bottle_plugin_unload(load(plugin_path));
        expect_refused(directory, BOTTLE_INVALID, "is a directory", directory);
        expect_fake_refused("newer_major", "speaks sidecar ABI 2.1", "1.x");
    }
    cr_expect_eq(open_descriptors(), before);
}

Test(loader, result_names)
{
    cr_expect_str_eq(bottle_result_name(BOTTLE_OK), "ok");
    cr_expect_str_eq(bottle_result_name(BOTTLE_NOT_FOUND), "not found");
    cr_expect_str_eq(bottle_result_name(BOTTLE_INTERNAL), "internal");
    cr_expect_str_eq(bottle_result_name((enum bottle_result)9), "unknown");
    cr_expect_str_eq(bottle_result_name((enum bottle_result) - 1), "unknown");
}
