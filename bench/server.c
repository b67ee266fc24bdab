/* SPDX-License-Identifier: MIT */
/*
 * server.c: the server behind the forwarders.
 *
 * It identifies itself to every client and does what the client's identification asks for.  Transfers
 * have a thread of their own, so that they do not delay an echo.
 */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct server {
    int listen_fd;
    int epoll_fd;
    int transfer_epoll_fd; /* watched by the other thread */
};

struct client {
    int fd;
    struct identification identification;
    size_t received; /* of the identification */
};

static void *serve_transfers(void *argument)
{
    const struct server *server = argument;
    char *buffer = allocate(1, TRANSFER_BUFFER);
    struct epoll_event events[BATCH];

    for (;;) {
        int count = wait_for(server->transfer_epoll_fd, events);
        for (int i = 0; i < count; i++) {
            struct transfer *transfer = events[i].data.ptr;
            enum progress progress = transfer_go_on(transfer, server->transfer_epoll_fd, buffer);
            if (progress == UNDER_WAY)
                continue;
            if (progress == BROKEN)
                (void)fprintf(stderr, "load: server: %" PRIu64 " of %" PRIu64 " bytes %s\n",
                              transfer->done, transfer->bytes,
                              transfer->sends ? "sent" : "received");
            close_or_die(transfer->fd);
            free(transfer);
        }
    }
    return NULL;
}

static void drop_client(struct client *client)
{
    close_or_die(client->fd);
    free(client);
}

static void accept_clients(const struct server *server)
{
    const struct identification own = identify("server", 0);
    int fd;

    while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct client *client = allocate(1, sizeof *client);
        client->fd = fd;
        send_all(fd, &own, sizeof own);
        watch(server->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLIN, client);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die_errno("accept4");
}

/* The identification is complete: a transfer goes to the thread for transfers. */
static void begin_request(const struct server *server, struct client *client)
{
    struct transfer *transfer;
    char request[7];
    uint64_t bytes;

    read_request(&client->identification, request, &bytes);
    if (strcmp(request, "echo") == 0)
        return;
    if (strcmp(request, "source") != 0 && strcmp(request, "sink") != 0) {
        (void)fprintf(stderr, "load: server: a client asks for \"%s\"\n", request);
        drop_client(client);
        return;
    }
    transfer = allocate(1, sizeof *transfer);
    *transfer = (struct transfer){
        .fd = client->fd, .sends = strcmp(request, "source") == 0, .bytes = bytes};
    watch(server->epoll_fd, EPOLL_CTL_DEL, client->fd, 0, NULL);
    free(client);
    transfer_begin(transfer, server->transfer_epoll_fd);
}

static void echo(struct client *client)
{
    char bytes[PING_BYTES];
    ssize_t received = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0 || send(client->fd, bytes, (size_t)received, MSG_NOSIGNAL) != received)
        drop_client(client);
}

static void client_ready(const struct server *server, struct client *client)
{
    struct identification *identification = &client->identification;

    if (client->received == sizeof identification->text) {
        echo(client);
        return;
    }
    ssize_t received = recv(client->fd, identification->text + client->received,
                            sizeof identification->text - client->received, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN)
        return;
    if (received <= 0) { /* it connected only to see that somebody listens */
        drop_client(client);
        return;
    }
    client->received += (size_t)received;
    if (client->received == sizeof identification->text)
        begin_request(server, client);
}

void run_server(const struct task *task)
{
    static const int on = 1;
    struct server server = {.listen_fd = open_socket(SOCK_NONBLOCK),
                            .epoll_fd = epoll_create_or_die(),
                            .transfer_epoll_fd = epoll_create_or_die()};
    struct epoll_event events[BATCH];
    pthread_t transfers;

    if (setsockopt(server.listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(server.listen_fd, (const struct sockaddr *)&task->server, sizeof task->server) ||
        listen(server.listen_fd, SOMAXCONN))
        die_errno("listen");
    watch(server.epoll_fd, EPOLL_CTL_ADD, server.listen_fd, EPOLLIN, NULL);
    if (pthread_create(&transfers, NULL, serve_transfers, &server))
        die("pthread_create failed");
    if (puts("{\"mode\": \"server\"}") < 0 || fflush(stdout))
        die_errno("standard output");
    for (;;) {
        int count = wait_for(server.epoll_fd, events);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                client_ready(&server, events[i].data.ptr);
            else
                accept_clients(&server);
        }
    }
}
