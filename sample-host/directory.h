/* SPDX-License-Identifier: MIT */
/*
 * directory.h: private directories: the one that holds the slugs, and one of each slug.
 */
#ifndef SAMPLE_HOST_DIRECTORY_H
#define SAMPLE_HOST_DIRECTORY_H

#include <limits.h>
#include <stdbool.h>

struct directory {
    int parent_fd; /* owned by the parent */
    char path[PATH_MAX];
    const char *name; /* in parent_fd; points into path */
    int fd;           /* -1: it is not there, or not open */
};
#define CLEANUP_DIRECTORY __attribute__((cleanup(directory_close)))
#define NO_DIRECTORY      ((struct directory){.fd = -1})

/* Opens what directory->path names.  If there is none, fd is -1, which is no error. */
bool directory_open(struct directory *directory);
/* The same for a directory in another one. */
bool directory_open_in(const struct directory *parent, const char *name,
                       struct directory *directory);
/* Makes and opens a new one in $TMPDIR or /tmp. */
bool directory_make_temporary(struct directory *directory);
void directory_close(struct directory *directory);

/*
 * Makes a directory in the directory.
 * @path: out: where it is
 */
bool directory_add(const struct directory *directory, const char *name, char path[PATH_MAX]);
/* False also on an error, which is not reported. */
bool directory_is_empty(const struct directory *directory);
/* Removes it, the files in it, the directories in it and the files in those; anything else is an error. */
bool directory_remove(const struct directory *directory);

/*
 * Waits until nobody else has it locked.  If it was removed or replaced meanwhile, it is closed: fd is -1,
 * which is no error.
 */
bool directory_lock(struct directory *directory);
void directory_unlock(const struct directory *directory);

#endif
