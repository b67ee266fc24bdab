/* SPDX-License-Identifier: MIT */
/*
 * dns_files.c: /etc/hosts and /etc/resolv.conf, read through descriptors.
 *
 * The sandbox takes the file system away, so both are opened before and read again through their
 * descriptors when they have changed.  A file that was replaced by another (rename(2)) cannot be
 * followed: an event says so, once.
 *
 * Of hosts(5) only the names of the upstreams matter, and they never change; of resolv.conf(5),
 * after c-ares has read it at the start, only the name servers.
 */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES ((off_t)4 << 20) /* of a file; what is beyond is not read */

void dns_file_open(struct dns_file *file, const char *path)
{
    *file = (struct dns_file){.path = path,
                              .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
}

bool dns_file_changed(struct relay *relay, struct dns_file *file)
{
    struct stat now;

    if (file->fd < 0 || fstat(file->fd, &now))
        return false;
    if (now.st_nlink == 0 && !file->replaced) {
        char message[RELAY_MESSAGE_SIZE];
        file->replaced = true;
        (void)snprintf(message, sizeof message,
                       "%s was replaced; the gate goes on with what it said before", file->path);
        event_notice(relay, "dns-file-replaced", message);
    }
    if (now.st_mtim.tv_sec == file->changed.tv_sec &&
        now.st_mtim.tv_nsec == file->changed.tv_nsec && now.st_size == file->size)
        return false;
    file->changed = now.st_mtim;
    file->size = now.st_size;
    return true;
}

/* Calls take for each line, without its comment and newline; lines longer than the buffer are passed over. */
static void read_lines(struct relay *relay, const struct dns_file *file, const char *comments,
                       void (*take)(struct relay *relay, char *line))
{
    char *buffer = relay->io_buffer;
    bool in_long_line = false; /* its beginning was passed over */
    off_t offset = 0;

    while (offset < MAX_BYTES) {
        ssize_t length = pread(file->fd, buffer, IO_BUFFER_SIZE - 1, offset);
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
                take(relay, line);
            in_long_line = false;
            line = line_end + 1;
        }
        if (is_last)
            return;
        in_long_line = in_long_line || line == buffer;
        offset += line == buffer ? length : line - buffer;
    }
}

static void take_hosts_line(struct relay *relay, char *line)
{
    char *rest = NULL;
    const char *literal = strtok_r(line, " \t\r", &rest), *name;
    union address address;

    if (!literal || !address_from_literal(literal, 0, &address))
        return;
    while ((name = strtok_r(NULL, " \t\r", &rest))) {
        for (size_t i = 0; i < relay->upstream_count; i++) {
            struct upstream *upstream = &relay->upstreams[i];
            struct resolution *known = &upstream->from_hosts;
            if (known->count == RESOLVED_MAX_ADDRESSES ||
                strcasecmp(name, upstream->config->host) != 0)
                continue;
            address_set_port(&address, upstream->config->port);
            known->addresses[known->count++] = address;
        }
    }
}

void dns_files_read_hosts(struct relay *relay)
{
    for (size_t i = 0; i < relay->upstream_count; i++)
        relay->upstreams[i].from_hosts.count = 0;
    read_lines(relay, &relay->resolver.hosts, "#", take_hosts_line);
}

static void take_resolv_line(struct relay *relay, char *line)
{
    struct resolver *resolver = &relay->resolver;
    char *rest = NULL;
    const char *keyword = strtok_r(line, " \t\r", &rest);
    const char *server =
        keyword && strcmp(keyword, "nameserver") == 0 ? strtok_r(NULL, " \t\r", &rest) : NULL;
    union address address;
    size_t used = strlen(resolver->servers);

    if (server && address_from_literal(server, 0, &address) &&
        used + RELAY_DNS_SERVER_SIZE < sizeof resolver->servers)
        (void)snprintf(resolver->servers + used, sizeof resolver->servers - used, "%s%s",
                       used > 0 ? "," : "", server);
}

void dns_files_read_servers(struct relay *relay)
{
    relay->resolver.servers[0] = '\0';
    read_lines(relay, &relay->resolver.resolv_conf, "#;", take_resolv_line);
}
