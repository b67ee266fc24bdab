/* SPDX-License-Identifier: MIT */
/*
 * dns_files.c: /etc/hosts and /etc/resolv.conf, read through descriptors.
 *
 * Of hosts(5) only the names of the upstreams matter, and they never change.  Of resolv.conf(5): name
 * servers, the search list, and the options ndots, no-aaaa, rotate and use-vc.  How long and how often
 * servers are asked is the start option resolve_timeout_ms's.
 *
 * The last contents stay valid if a file is removed, and for a moment if it is empty, as it may be about to
 * be rewritten.
 */
#include "relay/dial/dns_files.h"
#include "relay/dial/dns_file_flags.h"

#include "relay/dial/dialler.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define MAX_BYTES ((off_t)4 << 20) /* more of a file is not read */

/* ---- opening ---- */

static const char *const NAMES[DNS_FILES] = {"hosts", "resolv.conf"};

/*
 * Whether the file differs from what was last seen.  A file that was changed so recently that another change could
 * have the same timestamp counts as different.  An empty file does only from the second time on.
 */
static bool note_file(struct dns_file *file, const struct stat *now)
{
    static const int64_t YOUNG_NS = 20000000;
    bool is_same = now->st_dev == file->device && now->st_ino == file->inode &&
                   now->st_ctim.tv_sec == file->changed.tv_sec &&
                   now->st_ctim.tv_nsec == file->changed.tv_nsec && now->st_size == file->size;
    bool becomes_empty = now->st_size == 0 && !file->was_empty;
    struct timespec time = {0};

    file->was_empty = now->st_size == 0;
    if (becomes_empty)
        return false;
    (void)clock_gettime(CLOCK_REALTIME, &time);
    int64_t age_ns = (int64_t)(time.tv_sec - now->st_ctim.tv_sec) * 1000000000 + time.tv_nsec -
                     now->st_ctim.tv_nsec;
    file->device = now->st_dev;
    file->inode = now->st_ino;
    file->size = now->st_size;
    file->changed = now->st_ctim;
    if (age_ns >= 0 && age_ns < YOUNG_NS)
        file->changed.tv_nsec = -1;
    return !is_same;
}

void dns_file_forget(struct dns_file *file)
{
    file->device = 0;
    file->inode = 0;
}

int dns_file_open_changed(struct dns_file *file)
{
    struct stat now;

    for (size_t i = 0; i < DNS_FILE_PATHS; i++) {
        if (file->paths[i][0] == '\0' || stat(file->paths[i], &now))
            continue;
        if (!note_file(file, &now))
            return -1;
        int fd = open(file->paths[i], DNS_FILE_FLAGS);
        if (fd >= 0 && !fstat(fd, &now) && S_ISREG(now.st_mode)) {
            file->followed = i;
            return fd;
        }
        if (fd >= 0)
            (void)close(fd);
        else
            dns_file_forget(file); /* it may be opened the next time */
        return -1;
    }
    return -1;
}

bool dns_file_changed(struct dialler *dialler, struct dns_file *file)
{
    struct stat now;

    if (file->fd < 0 || fstat(file->fd, &now))
        return false;
    if (now.st_nlink == 0 && !file->replaced) {
        char message[RELAY_MESSAGE_SIZE];
        file->replaced = true;
        (void)snprintf(message, sizeof message,
                       "%s was replaced; the gate goes on with what it said before",
                       file->paths[file->followed]);
        event_notice(dialler->log, "dns-file-replaced", message);
    }
    return note_file(file, &now);
}

void dns_files_set_paths(struct dialler *dialler)
{
    const char *netns = dialler->config->egress_netns;

    for (enum dns_file_index i = DNS_HOSTS; i < DNS_FILES; i++) {
        struct dns_file *file = &dialler->resolver.files[i];
        *file = (struct dns_file){.fd = -1, .was_empty = true};
        if (netns[0])
            (void)snprintf(file->paths[0], sizeof file->paths[0], "/etc/netns/%s/%s", netns,
                           NAMES[i]);
        (void)snprintf(file->paths[1], sizeof file->paths[1], "/etc/%s", NAMES[i]);
    }
}

void dns_files_open(struct dialler *dialler)
{
    struct resolver *resolver = &dialler->resolver;
    char host[256] = "";

    if (!gethostname(host, sizeof host - 1) && strchr(host, '.'))
        (void)snprintf(resolver->own_domain, sizeof resolver->own_domain, "%s",
                       strchr(host, '.') + 1);
    for (enum dns_file_index i = DNS_HOSTS; i < DNS_FILES; i++) {
        resolver->files[i].fd = dns_file_open_changed(&resolver->files[i]);
        dns_files_read(dialler, i);
    }
}

/* ---- reading ---- */

/* Calls take for each line, without its comment and newline; lines longer than the buffer are skipped. */
static void read_lines(struct dialler *dialler, int fd, const char *comments,
                       void (*take)(struct dialler *dialler, char *line))
{
    char *buffer = dialler->buffer->bytes;
    bool in_long_line = false; /* its beginning was skipped */
    off_t offset = 0;

    while (offset < MAX_BYTES) {
        ssize_t length = pread(fd, buffer, IO_BUFFER_SIZE - 1, offset);
        if (length <= 0)
            return;
        bool is_last = (size_t)length < IO_BUFFER_SIZE - 1;
        char *line = buffer, *const end = buffer + length;
        while (line < end) {
            char *newline = memchr(line, '\n', (size_t)(end - line));
            if (!newline && !is_last)
                break;
            char *line_end = newline ? newline : end;
            *line_end = '\0';
            line[strcspn(line, comments)] = '\0';
            if (!in_long_line)
                take(dialler, line);
            in_long_line = false;
            line = line_end + 1;
        }
        if (is_last)
            return;
        in_long_line = in_long_line || line == buffer;
        offset += line == buffer ? length : line - buffer;
    }
}

static void take_hosts_line(struct dialler *dialler, char *line)
{
    char *rest = NULL;
    const char *literal = strtok_r(line, " \t\r", &rest), *name;
    union address address;

    if (!literal || !address_from_literal(literal, 0, &address))
        return;
    while ((name = strtok_r(NULL, " \t\r", &rest))) {
        for (size_t i = 0; i < dialler->destination_count; i++) {
            struct destination *destination = &dialler->destinations[i];
            struct resolution *known = &destination->from_hosts;
            if (known->count == RESOLVED_MAX_ADDRESSES ||
                strcasecmp(name, destination->config->host) != 0)
                continue;
            address_set_port(&address, destination->config->port);
            known->addresses[known->count++] = address;
        }
    }
}

static void read_hosts(struct dialler *dialler)
{
    for (size_t i = 0; i < dialler->destination_count; i++)
        dialler->destinations[i].from_hosts.count = 0;
    read_lines(dialler, dialler->resolver.files[DNS_HOSTS].fd, "#", take_hosts_line);
}

static void take_nameserver(struct resolv_conf *conf, const char *text)
{
    const char *colon = text ? strchr(text, ':') : NULL;

    /* Such a file has no ports, and so no brackets. */
    if (!text || text[0] == '[' || (colon && !strchr(colon + 1, ':')) ||
        conf->server_count == RESOLVER_MAX_SERVERS)
        return;
    if (dns_server_read(text, &conf->servers[conf->server_count]))
        conf->server_count++;
}

static void take_domains(struct resolv_conf *conf, char **rest, bool only_one)
{
    const char *domain = strtok_r(NULL, " \t\r", rest);
    size_t used = 0;

    if (!domain)
        return;
    do {
        domain += domain[0] == '.' && domain[1]; /* as glibc does */
        size_t length = strlen(domain);
        if (length > 1 && domain[length - 1] == '.')
            length--;
        if (used + 1 + length < sizeof conf->search)
            used += (size_t)snprintf(conf->search + used, sizeof conf->search - used, "%s%.*s",
                                     used > 0 ? " " : "", (int)length, domain);
    } while (!only_one && (domain = strtok_r(NULL, " \t\r", rest)));
}

static void take_options(struct resolv_conf *conf, char **rest)
{
    static const char NDOTS[] = "ndots:";

    for (const char *option; (option = strtok_r(NULL, " \t\r", rest));) {
        if (strncmp(option, NDOTS, sizeof NDOTS - 1) == 0) {
            unsigned long ndots = strtoul(option + sizeof NDOTS - 1, NULL, 10);
            conf->ndots = ndots < RESOLVER_MAX_NDOTS ? (unsigned int)ndots : RESOLVER_MAX_NDOTS;
        }
        conf->no_aaaa = conf->no_aaaa || strcmp(option, "no-aaaa") == 0;
        conf->rotate = conf->rotate || strcmp(option, "rotate") == 0;
        conf->use_vc = conf->use_vc || strcmp(option, "use-vc") == 0;
    }
}

static void take_resolv_line(struct dialler *dialler, char *line)
{
    struct resolv_conf *conf = &dialler->resolver.conf;
    char *rest = NULL;

    if (line[0] == ' ' || line[0] == '\t') /* resolv.conf(5): a keyword begins its line */
        return;
    const char *keyword = strtok_r(line, " \t\r", &rest);
    if (!keyword)
        return;
    if (strcmp(keyword, "nameserver") == 0)
        take_nameserver(conf, strtok_r(NULL, " \t\r", &rest));
    else if (strcmp(keyword, "search") == 0 || strcmp(keyword, "domain") == 0)
        take_domains(conf, &rest, keyword[0] == 'd');
    else if (strcmp(keyword, "options") == 0)
        take_options(conf, &rest);
}

static bool has_servers(const struct resolv_conf *conf, const struct resolv_conf *other)
{
    for (size_t i = 0; i < conf->server_count && i < other->server_count; i++)
        if (!dns_server_is(&conf->servers[i], &other->servers[i]))
            return false;
    return conf->server_count == other->server_count;
}

/* If the start options name servers, the file's servers and their options do not apply. */
static void keep_servers(struct resolv_conf *conf, const struct resolv_conf *before)
{
    memcpy(conf->servers, before->servers, sizeof conf->servers);
    conf->server_count = before->server_count;
    conf->rotate = conf->use_vc = false;
}

/* The defaults are resolv.conf(5)'s. */
static void read_resolv_conf(struct dialler *dialler)
{
    struct resolver *resolver = &dialler->resolver;
    const struct resolv_conf before = resolver->conf;

    resolver->conf = (struct resolv_conf){.ndots = 1};
    (void)snprintf(resolver->conf.search, sizeof resolver->conf.search, "%s", resolver->own_domain);
    read_lines(dialler, resolver->files[DNS_RESOLV_CONF].fd, "#;", take_resolv_line);
    if (resolver->conf.server_count == 0 && dns_server_read("127.0.0.1", resolver->conf.servers))
        resolver->conf.server_count = 1;
    if (dialler->config->dns_server_count > 0)
        keep_servers(&resolver->conf, &before);
    if (resolver->channel && (resolver->servers_pending || !has_servers(&resolver->conf, &before)))
        resolver_use_servers(dialler);
}

void dns_files_read(struct dialler *dialler, enum dns_file_index index)
{
    if (index == DNS_HOSTS)
        read_hosts(dialler);
    else
        read_resolv_conf(dialler);
}
