/* SPDX-License-Identifier: MIT */
/* file.h: a file on its way into a container or an image. */
#ifndef ENGINE_FILE_H
#define ENGINE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* A regular file; archives hold no other kind. */
struct engine_file {
    const char *path; /* without a leading '/' */
    mode_t mode;
    const void *bytes;
    size_t length;
};

#endif
