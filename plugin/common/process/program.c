/* SPDX-License-Identifier: MIT */
/* program.c: see program.h. */
#include "common/process/program.h"

#include "common/cleanup.h"
#include "common/process/wait.h"
#include "common/text/utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define USUAL_PATH      "/usr/local/bin:/usr/bin:/bin"
#define READY_PAUSE_MS  10
#define CONNECT_WAIT_MS 200 /* enough for an address of this machine */
#define LAST_WORDS      400 /* size of the buffer for the log's last line */

enum bottle_result program_find(const char *name, const char *remedy, char path[PATH_MAX],
                                struct failure *failure)
{
    const char *set = secure_getenv("PATH");
    const char *directories = set ? set : USUAL_PATH;
    struct stat file;

    for (const char *at = directories; *at; at += strspn(at, ":")) {
        size_t length = strcspn(at, ":");
        int written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, at, name);
        at += length;
        if (path[0] != '/' || written >= PATH_MAX || stat(path, &file) || !S_ISREG(file.st_mode) ||
            access(path, X_OK))
            continue;
        if (!(file.st_mode & (S_IWGRP | S_IWOTH)) && (file.st_uid == 0 || file.st_uid == geteuid()))
            return BOTTLE_OK;
        return failure_set(failure, BOTTLE_DENIED,
                           "%s belongs to user %u and has mode %04o, so that others may change it: "
                           "chown or chmod go-w it",
                           path, file.st_uid, file.st_mode & 07777);
    }
    return failure_set(failure, BOTTLE_UNAVAILABLE,
                       "no program %s in the absolute directories of PATH, \"%s\": %s", name,
                       EXCERPT(directories), remedy);
}

/* ---- the port ---- */

/* A socket for the IP address; -1, with errno set, on failure. */
static int open_socket(const char *text, uint16_t port, struct sockaddr_in6 *address,
                       socklen_t *length)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};

    *address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    *length = sizeof *address;
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        *length = sizeof v4;
        memcpy(address, &v4, sizeof v4);
    } else if (inet_pton(AF_INET6, text, &address->sin6_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    return socket(address->sin6_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

enum bottle_result program_check_port(const char *address, uint16_t port, struct failure *failure)
{
    static const int ON = 1;
    struct sockaddr_in6 local;
    socklen_t length;
    CLEANUP_FD int fd = open_socket(address, port, &local, &length);

    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &ON, sizeof ON) &&
        !bind(fd, (struct sockaddr *)&local, length))
        return BOTTLE_OK;
    if (errno == EADDRINUSE)
        return failure_set(failure, BOTTLE_CONFLICT,
                           "port %u of %s is taken: stop what listens there, or use another "
                           "address",
                           port, address);
    return failure_set(failure, result_of_errno(errno), "cannot listen on %s, port %u: %s", address,
                       port, strerror(errno));
}

static bool accepts(const char *address, uint16_t port)
{
    struct sockaddr_in6 peer;
    socklen_t length;
    int error = 0;
    socklen_t error_length = sizeof error;
    CLEANUP_FD int fd = open_socket(address, port, &peer, &length);
    struct pollfd waited = {.fd = fd, .events = POLLOUT};

    if (fd < 0)
        return false;
    if (connect(fd, (struct sockaddr *)&peer, length) == 0)
        return true;
    return errno == EINPROGRESS && poll(&waited, 1, CONNECT_WAIT_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_length) == 0 && error == 0;
}

/* The log's last line that is not empty; "nothing" if there is none. */
static const char *last_words(int log_fd, char words[LAST_WORDS])
{
    off_t size = lseek(log_fd, 0, SEEK_END);
    ssize_t length =
        pread(log_fd, words, LAST_WORDS - 1, size < LAST_WORDS ? 0 : size - (LAST_WORDS - 1));

    while (length > 0 && words[length - 1] == '\n')
        length--;
    if (length <= 0)
        return "nothing";
    words[length] = '\0';
    const char *before = memrchr(words, '\n', (size_t)length);
    return before ? before + 1 : words;
}

enum bottle_result program_wait_for_port(const char *path, int process_fd, const char *address,
                                         uint16_t port, int32_t timeout_ms, int log_fd,
                                         struct failure *failure)
{
    int64_t end_ms = wait_now_ms() + timeout_ms;
    char words[LAST_WORDS];

    do {
        bool ready = accepts(address, port);
        if (wait_readable(process_fd, ready ? 0 : READY_PAUSE_MS))
            return failure_set(failure, BOTTLE_UNAVAILABLE,
                               "%s ended before it listened; its last words: %s", path,
                               last_words(log_fd, words));
        if (ready)
            return BOTTLE_OK;
    } while (wait_now_ms() < end_ms);
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "%s did not listen on %s, port %u, within start_timeout_ms, %d ms; its last "
                       "words: %s",
                       path, address, port, timeout_ms, last_words(log_fd, words));
}

bool program_end(int process_fd)
{
    (void)syscall(SYS_pidfd_send_signal, process_fd, SIGTERM, NULL,
                  0); /* fails if it has ended already */
    return wait_process_end(process_fd);
}
