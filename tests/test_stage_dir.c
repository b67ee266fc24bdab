/* SPDX-License-Identifier: MIT */
/*
 * test_stage_dir.c: files in a stage directory are written complete or not at all, and nothing
 * outside of it is reached.
 */
#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_text.h"
#include "directory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NOBODY      65534
#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

/* Each test is a process and works in a directory of its own, with a stage dir "stage" in it. */
static char root[] = "/tmp/test_stage_dir.XXXXXX";

static char *path_of(const char *name)
{
    char *path = NULL;

    cr_assert(asprintf(&path, "%s/%s", root, name) > 0);
    return path;
}

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(root));
    cr_assert_eq(chdir(root), 0);
    cr_assert_eq(mkdir("stage", 0700), 0);
}

static void tear_down(void)
{
    cr_assert(directory_remove(root), "%s: %m", root);
}

/* A test that is skipped ends there and then. */
static void skip_unless_root(const char *why)
{
    if (geteuid() == 0)
        return;
    tear_down();
    cr_skip_test("%s", why);
}

TestSuite(stage_dir, .init = set_up, .fini = tear_down);

static void make_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "we");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

/* The whole file; malloc'ed. */
static char *read_file(const char *name)
{
    CLEANUP_FD int fd = open(name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat file;

    cr_assert_geq(fd, 0, "%s", name);
    cr_assert_eq(fstat(fd, &file), 0);
    char *text = calloc(1, (size_t)file.st_size + 1);
    cr_assert_eq(read(fd, text, (size_t)file.st_size), file.st_size);
    return text;
}

static void expect_text(const char *name, const char *expected)
{
    CLEANUP_FREE char *text = read_file(name);

    cr_expect_str_eq(text, expected);
}

static int open_stage(void)
{
    struct failure failure = {""};
    int fd;

    cr_assert_eq(stage_dir_open("stage", &fd, NULL, &failure), BOTTLE_OK, "%s", failure.message);
    return fd;
}

static enum bottle_result write_files(int fd, const struct stage_file *files, size_t count,
                                      struct failure *failure)
{
    failure->message[0] = '\0';
    return stage_dir_write(fd, "STAGE", files, count, failure);
}

static void expect_open_fails(const char *path, enum bottle_result expected, const char *says)
{
    struct failure failure = {""};
    char *absolute = root;
    int fd = 0;

    cr_expect_eq(stage_dir_open(path, &fd, &absolute, &failure), expected, "%s: %s", path,
                 failure.message);
    cr_expect_eq(fd, -1);
    cr_expect_null(absolute);
    cr_expect_not_null(strstr(failure.message, says), "%s: \"%s\" does not say \"%s\"", path,
                       failure.message, says);
    cr_expect(text_is_printable(failure.message, strlen(failure.message)));
}

/* --- opening --- */

Test(stage_dir, opens_and_resolves)
{
    static const char *const ways[] = {"stage",     "stage/",         "stage//",   "stage/.",
                                       "stage/./.", "stage/../stage", ".//stage/", "parent/stage"};
    CLEANUP_FREE char *expected = path_of("stage");

    cr_assert_eq(symlink(".", "parent"), 0); /* a symlink further up is the launcher's business */
    cr_assert_eq(chdir(root), 0);
    for (size_t i = 0; i < ROWS(ways); i++) {
        for (int absolute_way = 0; absolute_way <= 1; absolute_way++) {
            CLEANUP_FREE char *whole = path_of(ways[i]);
            CLEANUP_FREE char *absolute = NULL;
            CLEANUP_FD int fd = -1;
            struct failure failure = {""};
            cr_expect_eq(stage_dir_open(absolute_way ? whole : ways[i], &fd, &absolute, &failure),
                         BOTTLE_OK, "%s: %s", ways[i], failure.message);
            cr_assert_geq(fd, 0);
            cr_expect_str_eq(absolute, expected);
            cr_expect_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        }
    }
    cr_assert_eq(chdir("stage"), 0);
    CLEANUP_FREE char *absolute = NULL;
    CLEANUP_FD int fd = -1;
    struct failure failure = {""};
    cr_expect_eq(stage_dir_open(".", &fd, &absolute, &failure), BOTTLE_OK, "%s", failure.message);
    cr_expect_str_eq(absolute, expected);
    cr_assert_eq(chdir("/"), 0);
}

Test(stage_dir, refuses_what_is_no_directory)
{

    make_file("file", "text");
    cr_assert_eq(mkfifo("fifo", 0600), 0);
    expect_open_fails(NULL, BOTTLE_INVALID, "no path given");
    expect_open_fails("", BOTTLE_INVALID, "no path given");
    expect_open_fails("missing", BOTTLE_UNAVAILABLE, "make the directory first");
    expect_open_fails("missing", BOTTLE_UNAVAILABLE, "missing");
    expect_open_fails("file", BOTTLE_INVALID, "is a regular file: give the path of a directory");
    expect_open_fails("file/stage", BOTTLE_INVALID, "Not a directory");
    expect_open_fails("fifo", BOTTLE_INVALID, "is a FIFO");
    expect_open_fails("/dev/null", BOTTLE_INVALID, "is a device");
}

Test(stage_dir, refuses_a_symlink)
{
    static const char *const ways[] = {"link", "link/", "link//", "link/.", "link/./", "link/.//."};

    cr_assert_eq(symlink("stage", "link"), 0);
    cr_assert_eq(symlink("missing", "dangling"), 0);
    for (size_t i = 0; i < ROWS(ways); i++) {
        CLEANUP_FREE char *path = path_of(ways[i]);
        expect_open_fails(path, BOTTLE_INVALID, "is a symlink");
    }
    expect_open_fails("dangling", BOTTLE_INVALID, "is a symlink");
}

Test(stage_dir, refuses_a_path_that_is_not_printable_text)
{

    cr_assert_eq(mkdir("caf\xe9", 0700), 0);
    cr_assert_eq(mkdir("caf\xe9/stage", 0700), 0);
    cr_assert_eq(mkdir("a\nb", 0700), 0);
    cr_assert_eq(symlink("caf\xe9", "way_round"), 0);
    expect_open_fails("caf\xe9", BOTTLE_INVALID, "caf\\xe9: the path must be UTF-8");
    expect_open_fails("a\nb", BOTTLE_INVALID, "a\\x0ab: the path must be UTF-8");
    expect_open_fails("way_round/stage", BOTTLE_INVALID, "its absolute path");
}

Test(stage_dir, refuses_a_path_that_is_too_long)
{
    char *path = malloc(64 << 10);

    cr_assert_not_null(path);
    memset(path, 'a', (64 << 10) - 1);
    path[0] = '/';
    path[(64 << 10) - 1] = '\0';
    expect_open_fails(path, BOTTLE_INVALID, "File name too long");
    free(path);
}

Test(stage_dir, refuses_a_directory_that_others_may_write)
{
    static const struct {
        mode_t mode;
        bool refused;
    } rows[] = {{0700, false}, {0755, false},  {0770, true},  {0707, true},
                {0722, true},  {01777, false}, {01770, false}};

    for (size_t i = 0; i < ROWS(rows); i++) {
        struct failure failure = {""};
        CLEANUP_FD int fd = -1;
        cr_assert_eq(chmod("stage", rows[i].mode), 0);
        if (rows[i].refused)
            expect_open_fails("stage", BOTTLE_DENIED, "run \"chmod go-w\" on it");
        else
            cr_expect_eq(stage_dir_open("stage", &fd, NULL, &failure), BOTTLE_OK, "mode %o: %s",
                         (unsigned)rows[i].mode, failure.message);
    }
}

/* Runs test with the rights of a user who is not root. */
static void as_nobody(void (*test)(void))
{
    bool is_root = geteuid() == 0;

    if (is_root)
        cr_assert(setegid(NOBODY) == 0 && seteuid(NOBODY) == 0);
    test();
    if (is_root)
        cr_assert(seteuid(0) == 0 && setegid(0) == 0);
}

static void open_not_writable(void)
{
    expect_open_fails("stage", BOTTLE_DENIED, "stage is not writable: Permission denied");
}

Test(stage_dir, refuses_a_directory_that_is_not_writable)
{
    cr_assert_eq(chmod(".", 0755), 0);
    cr_assert_eq(chmod("stage", 0555), 0);
    as_nobody(open_not_writable);
    cr_assert_eq(chmod("stage", 0755), 0);
}

static void open_of_another_user(void)
{
    expect_open_fails("stage", BOTTLE_DENIED, "belongs to user 1: give a directory of user 65534");
}

/* Also where its mode lets us write: its owner could replace what we write. */
Test(stage_dir, refuses_a_directory_of_another_user)
{
    skip_unless_root("only root can give a directory away");
    cr_assert_eq(chmod(".", 0755), 0);
    cr_assert_eq(chmod("stage", 01777), 0);
    cr_assert_eq(chown("stage", 1, 1), 0);
    expect_open_fails("stage", BOTTLE_DENIED, "belongs to user 1: give a directory of user 0");
    as_nobody(open_of_another_user);
}

Test(stage_dir, failures_leave_no_descriptor)
{
    struct failure failure;
    int fd;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    cr_assert_eq(close(lowest), 0);
    make_file("file", "text");
    cr_expect_eq(stage_dir_open("file", &fd, NULL, &failure), BOTTLE_INVALID);
    cr_assert_eq(chmod("stage", 0777), 0);
    cr_expect_eq(stage_dir_open("stage", &fd, NULL, &failure), BOTTLE_DENIED);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    cr_expect_eq(fd, lowest);
    cr_assert_eq(close(fd), 0);
}

/* --- writing --- */

static const struct stage_file three[] = {
    {"one", 0600, "first\n"},
    {"two", 0644, "second\n"},
    {"three", 0400, ""},
};

Test(stage_dir, writes_files_with_exact_modes)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    for (size_t i = 0; i < ROWS(masks); i++) {
        mode_t before = umask(masks[i]);
        enum bottle_result result = write_files(fd, three, ROWS(three), &failure);
        cr_expect_eq(umask(before), masks[i], "the umask must stay as it was");
        cr_assert_eq(result, BOTTLE_OK, "%s", failure.message);
        for (size_t j = 0; j < ROWS(three); j++) {
            struct stat file;
            cr_assert_eq(fstatat(fd, three[j].name, &file, AT_SYMLINK_NOFOLLOW), 0);
            cr_expect_eq(file.st_mode, S_IFREG | three[j].mode, "%s under umask %o: %o",
                         three[j].name, (unsigned)masks[i], (unsigned)file.st_mode);
            cr_expect_eq(file.st_nlink, 1);
        }
    }
    expect_text("stage/one", "first\n");
    expect_text("stage/two", "second\n");
    expect_text("stage/three", "");
    cr_expect_eq(directory_count("stage"), 3);
}

Test(stage_dir, writes_nothing_for_no_files)
{
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    cr_expect_eq(write_files(fd, NULL, 0, &failure), BOTTLE_OK);
    cr_expect_eq(directory_count("stage"), 0);
}

/* The old file is replaced, not written to: who has it open, or linked, keeps the old text. */
Test(stage_dir, replaces_existing_files)
{
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    make_file("stage/one", "old\n");
    cr_assert_eq(link("stage/one", "kept"), 0);
    cr_assert_eq(write_files(fd, three, ROWS(three), &failure), BOTTLE_OK, "%s", failure.message);
    expect_text("stage/one", "first\n");
    expect_text("kept", "old\n");
    cr_expect_eq(directory_count("stage"), 3);
}

/* The directory that was opened is the one that is written to, whatever its path leads to now. */
Test(stage_dir, writes_into_the_directory_that_was_opened)
{
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    cr_assert_eq(rename("stage", "moved"), 0);
    cr_assert_eq(mkdir("trap", 0700), 0);
    cr_assert_eq(symlink("trap", "stage"), 0);
    cr_assert_eq(write_files(fd, three, ROWS(three), &failure), BOTTLE_OK, "%s", failure.message);
    expect_text("moved/one", "first\n");
    cr_expect_eq(directory_count("trap"), 0);
}

/* What stands in the way of the third file, and what the message calls it. */
static void make_symlink(const char *path)
{
    cr_assert_eq(symlink("../target", path), 0);
}

static void make_dangling_symlink(const char *path)
{
    cr_assert_eq(symlink("../missing", path), 0);
}

static void make_directory(const char *path)
{
    cr_assert_eq(mkdir(path, 0700), 0);
}

static void make_fifo(const char *path)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
}

static const struct {
    void (*make)(const char *path);
    const char *says;
} obstacles[] = {
    {make_symlink, "STAGE: three is a symlink where a file must go: remove it"},
    {make_dangling_symlink, "three is a symlink where a file must go: remove it"},
    {make_directory, "three is a directory where a file must go: remove it"},
    {make_fifo, "three is a FIFO where a file must go: remove it"},
};

Test(stage_dir, an_obstacle_is_named_and_nothing_changes)
{
    CLEANUP_FD int fd = open_stage();

    make_file("target", "target\n");
    make_file("stage/two", "old\n");
    for (size_t i = 0; i < ROWS(obstacles); i++) {
        struct failure failure;
        struct stat before;
        struct stat after;
        obstacles[i].make("stage/three");
        cr_assert_eq(lstat("stage/three", &before), 0);
        cr_expect_eq(write_files(fd, three, ROWS(three), &failure), BOTTLE_INVALID);
        cr_expect_not_null(strstr(failure.message, obstacles[i].says), "%s", failure.message);
        cr_assert_eq(lstat("stage/three", &after), 0);
        cr_expect_eq(after.st_ino, before.st_ino);
        cr_expect_eq(directory_count("stage"), 2);
        expect_text("stage/two", "old\n");
        expect_text("target", "target\n");
        cr_assert_eq(remove("stage/three"), 0);
    }
    cr_expect_eq(directory_count("."), 2, "nothing may be made where the symlink leads");
}

/* The third write fails, as on a full disk: no trace of the first two, and the old files stay. */
Test(stage_dir, a_failed_write_changes_nothing)
{
    char text[8192];
    const struct stage_file files[] = {
        {"one", 0600, "first\n"}, {"two", 0600, "second\n"}, {"three", 0600, text}};
    const struct rlimit limit = {4096, RLIM_INFINITY};
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    make_file("stage/two", "old\n");
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum bottle_result result = write_files(fd, files, ROWS(files), &failure);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    cr_expect_eq(result, BOTTLE_UNAVAILABLE);
    cr_expect_str_eq(failure.message,
                     "stage dir STAGE: cannot write three: File too large: the host may have 4096 "
                     "bytes in a file: raise that limit (ulimit -f)");
    cr_expect_eq(directory_count("stage"), 1);
    expect_text("stage/two", "old\n");
}

static void replace_file_of_another_user(void)
{
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    cr_expect_eq(write_files(fd, three, ROWS(three), &failure), BOTTLE_DENIED);
    cr_expect_str_eq(failure.message, "stage dir STAGE: three belongs to user 0: remove it");
}

Test(stage_dir, refuses_to_replace_a_file_of_another_user)
{
    skip_unless_root("only root can make a file that another user cannot replace");
    make_file("stage/three", "old three\n");
    cr_assert_eq(chmod("stage", 01777), 0);
    cr_assert_eq(chmod(".", 0755), 0);
    as_nobody(replace_file_of_another_user);
    expect_text("stage/three", "old three\n");
    cr_expect_eq(directory_count("stage"), 1);
}

/*
 * The first file (new) and the second (replaced) are in place already when the third fails: an
 * empty name is in nobody's way, and only rename(2) refuses it.  Both must be as they were.
 */
Test(stage_dir, a_failed_rename_undoes_those_before_it)
{
    static const struct stage_file files[] = {
        {"one", 0600, "first\n"}, {"two", 0600, "second\n"}, {"", 0600, "third\n"}};
    CLEANUP_FD int fd = open_stage();
    struct failure failure;
    struct stat before;
    struct stat after;

    make_file("stage/two", "old\n");
    cr_assert_eq(chmod("stage/two", 0640), 0);
    cr_assert_eq(lstat("stage/two", &before), 0);
    cr_expect_eq(write_files(fd, files, ROWS(files), &failure), BOTTLE_UNAVAILABLE);
    cr_expect_not_null(strstr(failure.message, "stage dir STAGE: cannot replace"), "%s",
                       failure.message);
    cr_assert_eq(lstat("stage/two", &after), 0);
    cr_expect_eq(after.st_ino, before.st_ino);
    cr_expect_eq(after.st_mode, S_IFREG | 0640);
    cr_expect_eq(after.st_nlink, 1);
    expect_text("stage/two", "old\n");
    cr_expect_eq(directory_count("stage"), 1);
}

Test(stage_dir, a_name_that_is_too_long_is_an_error)
{
    char name[300];
    const struct stage_file files[] = {{"one", 0600, "first\n"}, {name, 0600, "second\n"}};
    CLEANUP_FD int fd = open_stage();
    struct failure failure;

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cr_expect_eq(write_files(fd, files, ROWS(files), &failure), BOTTLE_INVALID);
    name[240] = '\0'; /* a good name, but without room for the temporary one */
    cr_expect_eq(write_files(fd, files, ROWS(files), &failure), BOTTLE_INVALID);
    cr_expect_eq(directory_count("stage"), 0);
}

/* --- two at once --- */

#define WRITERS 4
#define ROUNDS  50
#define LENGTH  20000

struct writer {
    pthread_t thread;
    char letter;
    bool failed;
    atomic_bool done;
};

static void *write_rounds(void *argument)
{
    struct writer *writer = argument;
    CLEANUP_FREE char *text = calloc(1, LENGTH + 1);
    CLEANUP_FD int fd = open("stage", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct stage_file files[] = {{"one", 0600, text}, {"two", 0644, text}};
    struct failure failure;

    memset(text, writer->letter, LENGTH);
    for (int i = 0; i < ROUNDS; i++)
        writer->failed |= write_files(fd, files, ROWS(files), &failure) != BOTTLE_OK;
    writer->done = true;
    return NULL;
}

static void expect_text_of_one_writer(const char *name)
{
    CLEANUP_FREE char *text = read_file(name);

    cr_expect_eq(strlen(text), LENGTH);
    cr_expect_eq(strspn(text, (char[]){text[0], '\0'}), LENGTH);
}

/* While others write, a reader sees a whole file each time. */
Test(stage_dir, concurrent_writers_leave_whole_files)
{
    struct writer writers[WRITERS] = {0};
    CLEANUP_FREE char *text = calloc(1, LENGTH + 1);

    memset(text, 'z', LENGTH);
    make_file("stage/one", text);
    for (size_t i = 0; i < WRITERS; i++) {
        writers[i].letter = (char)('a' + i);
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_rounds, &writers[i]), 0);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        while (!writers[i].done)
            expect_text_of_one_writer("stage/one");
        cr_assert_eq(pthread_join(writers[i].thread, NULL), 0);
        cr_expect_not(writers[i].failed);
    }
    expect_text_of_one_writer("stage/one");
    expect_text_of_one_writer("stage/two");
    cr_expect_eq(directory_count("stage"), 2);
}
