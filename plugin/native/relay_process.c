/* SPDX-License-Identifier: MIT */
/*
 * relay_process.c: see relay_process.h.
 *
 * The relay's program is copied into a memfd, which is sealed before it is executed, so that nobody can
 * change it.  If the system forbids executing a memfd (sysctl vm.memfd_noexec, a seccomp filter), it is
 * copied into a file in the stage directory, which is unlinked at once.
 */
#include "native/relay_process.h"

#include "common/cleanup.h"
#include "common/process/detached.h"
#include "common/process/file_write.h"
#include "common/text/limit_error.h"
#include "wire/process_name.h"
#include "wire/relay_image.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

#define IMAGE_NAME "ssh_gate_relay"

static bool write_image(int fd)
{
    /* cppcheck-suppress comparePointers ; the one is the end of the other */
    return file_write(fd, relay_image, (size_t)(relay_image_end - relay_image));
}

static int open_image_in_memory(void)
{
    CLEANUP_FD int fd = memfd_create(IMAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(IMAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || !write_image(fd) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        return -1;
    return steal_fd(&fd);
}

/* Replaces a file that a launcher left behind when it was killed here. */
static int create_image_file(int stage_fd)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    int fd = openat(stage_fd, IMAGE_NAME, flags, 0700);

    if (fd < 0 && errno == EEXIST && !unlinkat(stage_fd, IMAGE_NAME, 0))
        fd = openat(stage_fd, IMAGE_NAME, flags, 0700);
    return fd;
}

/* The name is removed before the file is written, so that concurrent launchers do not share a file. */
static int open_image_in_file(int stage_fd)
{
    char path[64];
    CLEANUP_FD int written = create_image_file(stage_fd);

    if (written < 0 || (unlinkat(stage_fd, IMAGE_NAME, 0) && errno != ENOENT) ||
        !write_image(written))
        return -1;
    (void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", written);
    return open(path, O_RDONLY | O_CLOEXEC);
}

enum bottle_result relay_process_run(const char *target, int stage_fd, int event_log_fd,
                                     int *setup_fd, int *process_fd, struct failure *failure)
{
    char text[LIMIT_ERROR_SIZE];
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return failure_set(failure, result_of_errno(errno), "socketpair: %s",
                           limit_error(errno, text));
    CLEANUP_FD int ours = pair[0];
    CLEANUP_FD int theirs = pair[1];
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return failure_set(failure, result_of_errno(errno),
                           "/dev/null: %s; the relay needs it: make it where the launcher's root "
                           "directory is",
                           limit_error(errno, text));

    CLEANUP_FD int memory = open_image_in_memory();
    char name[] = RELAY_NAME;
    char *const arguments[] = {name, (char *)(uintptr_t)target, NULL};
    char *const environment[] = {NULL};
    struct detached relay = {
        .program_fd = memory,
        .path = "",
        .arguments = arguments,
        .environment = environment,
        .fds = {null_fd, null_fd, event_log_fd, [SETUP_FD] = theirs},
        .fd_count = SETUP_FD + 1,
    };
    int error = memory < 0 ? EACCES : detached_run(&relay, process_fd);
    if (error == EACCES || error == EPERM) {
        CLEANUP_FD int file = open_image_in_file(stage_fd);
        relay.program_fd = file;
        error = file < 0 ? errno : detached_run(&relay, process_fd);
    }
    if (error)
        return failure_set(
            failure, result_of_errno(error),
            "the relay cannot be run, neither from memory nor from the stage directory: %s",
            limit_error(error, text));
    *setup_fd = steal_fd(&ours);
    return BOTTLE_OK;
}
