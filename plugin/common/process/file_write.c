/* SPDX-License-Identifier: MIT */
/* file_write.c: see file_write.h.  SIGXFSZ is sent to the writing thread (setrlimit(2), pthreads(7)). */
#include "common/process/file_write.h"

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static bool write_whole(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

bool file_write(int fd, const void *bytes, size_t length)
{
    static const struct timespec NO_WAIT = {0};
    sigset_t file_size, before, pending;

    if (sigemptyset(&file_size) || sigaddset(&file_size, SIGXFSZ) || sigpending(&pending) ||
        pthread_sigmask(SIG_BLOCK, &file_size, &before) != 0)
        return false;
    bool written = write_whole(fd, bytes, length);
    int error = errno;
    if (!written && error == EFBIG && sigismember(&pending, SIGXFSZ) == 0)
        while (sigtimedwait(&file_size, NULL, &NO_WAIT) < 0 && errno == EINTR)
            ;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written;
}
