/* SPDX-License-Identifier: MIT */
/*
 * loop.c: epoll_wait(2), the functions of what is ready, then the timers that are due.
 *
 * A function called here may close any descriptor, even one with an event later in the same batch.  Its
 * owner then sets watch.fd to -1, and keeps the memory of the watch until the batch is over; such a
 * watch is skipped.
 */
#include "relay/base/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#define LOOP_BATCH 64

static void read_clock(struct loop *loop)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with this clock */
    loop->now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    loop->now_ms = loop->now_us / 1000;
}

int loop_init(struct loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    read_clock(loop);
    list_init(&loop->queues);
    list_init(&loop->discarded);
    return loop->epoll_fd < 0 ? -1 : 0;
}

int loop_add(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event);
}

int loop_change(struct loop *loop, struct watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int result = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event);

    if (result) {
        int error = errno;
        loop_remove(loop, watch);
        errno = error;
    }
    return result;
}

void loop_remove(struct loop *loop, struct watch *watch)
{
    /* Fails only if the descriptor is not watched. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
}

void loop_add_queue(struct loop *loop, struct timer_queue *queue, int64_t duration_ms)
{
    list_init(&queue->timers);
    queue->duration_ms = duration_ms;
    list_append(&loop->queues, &queue->queue);
}

void timer_init(struct timer *timer)
{
    list_init(&timer->node);
}

void timer_start(struct loop *loop, struct timer_queue *queue, struct timer *timer,
                 void (*expired)(struct timer *timer))
{
    list_remove(&timer->node);
    timer->due_ms = loop->now_ms + queue->duration_ms;
    timer->expired = expired;
    list_append(&queue->timers, &timer->node);
}

void timer_stop(struct timer *timer)
{
    list_remove(&timer->node);
}

bool timer_is_running(const struct timer *timer)
{
    return !list_is_empty(&timer->node);
}

static struct timer *first_timer(struct list_node *queue_node)
{
    struct timer_queue *queue = container_of(queue_node, struct timer_queue, queue);

    if (list_is_empty(&queue->timers))
        return NULL;
    return container_of(queue->timers.next, struct timer, node);
}

static int64_t until_next_timer(const struct loop *loop, int64_t limit_ms)
{
    for (struct list_node *node = loop->queues.next; node != &loop->queues; node = node->next) {
        const struct timer *timer = first_timer(node);
        if (!timer)
            continue;
        int64_t wait_ms = timer->due_ms > loop->now_ms ? timer->due_ms - loop->now_ms : 0;
        if (limit_ms < 0 || wait_ms < limit_ms)
            limit_ms = wait_ms;
    }
    return limit_ms;
}

static void run_due_timers(struct loop *loop)
{
    for (struct list_node *node = loop->queues.next; node != &loop->queues; node = node->next) {
        struct timer *timer;
        while ((timer = first_timer(node)) && timer->due_ms <= loop->now_ms) {
            timer_stop(timer);
            timer->expired(timer);
        }
    }
}

void loop_discard(struct loop *loop, struct list_node *node)
{
    list_append(&loop->discarded, node);
}

void loop_free_discarded(struct loop *loop)
{
    while (!list_is_empty(&loop->discarded)) {
        struct list_node *node = loop->discarded.next;
        list_remove(node);
        free(node); /* the node is the first member of the struct */
    }
}

void loop_wait(struct loop *loop, int64_t limit_ms)
{
    struct epoll_event events[LOOP_BATCH];
    int64_t wait_ms = until_next_timer(loop, limit_ms);
    int count = epoll_wait(loop->epoll_fd, events, LOOP_BATCH,
                           wait_ms > INT32_MAX ? INT32_MAX : (int)wait_ms);

    read_clock(loop);
    for (int i = 0; i < count; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch->fd >= 0)
            watch->ready(watch, events[i].events);
    }
    run_due_timers(loop);
}
