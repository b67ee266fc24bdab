/* SPDX-License-Identifier: MIT */
/*
 * text_file.c: reads text files as a whole.
 */
#include "text_file.h"

#include "fail.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool read_text_file(int dir_fd, const char *name, size_t max_bytes, bool optional, char **text)
{
    struct stat file;
    size_t length = 0;
    ssize_t count = 1;

    *text = NULL;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused. */
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && optional)
        return true;
    if (fd < 0 || fstat(fd, &file) != 0)
        return fail("cannot open %s: %s", name, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return fail("%s is not a regular file", name);
    CLEANUP_FREE char *buffer = malloc(max_bytes + 2);
    if (!buffer)
        return fail("%s: out of memory", name);
    for (; count > 0 && length <= max_bytes; length += (size_t)count) {
        count = read(fd, buffer + length, max_bytes + 1 - length);
        if (count < 0)
            return fail("cannot read %s: %s", name, strerror(errno));
    }
    if (length > max_bytes)
        return fail("%s is longer than %zu bytes, the most that is read", name, max_bytes);
    buffer[length] = '\0';
    if (strlen(buffer) < length)
        return fail("%s: byte %zu is NUL: the file must be text", name, strlen(buffer));
    *text = steal_pointer(&buffer);
    return true;
}
