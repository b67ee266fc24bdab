/* SPDX-License-Identifier: MIT */
/*
 * claim.c: see claim.h.
 *
 * The name is in the abstract name space (unix(7)): it belongs to the first process that bound it, within one
 * network namespace, and disappears with the last descriptor of the socket.  SO_PEERCRED cannot be used to ask
 * who holds it, as the holder does not accept connections.  So the kernel's list of sockets gives the
 * inode of the name, and /proc the process that has it as descriptor CLAIM_FD.  This finds only processes
 * of this user, whoever bound the name.
 *
 * A process in another network namespace is found by its record instead, which only this user and root can
 * read.
 */
#include "common/sidecar/claim.h"

#include "common/cleanup.h"
#include "common/process/process_status.h"
#include "common/process/socket_list.h"
#include "common/process/wait.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define ENVIRONMENT_MAX_BYTES ((size_t)1 << 20)
#define FIND_TRIES            3 /* the list of sockets may omit one */
#define PROC_PATH_SIZE        64

static socklen_t claim_address(const char *sidecar, const char *slug, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s/%u/%s", sidecar,
                          geteuid(), slug);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static bool has_holder_elsewhere(const char *sidecar, const char *slug);

enum bottle_result claim_take(const char *sidecar, const char *slug, int *fd,
                              struct failure *failure)
{
    struct sockaddr_un address;
    socklen_t length = claim_address(sidecar, slug, &address);
    CLEANUP_FD int low = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CLEANUP_FD int claim = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, CLAIM_FD + 1);

    if (claim < 0)
        return failure_set(failure, BOTTLE_INTERNAL, "socket: %s", strerror(errno));
    if (bind(claim, (struct sockaddr *)&address, length)) {
        if (errno != EADDRINUSE)
            return failure_set(failure, result_of_errno(errno), "the claim on slug \"%s\": %s",
                               slug, strerror(errno));
        return failure_set(failure, BOTTLE_CONFLICT,
                           "slug \"%s\" has a running %s already: stop native:%s first, or choose "
                           "another slug",
                           slug, sidecar, slug);
    }
    if (has_holder_elsewhere(sidecar, slug))
        return failure_set(
            failure, BOTTLE_CONFLICT,
            "slug \"%s\" has a running %s already, in another network namespace: stop "
            "native:%s first, or choose another slug",
            slug, sidecar, slug);
    *fd = steal_fd(&claim);
    return BOTTLE_OK;
}

/* ---- finding ---- */

void holder_clear(struct holder *holder)
{
    cleanup_fd(&holder->process_fd);
    (void)json_object_put(holder->record);
    *holder = NO_HOLDER;
}

/* Whether the name is bound.  connect(2) on a datagram socket sends nothing to the holder. */
static bool is_taken(const char *sidecar, const char *slug)
{
    struct sockaddr_un address;
    socklen_t length = claim_address(sidecar, slug, &address);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd < 0 || connect(fd, (struct sockaddr *)&address, length) == 0 || errno != ECONNREFUSED;
}

/* inode: out: of the claim's socket, as text from the list; false: it is not in the list */
static bool find_inode(char *list, const char *sidecar, const char *slug, char inode[32])
{
    struct sockaddr_un address;
    const char *name = address.sun_path + 1;

    (void)claim_address(sidecar, slug, &address);
    for (char *line; (line = strsep(&list, "\n"));) {
        const char *at = strrchr(line, '@');
        /* Num: RefCount Protocol Flags Type St Inode Path */
        if (at && strcmp(at + 1, name) == 0 &&
            sscanf(line, "%*s %*s %*s %*s %*s %*s %31s", inode) == 1)
            return true;
    }
    return false;
}

/* Whether this is a process of this user whose descriptor CLAIM_FD is the socket; NULL: any socket. */
static bool holds(const char *pid, const char *socket)
{
    char path[PROC_PATH_SIZE], link[64];
    struct stat process;

    (void)snprintf(path, sizeof path, "/proc/%.16s/fd/%d", pid, CLAIM_FD);
    ssize_t length = readlink(path, link, sizeof link - 1);
    if (length < 0)
        return false;
    link[length] = '\0';
    (void)snprintf(path, sizeof path, "/proc/%.16s", pid);
    return (socket ? strcmp(link, socket) == 0 : strncmp(link, "socket:", 7) == 0) &&
           stat(path, &process) == 0 && process.st_uid == geteuid();
}

/* /proc/PID/environ, malloc'ed, with two NULs at the end; NULL: it cannot be read. */
static char *read_environment(const char *pid)
{
    char path[PROC_PATH_SIZE];
    size_t used = 0;
    CLEANUP_FREE char *text = calloc(1, ENVIRONMENT_MAX_BYTES + 2);

    (void)snprintf(path, sizeof path, "/proc/%.16s/environ", pid);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!text || fd < 0)
        return NULL;
    for (ssize_t length = 1; length > 0 && used < ENVIRONMENT_MAX_BYTES; used += (size_t)length) {
        length = read(fd, text + used, ENVIRONMENT_MAX_BYTES - used);
        if (length < 0)
            return NULL;
    }
    return steal_pointer(&text);
}

/* NULL: the process has no record; this may be a launcher that is just starting a program. */
static json_object *read_record(const char *pid)
{
    static const char PREFIX[] = CLAIM_VARIABLE "=";
    CLEANUP_FREE char *environment = read_environment(pid);
    json_object *record = NULL;
    struct failure ignored;

    for (const char *at = environment; at && *at; at += strlen(at) + 1) {
        if (strncmp(at, PREFIX, sizeof PREFIX - 1) == 0 &&
            json_text_parse("record", at + sizeof PREFIX - 1, &record, &ignored) == BOTTLE_OK)
            return record;
    }
    return NULL;
}

/* If the process still runs after its files were read, they were not those of a later process with its PID. */
static bool take_holder(const char *pid, const char *socket, struct holder *holder)
{
    holder->pid = (pid_t)strtol(pid, NULL, 10);
    holder->process_fd = (int)syscall(SYS_pidfd_open, holder->pid, 0);
    if (holder->process_fd >= 0 && holds(pid, socket)) {
        holder->record = read_record(pid);
        if (holder->record && !wait_readable(holder->process_fd, 0))
            return true;
    }
    holder_clear(holder);
    return false;
}

static bool find_holder(const char *inode, struct holder *holder)
{
    char socket[64];
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    bool found = false;

    (void)snprintf(socket, sizeof socket, "socket:[%s]", inode);
    while (processes && !found && (entry = readdir(processes)))
        found = grammar_word(entry->d_name, DIGITS, DIGITS, 16) && holds(entry->d_name, socket) &&
                take_holder(entry->d_name, socket, holder);
    if (processes)
        (void)closedir(processes);
    return found;
}

static bool is_record_of(json_object *record, const char *sidecar, const struct target *target)
{
    return strcmp(object_text(record, "sidecar"), sidecar) == 0 &&
           strcmp(object_text(record, "slug"), target->slug) == 0 &&
           (!target->instance[0] || strcmp(object_text(record, "instance"), target->instance) == 0);
}

/* Finds it in any network namespace. */
static bool find_by_record(const char *sidecar, const struct target *target, struct holder *holder)
{
    DIR *processes = process_status_is_available() ? opendir("/proc") : NULL;
    const struct dirent *entry;
    bool found = false;
    uid_t user;

    while (processes && !found && (entry = readdir(processes))) {
        found = grammar_word(entry->d_name, DIGITS, DIGITS, 16) && holds(entry->d_name, NULL) &&
                process_status_read(entry->d_name, &user) && user == geteuid() &&
                take_holder(entry->d_name, NULL, holder);
        if (found && !is_record_of(holder->record, sidecar, target)) {
            holder_clear(holder);
            found = false;
        }
    }
    if (processes)
        (void)closedir(processes);
    return found;
}

/* Called while the caller holds the claim in this network namespace. */
static bool has_holder_elsewhere(const char *sidecar, const char *slug)
{
    CLEANUP_HOLDER struct holder holder = NO_HOLDER;
    struct target target = {0};

    (void)snprintf(target.slug, sizeof target.slug, "%s", slug);
    return find_by_record(sidecar, &target, &holder);
}

enum bottle_result claim_find(const char *sidecar, const struct target *target,
                              struct holder *holder, struct failure *failure)
{
    CLEANUP_HOLDER struct holder found = NO_HOLDER;

    for (int i = 0; i < FIND_TRIES && !found.record && is_taken(sidecar, target->slug); i++) {
        CLEANUP_FREE char *list = socket_list_read();
        char inode[32];
        if (!list)
            return failure_set(failure, BOTTLE_UNAVAILABLE,
                               "native:%s: cannot read " SOCKET_LIST ": %s", target->slug,
                               strerror(errno));
        if (find_inode(list, sidecar, target->slug, inode))
            (void)find_holder(inode, &found);
    }
    if (found.record && target->instance[0] &&
        strcmp(object_text(found.record, "instance"), target->instance) != 0)
        holder_clear(&found);
    if (!found.record && !find_by_record(sidecar, target, &found))
        return failure_set(failure, BOTTLE_NOT_FOUND, "no %s runs as native:%s%s%s", sidecar,
                           target->slug, target->instance[0] ? ":" : "", target->instance);
    *holder = found;
    /* cppcheck-suppress unreadVariable ; read by its cleanup */
    found = NO_HOLDER;
    return BOTTLE_OK;
}
