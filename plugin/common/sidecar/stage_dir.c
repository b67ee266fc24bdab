/* SPDX-License-Identifier: MIT */
/*
 * stage_dir.c: see stage_dir.h.
 *
 * The path is opened with O_PATH | O_NOFOLLOW, so that a symlink is detected, and the rest is done by that
 * descriptor.  A slash or "/." at the end would make the kernel follow a symlink, so they are removed.
 *
 * Writing has three steps:
 *   1. Every file is written under a temporary name.  Most errors, such as a full disk or a directory of that
 *      name, are found here, while no file has been changed.
 *   2. Every file is renamed to its name.  Just before that, the file that had the name gets a second one.
 *   3. The temporary and second names are removed.
 * If step 2 fails, the files that were renamed are restored from their second names, or removed if there was no
 * previous file.  Of two concurrent writers, each file is entirely that of one of them.
 */
#include "common/sidecar/stage_dir.h"

#include "common/cleanup.h"
#include "common/process/file_write.h"
#include "common/text/json_text.h"
#include "common/text/limit_error.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define NAME_SIZE (NAME_MAX + 1)

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFLNK:
        return "a symlink";
    case S_IFDIR:
        return "a directory";
    case S_IFREG:
        return "a regular file";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

/* The path without slashes and "/." at its end; malloc'ed; NULL: out of memory. */
static char *trim_path(const char *path)
{
    size_t length = strlen(path);

    for (;;) {
        if (length > 1 && path[length - 1] == '/')
            length--;
        else if (length > 2 && path[length - 1] == '.' && path[length - 2] == '/')
            length -= 2;
        else
            return strndup(path, length);
    }
}

static enum bottle_result check_path(const char *path, struct failure *failure)
{
    if (!path || *path == '\0')
        return failure_set(failure, BOTTLE_INVALID,
                           "stage dir: no path given: give the path of a directory");
    if (!text_is_printable(path, strlen(path)))
        return failure_set(failure, BOTTLE_INVALID,
                           "stage dir %s: the path must be UTF-8 without control characters",
                           EXCERPT(path));
    return BOTTLE_OK;
}

/* Refuses a directory in which others than root and this user could create, replace or remove files. */
static enum bottle_result check_directory(int path_fd, const char *path, struct stat *directory,
                                          struct failure *failure)
{
    if (fstat(path_fd, directory) != 0)
        return failure_set(failure, result_of_errno(errno), "stage dir %s: %s", EXCERPT(path),
                           strerror(errno));
    if (!S_ISDIR(directory->st_mode))
        return failure_set(failure, BOTTLE_INVALID,
                           "stage dir %s is %s: give the path of a directory", EXCERPT(path),
                           kind_of(directory->st_mode));
    if (directory->st_uid != 0 && directory->st_uid != geteuid())
        return failure_set(failure, BOTTLE_DENIED,
                           "stage dir %s belongs to user %ju: give a directory of user %ju",
                           EXCERPT(path), (uintmax_t)directory->st_uid, (uintmax_t)geteuid());
    if ((directory->st_mode & (S_IWGRP | S_IWOTH)) != 0 && (directory->st_mode & S_ISVTX) == 0)
        return failure_set(failure, BOTTLE_DENIED,
                           "stage dir %s may be written by other users (mode %04o): run "
                           "\"chmod go-w\" on it",
                           EXCERPT(path), (unsigned)(directory->st_mode & 07777));
    if (faccessat(path_fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        return failure_set(failure, result_of_errno(errno), "stage dir %s is not writable: %s",
                           EXCERPT(path), strerror(errno));
    return BOTTLE_OK;
}

/* Finds the absolute path, and checks that it leads to the directory that was opened. */
static enum bottle_result resolve(const char *path, const struct stat *directory, char **absolute,
                                  struct failure *failure)
{
    struct stat resolved;
    CLEANUP_FREE char *real = realpath(path, NULL);

    if (!real || lstat(real, &resolved) != 0)
        return failure_set(failure, result_of_errno(errno), "stage dir %s: %s", EXCERPT(path),
                           strerror(errno));
    if (resolved.st_dev != directory->st_dev || resolved.st_ino != directory->st_ino)
        return failure_set(failure, BOTTLE_CONFLICT,
                           "stage dir %s was replaced while it was opened: try again",
                           EXCERPT(path));
    if (!text_is_printable(real, strlen(real)))
        return failure_set(failure, BOTTLE_INVALID,
                           "stage dir %s: its absolute path %s must be UTF-8 without control "
                           "characters",
                           EXCERPT(path), EXCERPT(real));
    *absolute = steal_pointer(&real);
    return BOTTLE_OK;
}

enum bottle_result stage_dir_open(const char *path, int *fd, char **absolute,
                                  struct failure *failure)
{
    struct stat directory;
    char text[LIMIT_ERROR_SIZE];
    CLEANUP_FREE char *trimmed = NULL;
    CLEANUP_FREE char *resolved = NULL;
    enum bottle_result result;

    *fd = -1;
    if (absolute)
        *absolute = NULL;
    result = check_path(path, failure);
    if (result != BOTTLE_OK)
        return result;
    trimmed = trim_path(path);
    if (!trimmed)
        return failure_set(failure, BOTTLE_INTERNAL, "stage dir %s: out of memory", EXCERPT(path));

    CLEANUP_FD int path_fd = open(trimmed, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (path_fd < 0)
        return failure_set(failure, result_of_errno(errno), "stage dir %s: %s%s", EXCERPT(path),
                           limit_error(errno, text),
                           errno == ENOENT ? ": make the directory first" : "");
    result = check_directory(path_fd, path, &directory, failure);
    if (result != BOTTLE_OK)
        return result;
    result = resolve(trimmed, &directory, &resolved, failure);
    if (result != BOTTLE_OK)
        return result;
    *fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return failure_set(failure, result_of_errno(errno), "stage dir %s: %s", EXCERPT(path),
                           limit_error(errno, text));
    if (absolute)
        *absolute = steal_pointer(&resolved);
    return BOTTLE_OK;
}

/* The state of writing one file. */
struct pending {
    const struct stage_file *file;
    char temporary[NAME_SIZE]; /* the temporary name; "": none */
    char previous[NAME_SIZE];  /* the second name of the file that it replaces; "": none */
    bool in_place;             /* the new file has been renamed to file->name */
};

struct stage {
    int fd;
    const char *path;
    struct failure *failure;
};

static enum bottle_result refuse(const struct stage *stage, const char *name, const char *what)
{
    int error = errno;
    char text[LIMIT_ERROR_SIZE];

    return failure_set(stage->failure, result_of_errno(error), "stage dir %s: %s %s: %s",
                       EXCERPT(stage->path), what, name, limit_error(error, text));
}

static enum bottle_result make_name(const struct stage *stage, const char *name,
                                    char hidden[NAME_SIZE])
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return refuse(stage, name, "cannot get a random number for");
    int length = snprintf(hidden, NAME_SIZE, ".%s.%016" PRIx64, name, number);
    if (length >= 0 && length < NAME_SIZE)
        return BOTTLE_OK;
    hidden[0] = '\0';
    errno = ENAMETOOLONG;
    return refuse(stage, name, "cannot make a temporary name for");
}

static enum bottle_result check_in_the_way(const struct stage *stage, const char *name)
{
    struct stat there;

    if (fstatat(stage->fd, name, &there, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? BOTTLE_OK : refuse(stage, name, "cannot look at");
    if (S_ISREG(there.st_mode) && (there.st_uid == geteuid() || geteuid() == 0))
        return BOTTLE_OK;
    if (S_ISREG(there.st_mode))
        return failure_set(stage->failure, BOTTLE_DENIED,
                           "stage dir %s: %s belongs to user %ju: remove it", EXCERPT(stage->path),
                           name, (uintmax_t)there.st_uid);
    return failure_set(stage->failure, BOTTLE_INVALID,
                       "stage dir %s: %s is %s where a file must go: remove it",
                       EXCERPT(stage->path), name, kind_of(there.st_mode));
}

static enum bottle_result write_temporary(const struct stage *stage, struct pending *pending)
{
    const struct stage_file *file = pending->file;
    char name[NAME_SIZE];
    enum bottle_result result = check_in_the_way(stage, file->name);

    if (result == BOTTLE_OK)
        result = make_name(stage, file->name, name);
    if (result != BOTTLE_OK)
        return result;
    CLEANUP_FD int fd =
        openat(stage->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return refuse(stage, file->name, "cannot create");
    memcpy(pending->temporary, name, sizeof name);
    if (!file_write(fd, file->text, strlen(file->text)))
        return refuse(stage, file->name, "cannot write");
    if (fchmod(fd, file->mode) != 0)
        return refuse(stage, file->name, "cannot set the mode of");
    if (close(steal_fd(&fd)) != 0)
        return refuse(stage, file->name, "cannot write");
    return BOTTLE_OK;
}

static enum bottle_result put_in_place(const struct stage *stage, struct pending *pending)
{
    const char *name = pending->file->name;
    char previous[NAME_SIZE];
    enum bottle_result result = make_name(stage, name, previous);

    if (result != BOTTLE_OK)
        return result;
    if (linkat(stage->fd, name, stage->fd, previous, 0) == 0)
        memcpy(pending->previous, previous, sizeof previous);
    else if (errno != ENOENT)
        return refuse(stage, name, "cannot replace");
    if (renameat(stage->fd, pending->temporary, stage->fd, name) != 0)
        return refuse(stage, name, "cannot replace");
    pending->temporary[0] = '\0';
    pending->in_place = true;
    return BOTTLE_OK;
}

/*
 * Errors are ignored, as the caller reports the failure that led here; the previous file is then kept under
 * its second name.
 */
static void undo(const struct stage *stage, struct pending *pending)
{
    const char *name = pending->file->name;

    if (!pending->in_place)
        return;
    if (pending->previous[0] == '\0') {
        (void)unlinkat(stage->fd, name, 0);
        return;
    }
    (void)renameat(stage->fd, pending->previous, stage->fd, name);
    pending->previous[0] = '\0';
}

/* Errors are ignored: a hidden file that remains does no harm. */
static void remove_hidden(const struct stage *stage, const struct pending *pending)
{
    if (pending->temporary[0] != '\0')
        (void)unlinkat(stage->fd, pending->temporary, 0);
    if (pending->previous[0] != '\0')
        (void)unlinkat(stage->fd, pending->previous, 0);
}

enum bottle_result stage_dir_write(int stage_fd, const char *stage_path,
                                   const struct stage_file *files, size_t count,
                                   struct failure *failure)
{
    const struct stage stage = {stage_fd, stage_path, failure};
    CLEANUP_FREE struct pending *pending = calloc(count, sizeof *pending);
    enum bottle_result result = BOTTLE_OK;

    if (!pending && count > 0)
        return failure_set(failure, BOTTLE_INTERNAL, "stage dir %s: out of memory",
                           EXCERPT(stage_path));
    for (size_t i = 0; i < count; i++)
        pending[i].file = &files[i];
    for (size_t i = 0; i < count && result == BOTTLE_OK; i++)
        result = write_temporary(&stage, &pending[i]);
    for (size_t i = 0; i < count && result == BOTTLE_OK; i++)
        result = put_in_place(&stage, &pending[i]);
    for (size_t i = count; i > 0 && result != BOTTLE_OK; i--)
        undo(&stage, &pending[i - 1]);
    for (size_t i = 0; i < count; i++)
        remove_hidden(&stage, &pending[i]);
    return result;
}

enum bottle_result stage_dir_open_log(int stage_fd, const char *stage_path, const char *name,
                                      int *fd, struct failure *failure)
{
    CLEANUP_FD int opened = openat(
        stage_fd, name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    struct stat file;
    char text[LIMIT_ERROR_SIZE];

    if (opened < 0 || fstat(opened, &file))
        return failure_set(failure, result_of_errno(errno), "%s/%s: %s", stage_path, name,
                           errno == ELOOP ? "it is a symlink; remove it"
                                          : limit_error(errno, text));
    if (!S_ISREG(file.st_mode))
        return failure_set(failure, BOTTLE_CONFLICT, "%s/%s is no regular file; remove it",
                           stage_path, name);
    *fd = steal_fd(&opened);
    return BOTTLE_OK;
}
