/* SPDX-License-Identifier: MIT */
/* wire.c: what both ends of the load need: sockets, and the identifications that they exchange. */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn void die(const char *format, ...)
{
    va_list arguments;

    (void)fputs("load: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

_Noreturn void die_errno(const char *what)
{
    die("%s: %s", what, strerror(errno));
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        die("out of memory");
    return memory;
}

int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double seconds_since(int64_t start_ns)
{
    return (double)(now_ns() - start_ns) / 1e9;
}

/* ---- identifications ---- */

/* Other than the number and its padding, there are 22 characters. */
struct identification identify(const char *request, uint64_t bytes)
{
    struct identification own;
    char text[IDENTIFICATION_SIZE + 1];

    (void)snprintf(text, sizeof text, "SSH-2.0-load %-6s %-*" PRIu64 "\r\n", request,
                   IDENTIFICATION_SIZE - 22, bytes);
    memcpy(own.text, text, sizeof own.text);
    return own;
}

void read_request(const struct identification *peer, char request[7], uint64_t *bytes)
{
    const size_t prefix = sizeof "SSH-2.0-load " - 1;
    char text[IDENTIFICATION_SIZE + 1];

    memcpy(text, peer->text, sizeof peer->text);
    text[sizeof peer->text] = '\0';
    (void)snprintf(request, 7, "%.*s", (int)strcspn(text + prefix, " "), text + prefix);
    *bytes = strtoull(text + prefix + strlen("source "), NULL, 10);
}

/* ---- sockets ---- */

int epoll_create_or_die(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0)
        die_errno("epoll_create1");
    return fd;
}

void watch(int epoll_fd, int operation, int fd, uint32_t events, void *owner)
{
    struct epoll_event event = {.events = events, .data.ptr = owner};

    if (epoll_ctl(epoll_fd, operation, fd, &event))
        die_errno("epoll_ctl");
}

int wait_for(int epoll_fd, struct epoll_event events[BATCH])
{
    int count = epoll_wait(epoll_fd, events, BATCH, -1);

    if (count < 0 && errno != EINTR)
        die_errno("epoll_wait");
    return count < 0 ? 0 : count;
}

int open_socket(int flags)
{
    static const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, IPPROTO_TCP);

    if (fd < 0)
        die_errno("socket");
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on))
        die_errno("TCP_NODELAY");
    return fd;
}

void send_all(int fd, const void *bytes, size_t length)
{
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

    if (sent != (ssize_t)length) /* the socket blocks, so it takes all or is broken */
        die_errno("send");
}

void receive_all(int fd, void *bytes, size_t length)
{
    ssize_t received = recv(fd, bytes, length, MSG_WAITALL);

    if (received < 0)
        die_errno("recv");
    if (received != (ssize_t)length)
        die("the connection ended early");
}

void check_server(const struct identification *peer)
{
    const struct identification server = identify("server", 0);

    if (memcmp(peer, &server, sizeof server) != 0)
        die("not the server answers, but: %.*s", (int)strcspn(peer->text, "\r\n"), peer->text);
}

int open_connection(const struct sockaddr_in *server, const char *request, uint64_t bytes)
{
    const struct identification own = identify(request, bytes);
    struct identification peer;
    int fd = open_socket(0);

    if (connect(fd, (const struct sockaddr *)server, sizeof *server))
        die_errno("connect");
    send_all(fd, &own, sizeof own);
    receive_all(fd, &peer, sizeof peer);
    check_server(&peer);
    return fd;
}

void close_or_die(int fd)
{
    if (close(fd))
        die_errno("close");
}
