/* SPDX-License-Identifier: MIT */
/*
 * relay.h: the relay's state, all of it.  main.c says how the parts work together.
 *
 * Who owns what: struct relay lives as long as the process.  A struct connection owns its two
 * sockets, its pipes and, until the upstream answers, its dial; connection.c alone makes and frees
 * it.  A struct lookup outlives its dial only while c-ares still holds a question of it.
 */
#ifndef RELAY_H
#define RELAY_H

#include "relay/base/histogram.h"
#include "relay/base/loop.h"
#include "relay/dial/resolver.h"
#include "relay/serve/ssh_wire.h"
#include "wire/protocol.h"

#include <bottle/sidecar.h>

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

/* With AddressSanitizer, whose runtime needs more than the relay, and looks into it as it ends. */
#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* An IPv4 or IPv6 address with its port, a quarter of a sockaddr_storage. */
union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
#define ADDRESS_TEXT_SIZE 56 /* "[IPv6]:port" */

socklen_t address_length(const union address *address);
void address_set_port(union address *address, uint16_t port);
/* "127.0.0.1:22", "[::1]:22" */
const char *address_text(const union address *address, char text[ADDRESS_TEXT_SIZE]);
/* False if text is no literal. */
bool address_from_literal(const char *text, uint16_t port, union address *address);
/* Whether a socket is bound to exactly this one. */
bool address_is_of(int fd, const union address *address);
/*
 * A socket without delay (Nagle) and with keepalive, which ends a connection whose peer has vanished
 * after two minutes, if nothing was on its way to it (else see vanished.c).  What a listening one accepts
 * inherits both (tcp(7)).  -1 with errno set.
 */
int tcp_socket(int family);

/* ---- pipes (pipe_pool.c) ---- */

struct pipe {
    struct list_node node; /* in pipe_pool.spare while nobody has it */
    int read_fd, write_fd;
    size_t capacity;
};

struct pipe_pool {
    struct list_node spare;
    size_t spare_count, count, max;
};

/* descriptors: that pipes and connections share.  Returns how many of them are for the pipes. */
uint64_t pipe_pool_init(struct pipe_pool *pool, uint64_t descriptors);
/* False when the pool's limit is reached or the system gives no more: leave the bytes in the socket
   then. After true the next pipe_borrow succeeds, with room for IO_BUFFER_SIZE bytes at least. */
bool pipe_pool_reserve(struct pipe_pool *pool);
struct pipe *pipe_borrow(struct pipe_pool *pool);
/* in_flight: bytes that are left in it; such a pipe is closed, so that they reach nobody. */
void pipe_return(struct pipe_pool *pool, struct pipe *pipe, size_t in_flight);
/* Closes the spare ones but one. */
void pipe_pool_trim(struct pipe_pool *pool);

/* ---- limits (limits.c) ---- */

struct limits;

struct limit {
    struct limits *limits; /* that it is one of */
    struct timer quiet;    /* runs from the first client that it refused on */
    uint64_t refused;      /* meanwhile */
    int64_t since_ms;
};

/* Of one upstream, or of all together. */
struct limits {
    struct relay *relay;
    const struct upstream *upstream; /* NULL: all together */
    uint64_t connections, pending_dials;
    int64_t credit, credit_ms; /* dials, in thousandths, that may begin at once; when it was that */
    struct limit limit[RELAY_LIMITS / 2];
};

/* ---- upstreams and listeners ---- */

#define RESOLVED_MAX_ADDRESSES 16

struct resolution {
    size_t count;
    int64_t expires_ms;
    union address addresses[RESOLVED_MAX_ADDRESSES];
};

struct upstream {
    const struct relay_upstream_config *config;
    struct resolution from_hosts; /* what /etc/hosts says of the name */
    struct resolution cached;     /* an answer of DNS that is still fresh, for bursts of dials */
    uint64_t connections_now, connections_total, connections_refused;
    uint64_t bytes_up, bytes_down;
    struct limits limits;
    struct histogram dial_times;         /* from the client's arrival to a connected upstream */
    char last_error[RELAY_MESSAGE_SIZE]; /* empty: none yet */
    int64_t last_error_ms;
};

struct listener {
    struct watch watch;
    struct relay *relay;
    struct upstream *upstream;
    union address address;
};

#define LISTENERS_PER_UPSTREAM 2 /* addresses, or loopbacks of a namespace */
#define MAX_LISTENERS          (LISTENERS_PER_UPSTREAM * RELAY_MAX_UPSTREAMS)

/* ---- connections (connection.c, flow.c) ---- */

enum side { CLIENT, UPSTREAM };

enum connection_state {
    CONNECTION_DIALLING,       /* the client waits, unwatched; the dial decides */
    CONNECTION_IDENTIFICATION, /* bytes flow; the SSH identifications have not both gone by */
    CONNECTION_ESTABLISHED,    /* bytes flow; no timeout */
    CONNECTION_GOODBYE,        /* the client was told why not; waiting for it to hang up */
    CONNECTION_CLOSED,         /* in relay.discarded until the batch of events is over */
};

struct endpoint {
    struct watch watch;
    bool readable, writable; /* until the kernel says EAGAIN; the watches are edge-triggered */
    bool urgent;             /* the peer has sent urgent data, where reads stop */
    bool hangup;             /* the peer's end of file or error may be waiting behind the bytes */
    int error;               /* taken from SO_ERROR: the peer reset, or the network gave up */
};

/* One direction. */
struct flow {
    struct pipe *pipe; /* borrowed while bytes are in it */
    size_t in_pipe;
    uint64_t bytes;
    bool bulk;  /* the last read filled the buffer: splice */
    bool ended; /* the source's end of file was read */
    bool shut;  /* and passed on */
    struct identification identification;
};

struct connection {
    struct list_node
        node; /* in relay.connections, then in relay.discarded; first, see relay_discard */
    struct list_node turn; /* in relay.turns while it has more to do than one turn allows */
    struct relay *relay;
    struct upstream *upstream;
    uint64_t number;
    enum connection_state state;
    int64_t opened_us;
    struct endpoint endpoints[2]; /* by enum side */
    struct flow up, down;         /* client → upstream, upstream → client */
    bool up_ended_first;
    bool admitted; /* counts in the limits */
    struct dial *dial;
    struct timer timer; /* identification or goodbye, by state */
    union address client_address, upstream_address;
};

enum flow_result {
    FLOW_WAITS,    /* for its source or its destination */
    FLOW_HAS_MORE, /* its turn is over */
    FLOW_ENDED,    /* all bytes up to the source's end of file were passed on */
    FLOW_SOURCE_RESET,
    FLOW_DESTINATION_RESET,
};

/* Moves bytes until one side waits or the turn is over; flow.c. */
enum flow_result flow_move(struct relay *relay, struct flow *flow, struct endpoint *source,
                           struct endpoint *destination, uint64_t *bytes_of_upstream);
/* Gives back what the flow holds. */
void flow_drop(struct relay *relay, struct flow *flow);

/* Takes a connected client; fd is the connection's from here on, also on failure. */
void connection_open(struct listener *listener, int fd, const union address *client_address);
/* The dial's outcomes.  fd is the connection's from here on. */
void connection_dialled(struct connection *connection, int fd,
                        const union address *upstream_address);
void connection_dial_failed(struct connection *connection, const char *reason, const char *message);
/* One side is not there any more: the other one is reset. */
void connection_peer_vanished(struct connection *connection, enum side side);
/* Every connection is reset. */
void connection_cut_all(struct relay *relay, const char *reason);
/* Another turn for each connection that has more to do. */
void connection_take_turns(struct relay *relay);

/* ---- dialling (dial.c) ---- */

struct dial;

/* Starts to resolve and connect.  Ends in connection_dialled or connection_dial_failed, perhaps
   before it returns: the caller must not touch the connection any more. */
void dial_start(struct connection *connection);
/* The connection is gone: no more calls for it. */
void dial_abandon(struct dial *dial);

/* ---- the whole ---- */

#define MAX_CONTROL_CLIENTS 8
#define IO_BUFFER_SIZE      ((size_t)32 << 10)

struct control_client {
    struct watch watch;
    struct relay *relay;
    struct timer timer;
};

struct control_listener {
    struct watch watch;
    struct relay *relay;
};

enum relay_state { RELAY_SERVING, RELAY_DRAINING, RELAY_STOPPED };

struct relay {
    struct loop loop;
    struct relay_config config;
    enum relay_state state;
    const char *stop_reason;
    int64_t started_ms;
    uint32_t uid;      /* who may control it, beside root */
    bool in_container; /* and its first process */

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
    struct list_node connections, turns, discarded;
    struct pipe_pool pipes;
    struct resolver resolver;

    struct timer_queue family_timers, attempt_timers, look_timers, resolve_timers, dial_timers,
        identification_timers, goodbye_timers, limit_timers, pause_timers, control_timers,
        grace_timers, idle_timers, network_timers, vanished_timers;
    struct timer grace_timer, idle_timer, network_timer, vanished_timer;

    struct control_listener control_of_slug, control_of_instance;
    struct control_client control_clients[MAX_CONTROL_CLIENTS];
    struct control_client *successor; /* has been offered the sockets, and may commit; or NULL */
    int network_hold_fd;              /* to keep and to hand on (takeover.c); -1: none */
    struct watch network_users; /* readable when no relay holds the network; fd -1: none does */
    bool control_waits;         /* accepts no further one until one of them is done, or a while */
    struct timer control_paused_timer;
    struct watch signals;  /* signalfd(2) */
    struct watch launcher; /* pidfd_open(2): it ends with that; fd -1: with none */
    pid_t launcher_pid;
    char *process_name; /* in the process list; NULL: it cannot be changed */

    char sandbox_missing[96];  /* stages that this system has not; empty: none */
    int events_fd;             /* the event log */
    bool events_in_file;       /* not a pipe or a terminal */
    struct watch library_text; /* what libraries print on standard error */
    bool events_together;      /* the loop runs; until then each line is written at once */
    /* The lines of this turn; of so many bytes a pipe takes all or nothing (pipe(7)). */
    char event_lines[PIPE_BUF];
    size_t event_length;
    uint64_t events_lost;       /* since the last one that could be written */
    size_t event_bytes_checked; /* written since the size of the event log was looked at */

    char io_buffer[IO_BUFFER_SIZE]; /* for reads that are passed on at once; holds nothing between
                                       calls */
};

/*
 * Frees, when the batch of events is over, a struct that begins with a list_node and may still
 * have events in the batch.  The node must be in no list.
 */
void relay_discard(struct relay *relay, struct list_node *node);

/* The last connection went: if it stays so for a while, memory goes back to the system. */
void relay_became_idle(struct relay *relay);

/* vanished.c: bytes move; those whose peers have vanished are looked for. */
void vanished_watch(struct relay *relay);

/* listener.c */
void listeners_watch(struct relay *relay);
void listeners_pause(struct relay *relay, const char *reason);
void listeners_resume(struct relay *relay);
/* Closes them; when draining, takes first what the kernel has already accepted. */
void listeners_close(struct relay *relay);

/* limits.c */
void limits_init(struct limits *limits, struct relay *relay, const struct upstream *upstream);
/* Counts a new connection in; or false, with what its client is told. */
bool limits_admit(struct connection *connection, char message[RELAY_MESSAGE_SIZE]);
/* Each for a connection that was counted in: its dial has ended, and it counts no more. */
void limits_dial_ended(const struct connection *connection);
void limits_leave(struct connection *connection);
/* The events of the limits that were just refusing. */
void limits_close(struct relay *relay);

/* control.c */
bool control_watch(struct relay *relay);
/* False: it has handed the claim to another relay, or let it go. */
bool control_claims_slug(const struct relay *relay);

/* main.c */
/* Begins to drain; negative: no bound.  May be called again with another grace.  why: for the event. */
void relay_drain(struct relay *relay, int64_t grace_ms, const char *why);
void relay_stop(struct relay *relay, const char *reason);

/*
 * events.c: one line each in the event log, at the end of the turn, never waiting; the fields are in
 * ssh_gate(7) ("EVENTS").
 */
void event_started(struct relay *relay);
void event_open(const struct connection *connection);
void event_close(const struct connection *connection, const char *ended_by, const char *reason);
void event_refused(const struct connection *connection, const char *reason, const char *message);
void event_limit_reached(const struct limits *limits, enum relay_limit limit, const char *message);
void event_limit_over(const struct limits *limits, enum relay_limit limit, uint64_t refused,
                      int64_t duration_ms);
void event_notice(struct relay *relay, const char *event, const char *message);
/* The last one, written at once; for a signal handler.  system_call: NULL if it has no name here. */
void event_violation(struct relay *relay, const char *system_call, int number);
void event_stopped(struct relay *relay);
/* Writes the lines of this turn. */
void events_write(struct relay *relay);

/* event_log.c, after loop_init(); until then events_fd is standard error.  False with errno set. */
bool event_log_set_up(struct relay *relay);

/*
 * sandbox.c: gives up what the loop does not need.  False, with reply filled in, if that is not
 * possible; else reply->message says what it is done without, and relay.sandbox_missing too.
 */
bool sandbox_enter(struct relay *relay, struct setup_reply *reply);

/* sandbox.c, in the process of dns_opener.c; false: it must not go on. */
bool sandbox_enter_opener(bool required);

/* takeover.c, the old relay: sends the claim and the listening sockets; false: not all of them. */
bool takeover_offer(struct relay *relay, int client_fd);
/* The end of an offer: the network is held by others from here on, or the offer came to nothing. */
bool takeover_yield_network(struct relay *relay);
void takeover_withdraw(struct relay *relay);

/* takeover.c, the new relay */
struct takeover {
    int fd;          /* the connection to the old relay; -1: nothing is taken over */
    int claim_fd;    /* the old relay's control_of_slug; -1: as above, or taken out */
    int hold_fd;     /* on the network; -1: as above, or there is none */
    int launcher_fd; /* the process that the old relay ends with; -1: as above, or there is none */
    pid_t launcher_pid;
    bool elsewhere; /* the old relay listens in another network namespace */
    size_t count;
    int listeners[MAX_LISTENERS]; /* -1: taken out */
};

/* Receives what the old relay offers; false, with reply filled in, if it offers nothing. */
bool takeover_receive(struct takeover *takeover, const struct relay *relay,
                      struct setup_reply *reply);
/* Takes out the socket that listens on the address; -1 if there is none. */
int takeover_listener(struct takeover *takeover, const union address *address);
/* Closes what was not taken out. */
void takeover_drop_rest(struct takeover *takeover);
/* Tells the old relay to stop accepting.  False, with reply filled in: it serves on, or is gone. */
bool takeover_commit(struct takeover *takeover, const struct relay *relay,
                     struct setup_reply *reply);

#define NO_TAKEOVER                                                                                \
    {                                                                                              \
        .fd = -1, .claim_fd = -1, .hold_fd = -1, .launcher_fd = -1                                 \
    }

/* launcher.c: ends with the process that the config wants; false, with reply filled in. */
bool launcher_follow(struct relay *relay, struct takeover *takeover, struct setup_reply *reply);

/* setup.c: fills in a reply; returns false. */
bool setup_fail(struct setup_reply *reply, enum bottle_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * setup.c: everything before the loop; returns false when the relay has to go.
 * @error: 0, or the errno value of what failed before, for the plugin to hear
 */
bool relay_setup(struct relay *relay, int error);
/* The same for a relay that got its config as arguments: those after "serve". */
bool relay_setup_from_arguments(struct relay *relay, int count, char **arguments);

/* forwarding.c: false, with reply filled in, if the config wants the kernel to forward nothing and it does. */
bool forwarding_refuse(const struct relay_config *config, struct setup_reply *reply);

/* arguments.c; returns false, with a message. */
bool arguments_read(int count, char **arguments, struct relay_config *config,
                    char message[RELAY_MESSAGE_SIZE]);

#endif
