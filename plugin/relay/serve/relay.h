/* SPDX-License-Identifier: MIT */
/*
 * relay.h: the relay's whole state.  Its parts are declared in their own headers; this header is for code in serve/ and
 * setup/ that uses several of them.
 */
#ifndef RELAY_SERVE_RELAY_H
#define RELAY_SERVE_RELAY_H

#include "relay/base/event_log.h"
#include "relay/base/histogram.h"
#include "relay/base/io_buffer.h"
#include "relay/base/list.h"
#include "relay/base/loop.h"
#include "relay/base/pipe_pool.h"
#include "relay/dial/dialler.h"
#include "relay/serve/control.h"
#include "relay/serve/limits.h"
#include "relay/serve/listener.h"
#include "wire/config.h"
#include "wire/message_size.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct upstream {
    struct destination *destination; /* the config, and what is cached of its name */
    uint64_t connections_now, connections_total, connections_refused;
    uint64_t bytes_up, bytes_down;
    struct limits limits;
    struct histogram dial_times;         /* from the client's arrival to a connected upstream */
    char last_error[RELAY_MESSAGE_SIZE]; /* empty: none yet */
    int64_t last_error_ms;
};

enum relay_state { RELAY_SERVING, RELAY_DRAINING, RELAY_STOPPED };

struct relay {
    struct loop loop;
    struct relay_config config;
    enum relay_state state;
    const char *stop_reason;
    int64_t started_ms;
    uint32_t uid;      /* the user who may control it, besides root */
    bool in_container; /* in which it is process 1 */

    size_t upstream_count;
    struct upstream upstreams[RELAY_MAX_UPSTREAMS];
    size_t listener_count;
    struct listener listeners[MAX_LISTENERS];
    uint64_t listen_network_device, listen_network_inode; /* the namespace it listens in */
    bool listens_where_it_dials; /* then an upstream could be the relay itself */
    bool paused;                 /* accepts nothing: out of descriptors or at the limit */
    struct timer paused_timer;
    int64_t pause_noticed_ms;

    uint64_t connections_total, connections_now, connections_max;
    struct limits limits;
    struct list_node connections, turns;
    bool has_moved; /* bytes were moved in this turn of the loop */
    bool has_ended; /* a connection ended in this turn */
    struct pipe_pool pipes;
    struct dialler dialler;

    struct timer_queue identification_timers, goodbye_timers, limit_timers, pause_timers,
        control_timers, grace_timers, idle_timers, network_timers, vanished_timers;
    struct timer grace_timer, idle_timer, network_timer, vanished_timer;

    struct control_listener control_of_slug, control_of_instance;
    struct control_client control_clients[MAX_CONTROL_CLIENTS];
    struct control_client *successor; /* was offered the sockets and may commit; NULL: none */
    int network_hold_fd;              /* to hold, and to hand over (takeover_offer.c); -1: none */
    struct watch network_users; /* readable when no relay holds the network; fd -1: none does */
    bool control_waits;         /* accepts no control client until one is done, or for a while */
    struct timer control_paused_timer;
    struct watch signals;  /* signalfd(2) */
    struct watch launcher; /* pidfd_open(2): it ends with that; fd -1: with none */
    pid_t launcher_pid;
    char *process_name; /* in the process list; NULL: it cannot be changed */

    char sandbox_missing[96]; /* stages that this system has not; empty: none */
    struct event_log log;
    struct io_buffer buffer;
};

#endif
