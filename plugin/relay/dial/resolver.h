/* SPDX-License-Identifier: MIT */
/* resolver.h: the questions to the DNS servers: c-ares inside the relay's loop. */
#ifndef RELAY_RESOLVER_H
#define RELAY_RESOLVER_H

#include "relay/base/loop.h"
#include "relay/dial/dns_files.h"
#include "wire/message_size.h"

#include <ares.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RESOLVER_MAX_SOCKETS 32

struct resolver_socket {
    struct watch watch; /* fd -1: not watched */
    struct dialler *dialler;
    int fd; /* -1: free */
    int server;
};

enum look {
    LOOK_NONE,
    LOOK_ASKED, /* the opener was asked; lookups wait for it */
    LOOK_LATE,  /* it takes too long; lookups no longer wait for it */
};

/* Callbacks to the asker about its questions, besides the answers from c-ares. */
struct resolver_user {
    /* The server's answer, which c-ares may pass over.  packet: as it came, over TCP with its length before it. */
    void (*answered)(struct dialler *dialler, int server, const unsigned char *packet,
                     size_t length);
    /* error: an errno value */
    void (*unreachable)(struct dialler *dialler, int server, int error);
    /* What was asked has been taken back (ARES_ECANCELLED, with resolver.restarting): to be asked anew. */
    void (*restarted)(struct dialler *dialler);
};

struct resolver {
    const struct resolver_user *user;
    ares_channel channel;
    struct resolv_conf conf;
    unsigned int generation; /* of the servers */
    bool servers_pending;    /* c-ares did not take those of conf; it is offered them again */
    bool restarting;         /* the questions are cancelled, to be put to other servers */
    struct resolver_socket sockets[RESOLVER_MAX_SOCKETS];
    char own_domain[256]; /* this machine's; empty: none */
    struct dns_file files[DNS_FILES];
    struct watch opener; /* fd -1: there is none */
    bool look_anew;      /* its last answer could not be received */
    pid_t opener_pid;    /* 0: none was made */
    enum look look;
    int64_t looked_ms; /* when the files were last looked at */
    struct timer look_timer;
    void (*looked)(struct dialler *dialler); /* called when the files have been looked at */
    struct list_node waiting, asking;        /* lookups */
};

/* The servers of the start options; false, with a message: one of them is none. */
bool resolver_configure(struct dialler *dialler, char message[RELAY_MESSAGE_SIZE]);
/* After that, when the files have been read.  Returns false, with a message, when c-ares cannot be set up. */
bool resolver_init(struct dialler *dialler, char message[RELAY_MESSAGE_SIZE]);
/* Asks the servers of resolver.conf from here on, also what was asked already. */
void resolver_use_servers(struct dialler *dialler);
/* Asks for the addresses of one family; the answer comes exactly once, perhaps before this returns. */
void resolver_ask(struct dialler *dialler, const char *name, int family,
                  ares_addrinfo_callback answer, void *context);
/* The time until c-ares wants to be called, limit_ms at most (negative: no limit). */
int64_t resolver_wait_ms(struct dialler *dialler, int64_t limit_ms);
void resolver_run_timeouts(struct dialler *dialler);

#endif
