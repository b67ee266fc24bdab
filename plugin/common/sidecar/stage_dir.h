/* SPDX-License-Identifier: MIT */
/*
 * stage_dir.h: opening a stage directory, and writing files there completely or not at all.
 *
 * The directory is opened once, without following a symlink, and its files are accessed through that
 * descriptor (openat(2), renameat(2)), so nobody can replace the directory in between.
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
 * @fd:       out: CLOEXEC
 *
 * Refuses a path that does not exist, is not a directory, is a symlink, is not UTF-8, or that this user may not
 * write; and a directory that others than root and this user may write, unless it has the sticky bit.
 */
enum bottle_result stage_dir_open(const char *path, int *fd, char **absolute,
                                  struct failure *failure);

struct stage_file {
    const char *name; /* no '/' */
    mode_t mode;      /* not affected by the umask */
    const char *text; /* NUL-terminated */
};

/*
 * Writes all files or none.  An existing regular file is replaced; anything else of that name (a symlink, a
 * directory, a device) is an error that names it.
 */
enum bottle_result stage_dir_write(int stage_fd, const char *stage_path,
                                   const struct stage_file *files, size_t count,
                                   struct failure *failure);

/*
 * Opens a log file (mode 600), and creates it if it does not exist.
 * @fd: out: for appending and reading; CLOEXEC
 */
enum bottle_result stage_dir_open_log(int stage_fd, const char *stage_path, const char *name,
                                      int *fd, struct failure *failure);

#endif
