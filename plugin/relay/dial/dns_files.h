/* SPDX-License-Identifier: MIT */
/* dns_files.h: what /etc/hosts and /etc/resolv.conf say. */
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

void dns_files_set_paths(struct dialler *dialler);
/* Opens what is there and reads it; the servers of the start options are known. */
void dns_files_open(struct dialler *dialler);
/* Reads a file anew, through its descriptor. */
void dns_files_read(struct dialler *dialler, enum dns_file_index index);
/* By path: a descriptor if the file is another or has changed since this was last called, else -1. */
int dns_file_open_changed(struct dns_file *file);
/* It counts as changed when it is next looked at. */
void dns_file_forget(struct dns_file *file);
/* By descriptor: true if it has changed; an event says once that it was replaced by another. */
bool dns_file_changed(struct dialler *dialler, struct dns_file *file);

#endif
