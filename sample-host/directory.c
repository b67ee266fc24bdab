/* SPDX-License-Identifier: MIT */
/*
 * directory.c: makes, locks, lists and removes private directories.
 *
 * What is in a directory is looked up by its name in the open directory, and no symbolic link is followed, so
 * that nobody can redirect a removal by replacing a part of the path.
 */
#include "directory.h"

#include "fail.h"
#include "path.h"

#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

static bool fail_errno(const char *action, const char *path)
{
    return fail("cannot %s %s: %s", action, path, strerror(errno));
}

static bool open_at(struct directory *directory, int parent_fd, const char *name)
{
    directory->parent_fd = parent_fd;
    directory->name = name;
    directory->fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return directory->fd >= 0 || errno == ENOENT || fail_errno("open", directory->path);
}

bool directory_open(struct directory *directory)
{
    return open_at(directory, AT_FDCWD, directory->path);
}

bool directory_open_in(const struct directory *parent, const char *name,
                       struct directory *directory)
{
    return make_path(directory->path, "%s/%s", parent->path, name) &&
           open_at(directory, parent->fd, strrchr(directory->path, '/') + 1);
}

bool directory_make_temporary(struct directory *directory)
{
    const char *parent = getenv("TMPDIR");
    char template[PATH_MAX];

    if (!make_path(template, "%s/sample-host-XXXXXX", parent ? parent : "/tmp"))
        return false;
    if (!mkdtemp(template) || !realpath(template, directory->path))
        return fail_errno("make the temporary directory", template);
    return directory_open(directory);
}

bool directory_add(const struct directory *directory, const char *name, char path[PATH_MAX])
{
    if (!make_path(path, "%s/%s", directory->path, name))
        return false;
    return mkdirat(directory->fd, name, 0700) == 0 || fail_errno("make", path);
}

bool directory_lock(struct directory *directory)
{
    struct stat locked;
    struct stat named;

    if (flock(directory->fd, LOCK_EX) != 0 || fstat(directory->fd, &locked) != 0)
        return fail_errno("lock", directory->path);
    if (fstatat(directory->parent_fd, directory->name, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
        named.st_dev != locked.st_dev || named.st_ino != locked.st_ino)
        directory_close(directory);
    return true;
}

/* close(2) would not suffice while a forked process that has not yet executed holds the descriptor too. */
void directory_unlock(const struct directory *directory)
{
    (void)flock(directory->fd, LOCK_UN);
}

void directory_close(struct directory *directory)
{
    if (directory->fd >= 0)
        directory_unlock(directory);
    cleanup_fd(&directory->fd);
    directory->fd = -1;
}

/* ---- what is in a directory ---- */

static void cleanup_dir(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}
#define CLEANUP_DIR __attribute__((cleanup(cleanup_dir)))

/* Opens a stream of its own over a directory, at its start. */
static DIR *list_directory(int fd)
{
    CLEANUP_FD int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    if (dir)
        (void)steal_fd(&copy);
    return dir;
}

/* The next name but "." and ".."; NULL at the end or, with errno set, on failure. */
static const char *next_name(DIR *dir)
{
    const struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry ? entry->d_name : NULL;
}

bool directory_is_empty(const struct directory *directory)
{
    CLEANUP_DIR DIR *dir = list_directory(directory->fd);

    return dir && !next_name(dir) && errno == 0;
}

/* Removes the files in a directory and, down to that many levels, its directories. */
static bool empty_directory(int fd, const char *path, unsigned levels)
{
    CLEANUP_DIR DIR *dir = list_directory(fd);
    char child[PATH_MAX];
    struct stat file;
    const char *name;

    if (!dir)
        return fail_errno("list", path);
    while ((name = next_name(dir))) {
        if (!make_path(child, "%s/%s", path, name))
            return false;
        if (fstatat(fd, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("examine", child);
        if (!S_ISREG(file.st_mode) && (!S_ISDIR(file.st_mode) || levels == 0))
            return fail("%s does not belong there: remove it yourself", child);
        if (S_ISDIR(file.st_mode)) {
            CLEANUP_FD int child_fd =
                openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (child_fd < 0)
                return fail_errno("open", child);
            if (!empty_directory(child_fd, child, levels - 1))
                return false;
        }
        if (unlinkat(fd, name, S_ISDIR(file.st_mode) ? AT_REMOVEDIR : 0) != 0)
            return fail_errno("remove", child);
    }
    return errno == 0 || fail_errno("list", path);
}

bool directory_remove(const struct directory *directory)
{
    if (!empty_directory(directory->fd, directory->path, 1))
        return false;
    return unlinkat(directory->parent_fd, directory->name, AT_REMOVEDIR) == 0 ||
           fail_errno("remove", directory->path);
}
