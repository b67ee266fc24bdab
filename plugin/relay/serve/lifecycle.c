/* SPDX-License-Identifier: MIT */
/*
 * lifecycle.c: the turns of the loop, draining, and the end.
 *
 * A turn: wait; call what is ready and due; continue connections whose last turn ended before they had moved all;
 * handle what these caused; free what has ended.  The relay ends when it is told to stop, by control socket or signal, when the launcher
 * dies (if asked for), or when a drain is complete.
 *
 * In serve/ belongs what the bytes of a client, an upstream or the control socket reach after the sandbox has closed.
 * What only sets up is in setup/; names and connecting are in dial/.
 */
#include "relay/serve/lifecycle.h"

#include "relay/serve/connection.h"
#include "relay/serve/events.h"
#include "relay/serve/relay.h"
#include "relay/serve/vanished.h"

#include <malloc.h>

static void idle_for_a_while(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, idle_timer);

    if (relay->connections_now == 0)
        (void)malloc_trim(0); /* the result only says whether memory was released */
}

void relay_stop(struct relay *relay, const char *reason)
{
    if (relay->state == RELAY_STOPPED)
        return;
    relay->state = RELAY_STOPPED;
    relay->stop_reason = reason;
}

static void grace_over(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, grace_timer);

    if (relay->network_users.fd >= 0) /* other relays still use this container's network */
        connection_cut_all(relay, "drain-grace-over");
    else
        relay_stop(relay, "drain-grace-over");
}

void relay_drain(struct relay *relay, int64_t grace_ms, const char *why)
{
    if (relay->state == RELAY_SERVING) {
        relay->state = RELAY_DRAINING;
        event_notice(&relay->log, "draining", why);
        listeners_close(relay);
    }
    timer_stop(&relay->grace_timer);
    if (grace_ms >= 0) {
        /* The time when it is over must not overflow. */
        relay->grace_timers.duration_ms = grace_ms < INT64_MAX / 2 ? grace_ms : INT64_MAX / 2;
        timer_start(&relay->loop, &relay->grace_timers, &relay->grace_timer, grace_over);
    }
}

/* Handles what the connections of this turn have caused. */
static void end_turn(struct relay *relay)
{
    if (relay->has_moved)
        vanished_watch(relay);
    if (relay->has_ended) {
        if (relay->connections_now == 0)
            timer_start(&relay->loop, &relay->idle_timers, &relay->idle_timer, idle_for_a_while);
        listeners_resume(relay);
    }
    relay->has_moved = relay->has_ended = false;
    loop_free_discarded(&relay->loop);
    if (relay->state == RELAY_DRAINING && relay->connections_now == 0 &&
        relay->network_users.fd < 0)
        relay_stop(relay, "drained");
}

void relay_serve(struct relay *relay)
{
    event_started(relay);
    if (relay->sandbox_missing[0])
        event_notice(&relay->log, "sandbox-incomplete", relay->sandbox_missing);
    relay->log.together = true;
    while (relay->state != RELAY_STOPPED) {
        bool has_turns = !list_is_empty(&relay->turns);
        event_log_write(&relay->log);
        loop_wait(&relay->loop, has_turns ? 0 : resolver_wait_ms(&relay->dialler, -1));
        resolver_run_timeouts(&relay->dialler);
        connection_take_turns(relay);
        end_turn(relay);
    }
    listeners_close(relay);
    connection_cut_all(relay, "stop");
    loop_free_discarded(&relay->loop);
    limits_close(relay);
    event_stopped(relay);
    event_log_write(&relay->log);
}
