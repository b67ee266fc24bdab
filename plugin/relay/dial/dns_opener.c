/* SPDX-License-Identifier: MIT */
/*
 * dns_opener.c: the process that opens /etc/hosts and /etc/resolv.conf for a relay that can open nothing.
 *
 * These files are replaced all the time: by a new one of the same name, by a symbolic link that leads
 * elsewhere (systemd-resolved, NetworkManager, resolvconf, VPNs).  To follow that, the path has to be
 * opened again.  The sandbox cannot allow the relay just these two paths: Landlock knows existing files,
 * and directories with all below them.  If the relay runs as root, access below /etc includes
 * /etc/shadow, and access to /run would be as bad.  So before the relay
 * enters its sandbox it makes a process that keeps the right to open files and gives up everything else,
 * above all the network.  A request to it is one byte, to check the two files.  It answers with the
 * descriptors of those that have changed, and never reads them:
 *
 *     relay → opener   one byte: LOOK, or LOOK_ANEW, where both count as changed, as the relay had no
 *                      descriptor free when it was last answered
 *     opener → relay   one byte with a bit for each file that has changed, and above these one for
 *                      each that is the egress namespace's; and their descriptors
 *
 * The relay asks when a dial needs a name, at most once a second; otherwise the process sleeps.  It uses very little
 * memory, as it is made before the relay has allocated much.  It ends when the relay does.  If it ends before, the
 * relay keeps using the descriptors that it has, and an event says when the files have been replaced.
 *
 * It is not made in a container, where the files are mounted by the engine and cannot be replaced, nor if all
 * upstreams are IP addresses.
 */
#include "relay/dial/dns_opener.h"

#include "relay/dial/dialler.h"

#include "common/process/fd_passing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK = 1, LOOK_ANEW };

/* ---- the process ---- */

static bool send_changed(struct dns_file files[DNS_FILES], int socket_fd)
{
    unsigned char changed = 0;
    int fds[DNS_FILES];
    size_t count = 0;

    for (enum dns_file_index i = DNS_HOSTS; i < DNS_FILES; i++) {
        int fd = dns_file_open_changed(&files[i]);
        if (fd < 0)
            continue;
        changed |= (unsigned char)(1u << i);
        if (files[i].followed == 0)
            changed |= (unsigned char)(1u << (i + DNS_FILES));
        fds[count++] = fd;
    }
    bool sent = send_with_fds(socket_fd, &changed, sizeof changed, fds, count);
    while (count > 0)
        (void)close(fds[--count]);
    return sent;
}

static void serve(struct dns_file files[DNS_FILES])
{
    unsigned char look;

    for (;;) {
        ssize_t received = recv(STDIN_FILENO, &look, sizeof look, 0);
        if (received < 0 && errno == EINTR)
            continue;
        if (received <= 0)
            return;
        for (enum dns_file_index i = DNS_HOSTS; look == LOOK_ANEW && i < DNS_FILES; i++)
            dns_file_forget(&files[i]);
        if (!send_changed(files, STDIN_FILENO))
            return;
    }
}

static void become_opener(struct dialler *dialler, int socket_fd, bool (*confine)(void *context),
                          void *context)
{
    if (dup2(socket_fd, STDIN_FILENO) != STDIN_FILENO)
        return;
    closefrom(STDIN_FILENO + 1);
    if (!prctl(PR_SET_NAME, "ssh-gate-opener", 0, 0, 0) && confine(context))
        serve(dialler->resolver.files);
}

/* ---- in the relay ---- */

static void note_no_opener(struct dialler *dialler, const char *why)
{
    char message[RELAY_MESSAGE_SIZE];

    (void)snprintf(message, sizeof message,
                   "the process that opens /etc/hosts and /etc/resolv.conf for the gate %s: from "
                   "here on it does not see them replaced",
                   why);
    event_notice(dialler->log, "dns-opener-ended", message);
}

/* error: an errno value; 0: the process has ended */
static void lose_opener(struct dialler *dialler, int error)
{
    struct resolver *resolver = &dialler->resolver;

    (void)close(resolver->opener.fd);
    resolver->opener.fd = -1;
    /* After end of file it is about to end; after an error it may be stopped. */
    (void)waitpid(resolver->opener_pid, NULL, error ? WNOHANG : 0);
    note_no_opener(dialler, error ? strerror(error) : "has ended");
}

/* fds: one for each file that has changed. */
static void take_changed(struct dialler *dialler, unsigned char changed, const int *fds,
                         size_t count)
{
    size_t used = 0;

    for (enum dns_file_index i = DNS_HOSTS; i < DNS_FILES; i++) {
        struct dns_file *file = &dialler->resolver.files[i];
        if (!(changed & 1u << i) || used == count)
            continue;
        if (file->fd >= 0)
            (void)close(file->fd);
        file->fd = fds[used++];
        file->followed = (changed & 1u << (i + DNS_FILES)) ? 0 : 1;
        dns_files_read(dialler, i);
    }
    while (used < count)
        (void)close(fds[used++]);
}

static void opener_ready(struct watch *watch, uint32_t events)
{
    struct dialler *dialler = container_of(watch, struct dialler, resolver.opener);
    struct resolver *resolver = &dialler->resolver;
    unsigned char changed = 0;
    int fds[FD_PASSING_MAX];
    size_t count = 0;

    (void)events;
    ssize_t received = receive_with_fds(watch->fd, &changed, sizeof changed, fds, &count);
    if (received < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    resolver->look_anew = received < 0 && errno == EMFILE;
    if (received > 0)
        take_changed(dialler, changed, fds, count);
    else if (!resolver->look_anew)
        lose_opener(dialler, received < 0 ? errno : 0);
    resolver->look = LOOK_NONE;
    timer_stop(&resolver->look_timer);
    resolver->looked(dialler);
}

static bool has_names(const struct dialler *dialler)
{
    union address literal;

    for (size_t i = 0; i < dialler->destination_count; i++)
        if (!address_from_literal(dialler->destinations[i].config->host, 0, &literal))
            return true;
    return false;
}

static bool make_opener(struct dialler *dialler, bool (*confine)(void *context), void *context)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        become_opener(dialler, pair[1], confine, context);
        _exit(0);
    }
    int error = errno;
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        errno = error;
        return false;
    }
    dialler->resolver.opener.fd = pair[0];
    dialler->resolver.opener_pid = pid;
    return true;
}

void dns_opener_start(struct dialler *dialler, bool (*confine)(void *context), void *context)
{
    if (has_names(dialler) && !make_opener(dialler, confine, context))
        note_no_opener(dialler, strerror(errno));
}

bool dns_opener_watch(struct dialler *dialler)
{
    struct watch *opener = &dialler->resolver.opener;

    opener->ready = opener_ready;
    return opener->fd < 0 || !loop_add(dialler->loop, opener, EPOLLIN);
}

bool dns_opener_ask(struct dialler *dialler)
{
    const unsigned char look = dialler->resolver.look_anew ? LOOK_ANEW : LOOK;
    int fd = dialler->resolver.opener.fd;

    return fd >= 0 && send(fd, &look, sizeof look, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof look;
}

void dns_opener_stop(struct dialler *dialler)
{
    static const struct timeval LIMIT = {.tv_sec = 1};
    const struct resolver *resolver = &dialler->resolver;
    int fd = resolver->opener.fd;
    ssize_t received;
    char rest;

    if (resolver->opener_pid == 0 || fd < 0 || shutdown(fd, SHUT_WR) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &LIMIT, sizeof LIMIT))
        return;
    do {
        received = recv(fd, &rest, sizeof rest, 0);
    } while (received > 0);
    /* It is about to end.  If the relay ended first, a host that is a subreaper would have to reap it. */
    if (received == 0)
        (void)waitpid(resolver->opener_pid, NULL, 0);
}
