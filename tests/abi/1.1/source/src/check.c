/* SPDX-License-Identifier: MIT */
/* check.c: whether a file may be loaded, and is what it should be; see loader.h. */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Only root and this user own it. */
static enum bottle_result check_owner(const char *path, const struct stat *status, char **message)
{
    if (status->st_uid == 0 || status->st_uid == geteuid())
        return BOTTLE_OK;
    return loader_fail(message, BOTTLE_DENIED,
                       "refusing plugin: %s belongs to user %u, who could change it: chown %u %s",
                       path, status->st_uid, geteuid(), path);
}

/* Only root and this user may replace a file in the directory that path lies in. */
static enum bottle_result check_directory(const char *path, char **message)
{
    CLEANUP_FREE char *copy = strdup(path);
    if (copy == NULL)
        return BOTTLE_INTERNAL;
    const char *directory = dirname(copy);
    struct stat status;
    if (stat(directory, &status) != 0)
        return loader_fail_system(message, "examine directory", directory);
    enum bottle_result result = check_owner(directory, &status, message);
    if (result != BOTTLE_OK)
        return result;
    /* In a sticky directory, such as /tmp, only the owner of a file replaces it. */
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0)
        return loader_fail(
            message, BOTTLE_DENIED,
            "refusing plugin %s: others may replace it, its directory has mode %04o: chmod "
            "go-w %s",
            path, status.st_mode & 07777, directory);
    return BOTTLE_OK;
}

/* Opens the plugin for the checks; *size is its length in bytes. */
static enum bottle_result open_file(const char *path, int *fd, off_t *size, char **message)
{
    /* O_NONBLOCK: no waiting for the writer of a FIFO.  O_NOFOLLOW: the path is resolved. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return loader_fail_system(message, "open plugin", path);
    struct stat status;
    if (fstat(*fd, &status) != 0)
        return loader_fail_system(message, "examine plugin", path);
    if (!S_ISREG(status.st_mode))
        return loader_fail(message, BOTTLE_INVALID,
                           "%s is %s, not a regular file: give the plugin's .so", path,
                           S_ISDIR(status.st_mode) ? "a directory" : "a device, FIFO or socket");

    enum bottle_result result = check_owner(path, &status, message);
    if (result != BOTTLE_OK)
        return result;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return loader_fail(
            message, BOTTLE_DENIED,
            "refusing plugin: %s may be written by %s, its mode is %04o: chmod go-w %s", path,
            (status.st_mode & S_IWOTH) != 0 ? "everybody" : "its group", status.st_mode & 07777,
            path);
    *size = status.st_size;
    return check_directory(path, message);
}

/* --- ELF --- */

/* Every byte that the program headers claim is in the file. */
static bool segments_complete(int fd, const ElfW(Ehdr) * header, off_t size)
{
    if (header->e_phentsize != sizeof(ElfW(Phdr)))
        return false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t offset = (off_t)(header->e_phoff + i * sizeof(segment)); /* a negative one fails */
        if (pread(fd, &segment, sizeof(segment), offset) != (ssize_t)sizeof(segment))
            return false;
        if (segment.p_type == PT_LOAD && (segment.p_offset > (ElfW(Off))size ||
                                          segment.p_filesz > (ElfW(Off))size - segment.p_offset))
            return false;
    }
    return true;
}

static enum bottle_result check_elf(const char *path, int fd, off_t size, char **message)
{
    ElfW(Ehdr) header;
    ssize_t length = pread(fd, &header, sizeof(header), 0);
    if (length < 0)
        return loader_fail_system(message, "read plugin", path);
    if (length < SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return loader_fail(message, BOTTLE_INVALID, "%s is no ELF file: give the plugin's .so",
                           path);
    if (length < (ssize_t)sizeof(header))
        return loader_fail(message, BOTTLE_INVALID,
                           "%s ends inside its ELF header, after %jd bytes: copy or build it again",
                           path, (intmax_t)size);
    if (memcmp(header.e_ident, __ehdr_start.e_ident, EI_VERSION + 1) != 0 ||
        header.e_machine != __ehdr_start.e_machine)
        return loader_fail(
            message, BOTTLE_INVALID,
            "%s is for another kind of machine (class %u, machine %u; this launcher: class "
            "%u, machine %u): build it for this one",
            path, header.e_ident[EI_CLASS], header.e_machine, __ehdr_start.e_ident[EI_CLASS],
            __ehdr_start.e_machine);
    if (header.e_type != ET_DYN)
        return loader_fail(message, BOTTLE_INVALID,
                           "%s is %s, not a shared object: link the plugin with -shared", path,
                           header.e_type == ET_REL    ? "an object file"
                           : header.e_type == ET_EXEC ? "an executable"
                                                      : "an ELF file of another type");
    if (!segments_complete(fd, &header, size))
        return loader_fail(
            message, BOTTLE_INVALID,
            "%s is cut short: its segments are not all within its %jd bytes: copy or build "
            "it again",
            path, (intmax_t)size);
    return BOTTLE_OK;
}

enum bottle_result loader_check(const char *path, char **message)
{
    CLEANUP_FD int fd = -1;
    off_t size = 0;
    enum bottle_result result = open_file(path, &fd, &size, message);

    return result == BOTTLE_OK ? check_elf(path, fd, size, message) : result;
}
