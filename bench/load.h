/* SPDX-License-Identifier: MIT */
/* load.h: what the parts of the load have in common; load.c says what the load is. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What a client was asked to do. */
struct task {
    struct sockaddr_in server;
    size_t connections;
    uint64_t bytes;
    double seconds;
    size_t beside;
};

/* ---- wire.c ---- */

/* Print a message and exit with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_errno(const char *what);
/* Zeroed; never NULL. */
void *allocate(size_t count, size_t size);
/* CLOCK_MONOTONIC */
int64_t now_ns(void);
double seconds_since(int64_t start_ns);

#define BATCH 64 /* events that one wait takes */

/* These die where the system refuses. */
int epoll_create_or_die(void);
void watch(int epoll_fd, int operation, int fd, uint32_t events, void *owner);
/* Returns how many events there are. */
int wait_for(int epoll_fd, struct epoll_event events[BATCH]);
/* flags: SOCK_NONBLOCK or 0 */
int open_socket(int flags);
void close_or_die(int fd);
/* On a socket that blocks. */
void send_all(int fd, const void *bytes, size_t length);
void receive_all(int fd, void *bytes, size_t length);

#define IDENTIFICATION_SIZE 64
#define PING_BYTES          64

struct identification {
    char text[IDENTIFICATION_SIZE];
};

/* request: "echo", "source" or "sink", with the bytes of a transfer; "server" for the server's own. */
struct identification identify(const char *request, uint64_t bytes);
/* What the identification of a client asks for. */
void read_request(const struct identification *peer, char request[7], uint64_t *bytes);
/* Dies unless it is the server's: a forwarder may answer in its place. */
void check_server(const struct identification *peer);
/* A connection of a client, both identifications exchanged. */
int open_connection(const struct sockaddr_in *server, const char *request, uint64_t bytes);

/* ---- transfer.c ---- */

#define TRANSFER_BUFFER ((size_t)128 << 10) /* what iperf3 reads and writes */

struct transfer {
    int fd;
    bool sends;
    uint64_t bytes, done;
};

enum progress { UNDER_WAY, COMPLETE, BROKEN };

/* Watches its descriptor; the events' owner is the transfer. */
void transfer_begin(struct transfer *transfer, int epoll_fd);
/* After an event on its descriptor.  buffer has TRANSFER_BUFFER bytes. */
enum progress transfer_go_on(struct transfer *transfer, int epoll_fd, char *buffer);

/* ---- server.c ---- */

/* Serves at task->server, for ever. */
void run_server(const struct task *task);

/* ---- clients.c: each does its task and prints a JSON object ---- */

void run_bulk(const struct task *task);
void run_rate(const struct task *task);
void run_ping(const struct task *task);
void run_idle(const struct task *task);

#endif
