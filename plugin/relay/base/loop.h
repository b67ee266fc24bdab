/* SPDX-License-Identifier: MIT */
/*
 * loop.h: the relay's one thread: descriptors that become ready, and timers.
 *
 * A watch ties a descriptor to a function.  A timer queue holds timers of one duration, so
 * appending keeps it sorted: starting and stopping a timer costs O(1) and no allocation.
 *
 * In base/ belongs what the other rooms build on: the loop, the event log, addresses, pipes, each with its own struct.  What knows a
 * connection or a destination does not belong here.
 */
#ifndef RELAY_LOOP_H
#define RELAY_LOOP_H

#include "relay/base/list.h"

#include <stdint.h>

struct watch {
    int fd;
    void (*ready)(struct watch *watch, uint32_t events);
};

struct timer {
    struct list_node node;
    int64_t due_ms;
    void (*expired)(struct timer *timer);
};

struct timer_queue {
    struct list_node timers;
    struct list_node queue; /* in loop.queues */
    int64_t duration_ms;
};

struct loop {
    int epoll_fd;
    int64_t now_ms, now_us; /* CLOCK_MONOTONIC when the last wait ended */
    struct list_node queues;
    struct list_node discarded;
};

/* Returns 0, or -1 with errno set. */
int loop_init(struct loop *loop);

/* events: EPOLLIN and so on, epoll_ctl(2).  Return 0, or -1 with errno set: then the descriptor is not
   watched, also if it was before. */
int loop_add(struct loop *loop, struct watch *watch, uint32_t events);
int loop_change(struct loop *loop, struct watch *watch, uint32_t events);
/* For a descriptor that stays open; closing removes it as well, unless a duplicate is open. */
void loop_remove(struct loop *loop, struct watch *watch);

void loop_add_queue(struct loop *loop, struct timer_queue *queue, int64_t duration_ms);
/* Restarts the timer if it runs. */
void timer_start(struct loop *loop, struct timer_queue *queue, struct timer *timer,
                 void (*expired)(struct timer *timer));
void timer_init(struct timer *timer);
void timer_stop(struct timer *timer);
bool timer_is_running(const struct timer *timer);

/*
 * Frees, when the batch of events is over, a struct that begins with a list_node and may still have events in the
 * batch.  The node must be in no list.
 */
void loop_discard(struct loop *loop, struct list_node *node);
void loop_free_discarded(struct loop *loop);

/* Waits at most limit_ms (negative: no limit) or until a timer is due; calls what is ready and due.
 */
void loop_wait(struct loop *loop, int64_t limit_ms);

#endif
