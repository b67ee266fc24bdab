/* SPDX-License-Identifier: MIT */
/* clients.c: what load measures, seen from a client: bulk, rate, ping, idle. */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BESIDE_BYTES ((uint64_t)64 << 20) /* of each transfer beside which ping runs */
#define SETTLE_NS    100000000            /* until those transfers are at full speed */

/* ---- bulk ---- */

static void open_transfer(struct transfer *transfer, const struct task *task, int epoll_fd)
{
    transfer->done = 0;
    transfer->fd =
        open_connection(&task->server, transfer->sends ? "sink" : "source", transfer->bytes);
    transfer_begin(transfer, epoll_fd);
}

/*
 * Runs so many transfers at once.  With stop, each that completes is followed by another until
 * *stop.  Returns the bytes that were moved.
 */
static uint64_t run_transfers(const struct task *task, size_t at_once, uint64_t bytes, bool sends,
                              const atomic_bool *stop)
{
    struct transfer *transfers = allocate(at_once, sizeof *transfers);
    char *buffer = allocate(1, TRANSFER_BUFFER);
    int epoll_fd = epoll_create_or_die();
    struct epoll_event events[BATCH];
    uint64_t moved = 0;

    for (size_t i = 0; i < at_once; i++) {
        transfers[i] = (struct transfer){.sends = sends, .bytes = bytes};
        open_transfer(&transfers[i], task, epoll_fd);
    }
    for (size_t open = at_once; open > 0;) {
        int count = wait_for(epoll_fd, events);
        for (int i = 0; i < count; i++) {
            struct transfer *transfer = events[i].data.ptr;
            enum progress progress = transfer_go_on(transfer, epoll_fd, buffer);
            if (progress == BROKEN)
                die("%" PRIu64 " of %" PRIu64 " bytes %s", transfer->done, transfer->bytes,
                    transfer->sends ? "sent" : "received");
            if (progress == UNDER_WAY)
                continue;
            moved += transfer->done;
            close_or_die(transfer->fd);
            if (stop && !atomic_load(stop))
                open_transfer(transfer, task, epoll_fd);
            else
                open--;
        }
    }
    close_or_die(epoll_fd);
    free(buffer);
    free(transfers);
    return moved;
}

void run_bulk(const struct task *task)
{
    int64_t start_ns = now_ns();
    uint64_t down = run_transfers(task, task->connections, task->bytes / 2, false, NULL);
    double down_s = seconds_since(start_ns);
    uint64_t up = run_transfers(task, task->connections, task->bytes - task->bytes / 2, true, NULL);
    double both_s = seconds_since(start_ns);

    (void)printf("{\"mode\": \"bulk\", \"connections\": %zu, \"bytes\": %" PRIu64
                 ", \"seconds\": %.6f, \"gb_per_s\": %.4f, \"down_gb_per_s\": %.4f, "
                 "\"up_gb_per_s\": %.4f}\n",
                 task->connections, down + up, both_s, (double)(down + up) / 1e9 / both_s,
                 (double)down / 1e9 / down_s, (double)up / 1e9 / (both_s - down_s));
}

/* ---- rate ---- */

/* One connection from connect to its end. */
struct visit {
    int fd;
    bool sent;
    size_t received;
    struct identification peer;
};

static void visit_begin(struct visit *visit, const struct task *task, int epoll_fd)
{
    *visit = (struct visit){.fd = open_socket(SOCK_NONBLOCK)};
    if (connect(visit->fd, (const struct sockaddr *)&task->server, sizeof task->server) &&
        errno != EINPROGRESS)
        die_errno("connect");
    watch(epoll_fd, EPOLL_CTL_ADD, visit->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, visit);
}

/* True when it is over: the server, through the forwarder, has ended it as well. */
static bool visit_go_on(struct visit *visit)
{
    const struct identification own = identify("echo", 0);

    if (!visit->sent) {
        ssize_t sent = send(visit->fd, &own, sizeof own, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return false;
        if (sent != (ssize_t)sizeof own)
            die_errno("send");
        visit->sent = true;
    }
    while (visit->received < sizeof visit->peer) {
        ssize_t received = recv(visit->fd, visit->peer.text + visit->received,
                                sizeof visit->peer - visit->received, 0);
        if (received < 0 && errno == EAGAIN)
            return false;
        if (received <= 0)
            die("a connection ended before the server identified itself");
        visit->received += (size_t)received;
        if (visit->received < sizeof visit->peer)
            continue;
        check_server(&visit->peer);
        if (shutdown(visit->fd, SHUT_WR))
            die_errno("shutdown");
    }
    ssize_t received = recv(visit->fd, &visit->peer, sizeof visit->peer, 0);
    if (received < 0 && errno == EAGAIN)
        return false;
    if (received != 0)
        die("a connection did not end with an end of file");
    return true;
}

void run_rate(const struct task *task)
{
    struct visit *visits = allocate(task->connections, sizeof *visits);
    int epoll_fd = epoll_create_or_die();
    struct epoll_event events[BATCH];
    uint64_t completed = 0;
    int64_t start_ns = now_ns();

    for (size_t i = 0; i < task->connections; i++)
        visit_begin(&visits[i], task, epoll_fd);
    for (size_t open = task->connections; open > 0;) {
        int count = wait_for(epoll_fd, events);
        for (int i = 0; i < count; i++) {
            struct visit *visit = events[i].data.ptr;
            if (!visit_go_on(visit))
                continue;
            close_or_die(visit->fd);
            if (seconds_since(start_ns) < task->seconds) {
                completed++;
                visit_begin(visit, task, epoll_fd);
            } else {
                open--; /* it took longer than there was time, and does not count */
            }
        }
    }
    close_or_die(epoll_fd);
    free(visits);
    (void)printf("{\"mode\": \"rate\", \"connections\": %" PRIu64
                 ", \"seconds\": %.6f, \"connections_per_s\": %.1f}\n",
                 completed, task->seconds, (double)completed / task->seconds);
}

/* ---- ping ---- */

struct samples {
    uint64_t *ns;
    size_t count, room;
};

static void add_sample(struct samples *samples, int64_t ns)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 65536;
        uint64_t *larger = realloc(samples->ns, samples->room * sizeof *larger);
        if (!larger)
            die("out of memory");
        samples->ns = larger;
    }
    samples->ns[samples->count++] = (uint64_t)ns;
}

static int compare_samples(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

/* Of sorted samples, at least one. */
static double percentile_us(const struct samples *samples, unsigned int percent)
{
    size_t rank = (samples->count * percent + 99) / 100;

    return (double)samples->ns[rank > 0 ? rank - 1 : 0] / 1e3;
}

static void round_trip(int fd)
{
    const char sent[PING_BYTES] = {0};
    char received[PING_BYTES];

    send_all(fd, sent, sizeof sent);
    receive_all(fd, received, sizeof received);
}

static void ping(const struct task *task, struct samples *samples)
{
    int fd = open_connection(&task->server, "echo", 0);
    int64_t start_ns = now_ns(), before_ns = start_ns;

    do {
        round_trip(fd);
        int64_t after_ns = now_ns();
        add_sample(samples, after_ns - before_ns);
        before_ns = after_ns;
    } while ((double)(before_ns - start_ns) / 1e9 < task->seconds);
    close_or_die(fd);
}

/* The transfers beside which ping runs. */
struct beside {
    const struct task *task;
    atomic_bool stop;
    uint64_t moved;
    double seconds;
};

static void *transfer_beside(void *argument)
{
    struct beside *beside = argument;
    int64_t start_ns = now_ns();

    beside->moved =
        run_transfers(beside->task, beside->task->beside, BESIDE_BYTES, false, &beside->stop);
    beside->seconds = seconds_since(start_ns);
    return NULL;
}

void run_ping(const struct task *task)
{
    struct beside beside = {.task = task};
    struct samples samples = {0};
    const struct timespec settle = {.tv_nsec = SETTLE_NS};
    pthread_t thread;

    if (task->beside > 0) {
        if (pthread_create(&thread, NULL, transfer_beside, &beside))
            die("pthread_create failed");
        (void)nanosleep(&settle, NULL);
    }
    ping(task, &samples);
    if (task->beside > 0) {
        atomic_store(&beside.stop, true);
        if (pthread_join(thread, NULL))
            die("pthread_join failed");
    }
    qsort(samples.ns, samples.count, sizeof *samples.ns, compare_samples);
    (void)printf("{\"mode\": \"ping\", \"round_trips\": %zu, \"p50_us\": %.2f, \"p99_us\": %.2f, "
                 "\"beside\": %zu, \"beside_gb_per_s\": %.4f}\n",
                 samples.count, percentile_us(&samples, 50), percentile_us(&samples, 99),
                 task->beside, task->beside > 0 ? (double)beside.moved / 1e9 / beside.seconds : 0);
    free(samples.ns);
}

/* ---- idle ---- */

static void wait_for_end_of_input(void)
{
    char bytes[64];
    ssize_t received;

    while ((received = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        ;
    if (received < 0)
        die_errno("standard input");
}

void run_idle(const struct task *task)
{
    int *fds = allocate(task->connections, sizeof *fds);
    int64_t start_ns = now_ns();

    for (size_t i = 0; i < task->connections; i++)
        fds[i] = open_connection(&task->server, "echo", 0);
    (void)printf("{\"mode\": \"idle\", \"connections\": %zu, \"seconds\": %.6f}\n",
                 task->connections, seconds_since(start_ns));
    if (fflush(stdout))
        die_errno("standard output");
    wait_for_end_of_input();
    for (size_t i = 0; i < task->connections; i++) {
        round_trip(fds[i]);
        close_or_die(fds[i]);
    }
    free(fds);
}
