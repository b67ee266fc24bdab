/* SPDX-License-Identifier: MIT */
/*
 * loader.h: what the files of the loader library share.
 *
 * What belongs in host-api/: the ABI that a plugin and a launcher compile against, and the loader that a launcher in C
 * links.  Nothing here knows any one sidecar.
 *
 * Loading goes from the outside in, and each step trusts only what the ones before it have checked:
 *
 *     find.c     a name becomes a path: $BOTTLE_SIDECAR_PATH, then where sidecars are installed, in the tree
 *                that this code lies in and in the one that it was configured for
 *     check.c    file: the resolved path is a regular file which, like its directory, nobody but root and this
 *                user may change: whoever can write a plugin can run code as its launcher.
 *                ELF: the header and segments are those of a complete shared object for this machine: the
 *                dynamic linker maps what a file claims to hold, and touching what is not there is SIGBUS
 *     load.c     code: dlopen(3); from here on code of the file runs.
 *                table: size before version, version before the rest of the size, the size before the fields
 *     call.c     the operations
 */
#ifndef BOTTLE_LOADER_H
#define BOTTLE_LOADER_H

#include <bottle/host.h>

#include <link.h>
#include <sys/types.h>

/* Nothing but bottle/host.h is seen from outside. */
#pragma GCC visibility push(hidden)

struct bottle_plugin {
    char *path;
    void *handle; /* dlopen's; NULL until then */
    struct bottle_sidecar table;
};

/* The header of the object that this is in, from the linker. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's name */
extern const ElfW(Ehdr) __ehdr_start;

void cleanup_free(void *pointer);
void cleanup_fd(const int *fd);

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
#define CLEANUP_FD   __attribute__((cleanup(cleanup_fd)))

/*
 * Writes the message, if the caller wants one, and returns result.  A path may hold any byte:
 * control characters become '?', so that the message stays one line.
 */
enum bottle_result loader_fail(char **message, enum bottle_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What a system call left in errno, about a path. */
enum bottle_result loader_fail_system(char **message, const char *doing, const char *path);

/* Resolves name to an absolute path without symlinks; *path is malloc'ed, NULL on failure. */
enum bottle_result loader_find(const char *name, char **path, char **message);

/* Whether the file may be loaded, and can be. */
enum bottle_result loader_check(const char *path, char **message);

#pragma GCC visibility pop

#endif
