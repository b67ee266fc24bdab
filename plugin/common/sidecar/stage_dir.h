/* SPDX-License-Identifier: MIT */
/*
 * stage_dir.h: files in a stage directory, written by name in the directory, complete or not at all.
 *
 * The directory is opened once, without following a symlink, and every file is reached through that
 * descriptor (openat(2), renameat(2)), so nobody can swap the path in between.
 */
#ifndef SIDECAR_STAGE_DIR_H
#define SIDECAR_STAGE_DIR_H

#include "common/text/failure.h"

#include <stddef.h>
#include <sys/types.h>

/*
 * Opens a stage directory.
 * @path:     what the launcher gave
 * @absolute: out: its absolute path, for the plan; malloc'ed, the caller's; may be NULL
 * Returns a descriptor (CLOEXEC) in *fd.  Refuses a path that is missing, no directory, a symlink, not
 * writable, not UTF-8, or that users other than root and this one may write without the sticky bit.
 */
enum bottle_result stage_dir_open(const char *path, int *fd, char **absolute,
                                  struct failure *failure);

struct stage_file {
    const char *name; /* no '/' */
    mode_t mode;      /* exact, whatever the umask is */
    const char *text; /* NUL-terminated */
};

/*
 * Writes all files or none: each under a temporary name,
 * then renamed into place.  An existing regular file of that name is replaced; anything else of that name
 * (a symlink, a directory, a device) is an error that names it.
 */
enum bottle_result stage_dir_write(int stage_fd, const char *stage_path,
                                   const struct stage_file *files, size_t count,
                                   struct failure *failure);

/*
 * Opens a file that a program writes lines to (mode 600), and makes it if it is not there.
 * @fd: out: appends, and reads; CLOEXEC
 */
enum bottle_result stage_dir_open_log(int stage_fd, const char *stage_path, const char *name,
                                      int *fd, struct failure *failure);

#endif
