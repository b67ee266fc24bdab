/* SPDX-License-Identifier: MIT */
/*
 * resolver.h: from an upstream's name to its addresses.
 *
 *   lookup.c      one name: hosts, then DNS with the search list, as resolv.conf(5) has it
 *   resolver.c    the questions to the DNS servers: c-ares inside the relay's loop
 *   dns_files.c   what /etc/hosts and /etc/resolv.conf say
 *   dns_opener.c  the process that opens those two for a relay that can open nothing
 *
 * ssh_gate(7) ("NAME RESOLUTION") says what a user may expect of it.
 */
#ifndef RELAY_RESOLVER_H
#define RELAY_RESOLVER_H

#include "relay/base/loop.h"
#include "wire/protocol.h"

#include "common/text/dns_server.h"

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

union address;
struct relay;
struct upstream;

/* ---- the files (dns_files.c, dns_opener.c) ---- */

enum dns_file_index { DNS_HOSTS, DNS_RESOLV_CONF, DNS_FILES };

#define DNS_FILE_PATHS 2 /* of the egress namespace, then of the machine */
#define DNS_PATH_SIZE  (sizeof "/etc/netns//resolv.conf" + RELAY_NETNS_NAME_SIZE)

struct dns_file {
    char paths[DNS_FILE_PATHS][DNS_PATH_SIZE]; /* the first that is there counts; empty: none */
    size_t followed;                           /* the path that fd was opened by */
    int fd;                                    /* -1: it was never there */
    /* What was last seen of it; device and inode 0: nothing. */
    dev_t device;
    ino_t inode;
    struct timespec changed;
    off_t size;
    bool was_empty;
    bool replaced; /* by another, and that was said */
};

#define RESOLVER_MAX_SERVERS 8
#define RESOLVER_SEARCH_SIZE 1024
#define RESOLVER_MAX_NDOTS   15 /* as glibc */

/* What resolv.conf(5) says, as far as it is heeded. */
struct resolv_conf {
    size_t server_count;
    struct dns_server servers[RESOLVER_MAX_SERVERS];
    char search[RESOLVER_SEARCH_SIZE]; /* domains, a space between two */
    unsigned int ndots;
    bool no_aaaa;
    bool rotate, use_vc; /* heeded at the start only: c-ares cannot change them */
};

void dns_files_set_paths(struct relay *relay);
/* Opens what is there and reads it; the servers of the start options are known. */
void dns_files_open(struct relay *relay);
/* Reads a file anew, through its descriptor. */
void dns_files_read(struct relay *relay, enum dns_file_index index);
/* By path: a descriptor if the file is another or has changed since this was last called, else -1. */
int dns_file_open_changed(struct dns_file *file);
/* It counts as changed when it is next looked at. */
void dns_file_forget(struct dns_file *file);
/* By descriptor: true if it has changed; an event says once that it was replaced by another. */
bool dns_file_changed(struct relay *relay, struct dns_file *file);

/* Makes the process, early, where there is to be one.  If that fails, an event says so. */
void dns_opener_start(struct relay *relay);
/* Once there is a loop; false with errno set. */
bool dns_opener_watch(struct relay *relay);
/* False: there is none, or it does not listen. */
bool dns_opener_ask(struct relay *relay);
/* Returns when it has ended; there may be none. */
void dns_opener_stop(struct relay *relay);

/* ---- questions (resolver.c) ---- */

#define RESOLVER_MAX_SOCKETS 32

struct resolver_socket {
    struct watch watch; /* fd -1: not watched */
    struct relay *relay;
    int fd; /* -1: free */
    int server;
};

enum look {
    LOOK_NONE,
    LOOK_ASKED, /* the opener was asked; lookups wait for it */
    LOOK_LATE,  /* it takes too long to be waited for */
};

struct resolver {
    ares_channel channel;
    struct resolv_conf conf;
    unsigned int generation; /* of the servers */
    bool servers_pending;    /* c-ares did not take those of conf; it is offered them again */
    bool restarting;         /* the questions are taken back, to be asked of other servers */
    struct resolver_socket sockets[RESOLVER_MAX_SOCKETS];
    char own_domain[256]; /* this machine's; empty: none */
    struct dns_file files[DNS_FILES];
    struct watch opener; /* fd -1: there is none */
    bool look_anew;      /* what it sent last could not be taken */
    pid_t opener_pid;    /* 0: none was made */
    enum look look;
    int64_t looked_ms; /* when the files were last looked at */
    struct timer look_timer;
    struct list_node waiting, asking; /* lookups */
};

/* The servers of the start options; false, with a message: one of them is none. */
bool resolver_configure(struct relay *relay, char message[RELAY_MESSAGE_SIZE]);
/* After that.  Returns false, with a message, when c-ares cannot be set up. */
bool resolver_init(struct relay *relay, char message[RELAY_MESSAGE_SIZE]);
/* Asks the servers of resolver.conf from here on, also what was asked already. */
void resolver_use_servers(struct relay *relay);
/* Asks for the addresses of one family; the answer comes exactly once, perhaps before this returns. */
void resolver_ask(struct relay *relay, const char *name, int family, ares_addrinfo_callback answer,
                  void *context);
/* The time until c-ares wants to be called, limit_ms at most (negative: no limit). */
int64_t resolver_wait_ms(struct relay *relay, int64_t limit_ms);
void resolver_run_timeouts(struct relay *relay);

/* ---- lookups (lookup.c) ---- */

struct lookup;

/*
 * Called once for each family, AF_INET6 and AF_INET, in the order in which they are known.
 * count 0: error says why; it is the same for both if neither has any.
 */
typedef void lookup_answer(void *context, int family, const union address *addresses, size_t count,
                           int ttl_s, const char *error);

#define LOOKUP_ERROR_SIZE 240

/* NULL: out of memory.  What it returns is its caller's until both answers have come. */
struct lookup *lookup_new(struct relay *relay, const struct upstream *upstream,
                          lookup_answer *answer, void *context);
/* May answer before it returns. */
void lookup_start(struct lookup *lookup);
/* No more answers. */
void lookup_forget(struct lookup *lookup);
/* What a lookup that takes too long waits for: "DNS server 10.0.0.1 gave no answer". */
void lookup_describe(const struct lookup *lookup, char text[LOOKUP_ERROR_SIZE]);

/* The files have been looked at: what waited for that goes on. */
void lookups_go_on(struct relay *relay);
/* All that is being asked is asked anew. */
void lookups_restart(struct relay *relay);
/* The server's answer, which c-ares may pass over, to whom it may concern. */
void lookups_note_answer(struct relay *relay, int server, const unsigned char *packet,
                         size_t length);
/* Of all lookups, as they share sockets; to one that got an answer of the server, that is what it did. */
void lookups_note_unreachable(struct relay *relay, int server, int error);

#endif
