/* SPDX-License-Identifier: MIT */
/* find.c: a name becomes a path; see loader.h. */
#include "loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

/*
 * The path of NAME.so in the colon-separated directories, or NULL with errno ENOENT.  A file that
 * is there but unusable counts as found: the caller's error about it helps more than a later file
 * would.
 */
static char *find_in(const char *directories, const char *name)
{
    for (const char *next = directories; *next != '\0';) {
        const char *directory = next;
        size_t length = strcspn(directory, ":");
        next += length + strspn(next + length, ":"); /* an empty one is not the working directory */

        char *path = NULL;
        if (asprintf(&path, "%.*s/%s.so", (int)length, directory, name) < 0) {
            errno = ENOMEM;
            return NULL;
        }
        if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
            return path;
        free(path);
    }
    errno = ENOENT;
    return NULL;
}

/*
 * The directory of sidecars of the installed tree that this code is in, wherever that was put or moved to;
 * NULL if there is none.  It is found from the shared library, or from the program that the static one is
 * linked into, as bin/sample-host.  Not for a program with more rights than its caller, who may have
 * linked it into a tree of theirs.
 */
static char *installed_beside(void)
{
    Dl_info info;
    struct link_map *object = NULL;

    if (getauxval(AT_SECURE) != 0 ||
        dladdr1(&__ehdr_start, &info, (void **)&object, RTLD_DL_LINKMAP) == 0)
        return NULL;
    bool is_program = *object->l_name == '\0';
    const char *relative = is_program ? BOTTLE_SIDECAR_FROM_BINDIR : BOTTLE_SIDECAR_FROM_LIBDIR;
    /* A relative name was meant for the working directory of then. */
    if (*relative == '\0' || (!is_program && *object->l_name != '/'))
        return NULL;
    CLEANUP_FREE char *file = realpath(is_program ? "/proc/self/exe" : object->l_name, NULL);
    CLEANUP_FREE char *directory = NULL;
    if (file == NULL)
        return NULL;
    if (asprintf(&directory, "%s/%s", dirname(file), relative) < 0) {
        directory = NULL; /* undefined after a failure */
        return NULL;
    }
    return realpath(directory, NULL);
}

/* Where a name is looked for, colon-separated; malloc'ed, NULL if there is no memory. */
static char *search_path(void)
{
    const char *configured = secure_getenv("BOTTLE_SIDECAR_PATH");
    CLEANUP_FREE char *beside = installed_beside();
    char *directories = NULL;

    bool is_other = beside != NULL && strcmp(beside, BOTTLE_SIDECAR_DIR) != 0;
    if (asprintf(&directories, "%s:%s%s%s", configured != NULL ? configured : "",
                 is_other ? beside : "", is_other ? ":" : "", BOTTLE_SIDECAR_DIR) < 0)
        return NULL; /* directories is undefined */
    return directories;
}

enum bottle_result loader_find(const char *name, char **path, char **message)
{
    if (name == NULL || *name == '\0')
        return loader_fail(message, BOTTLE_INVALID,
                           "no plugin given: give the path of a plugin or a name such as ssh_gate");

    CLEANUP_FREE char *candidate = NULL;
    if (strchr(name, '/') != NULL) {
        candidate = strdup(name);
    } else {
        CLEANUP_FREE char *directories = search_path();
        if (directories == NULL)
            return BOTTLE_INTERNAL;
        const char *first = directories + strspn(directories, ":");
        candidate = find_in(first, name);
        if (candidate == NULL && errno == ENOENT)
            return loader_fail(
                message, BOTTLE_UNAVAILABLE,
                "no %s.so in %s: install it, set BOTTLE_SIDECAR_PATH to its directory, or "
                "give a path with a '/'",
                name, first);
    }
    if (candidate == NULL)
        return BOTTLE_INTERNAL;

    *path = realpath(candidate, NULL);
    return *path != NULL ? BOTTLE_OK : loader_fail_system(message, "find plugin", candidate);
}
