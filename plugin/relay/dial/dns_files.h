/* SPDX-License-Identifier: MIT */
/* dns_files.h: reading /etc/hosts and /etc/resolv.conf. */
#ifndef RELAY_DNS_FILES_H
#define RELAY_DNS_FILES_H

#include "common/text/dns_server.h"
#include "wire/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

struct dialler;

enum dns_file_index { DNS_HOSTS, DNS_RESOLV_CONF, DNS_FILES };

#define DNS_FILE_PATHS 2 /* that of the egress namespace, then that of the machine */
#define DNS_PATH_SIZE  (sizeof "/etc/netns//resolv.conf" + RELAY_NETNS_NAME_SIZE)

struct dns_file {
    char paths[DNS_FILE_PATHS][DNS_PATH_SIZE]; /* the first that exists is used; "": none */
    size_t followed;                           /* the path that fd was opened by */
    int fd;                                    /* -1: it was never there */
    /* What was last seen of it; device and inode 0: nothing. */
    dev_t device;
    ino_t inode;
    struct timespec changed;
    off_t size;
    bool was_empty;
    bool replaced; /* by another file, and an event said so */
};

#define RESOLVER_MAX_SERVERS 8
#define RESOLVER_SEARCH_SIZE 1024
#define RESOLVER_MAX_NDOTS   15 /* as glibc */

/* The settings of resolv.conf(5) that are used. */
struct resolv_conf {
    size_t server_count;
    struct dns_server servers[RESOLVER_MAX_SERVERS];
    char search[RESOLVER_SEARCH_SIZE]; /* domains, a space between two */
    unsigned int ndots;
    bool no_aaaa;
    bool rotate, use_vc; /* read at the start only, as c-ares cannot change them */
};

void dns_files_set_paths(struct dialler *dialler);
/* Opens and reads the files; called after the servers of the start options were read. */
void dns_files_open(struct dialler *dialler);
/* Reads a file again, through its descriptor. */
void dns_files_read(struct dialler *dialler, enum dns_file_index index);
/* By path: a descriptor if the file is another or has changed since this was last called, else -1. */
int dns_file_open_changed(struct dns_file *file);
/* Makes the file count as changed at the next check. */
void dns_file_forget(struct dns_file *file);
/* By descriptor: true if it has changed; an event says once that it was replaced by another. */
bool dns_file_changed(struct dialler *dialler, struct dns_file *file);

#endif
