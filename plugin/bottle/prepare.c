/* SPDX-License-Identifier: MIT */
/*
 * prepare.c: see prepare.h.
 *
 * prepare first checks and renders everything in memory; writing the files is the last step that can
 * fail.
 *
 * In bottle/ belongs what turns a manifest's bottle into a plan and the agent's files, and a plan and start
 * options into the relay's config.  What uses the network or a process does not belong here.
 */
#include "bottle/prepare.h"

#include "bottle/plan.h"
#include "common/cleanup.h"
#include "common/sidecar/host_log.h"
#include "common/sidecar/stage_claim.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define AGENT_FILE_MAX_BYTES ((off_t)16 << 20) /* far more than a plan can produce */

static enum bottle_result out_of_memory(struct failure *failure)
{
    return failure_set(failure, BOTTLE_INTERNAL, "prepare: out of memory");
}

/*
 * A plan is a little longer than its bottle, and the launcher adds the networks.  The result must not exceed what
 * start reads.
 */
static enum bottle_result check_plan_size(const char *plan, struct failure *failure)
{
    const size_t room_for_networks = (size_t)2 * PLAN_PATH_SIZE;
    size_t max = JSON_TEXT_MAX_BYTES - room_for_networks;
    size_t length = strlen(plan);

    if (length <= max)
        return BOTTLE_OK;
    return failure_set(
        failure, BOTTLE_INVALID,
        "bottle.ssh: the plan would have %zu bytes, more than %zu: use fewer entries "
        "or shorter values",
        length, max);
}

/* Adds the file to the list unless it exists: until start, the agent of a running gate may use it. */
static void add_unless_exists(struct stage_file *files, size_t *count, int stage_fd,
                              const struct stage_file *file)
{
    struct stat file_status;

    if (fstatat(stage_fd, file->name, &file_status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(file_status.st_mode))
        files[(*count)++] = *file;
}

static enum bottle_result write_files(const struct plan *plan, int stage_fd,
                                      struct failure *failure)
{
    CLEANUP_FREE char *entrypoint = render_entrypoint(plan);
    CLEANUP_FREE char *ssh_config = render_ssh_config(plan, NULL);
    CLEANUP_FREE char *known_hosts = render_known_hosts(plan);
    struct stage_file files[3] = {{ENTRYPOINT_FILE, 0600, entrypoint}};
    size_t count = 1;

    if (!entrypoint || !ssh_config || !known_hosts)
        return out_of_memory(failure);
    add_unless_exists(files, &count, stage_fd,
                      &(struct stage_file){SSH_CONFIG_FILE, 0644, ssh_config});
    add_unless_exists(files, &count, stage_fd,
                      &(struct stage_file){KNOWN_HOSTS_FILE, 0644, known_hosts});
    return stage_dir_write(stage_fd, plan->stage_dir, files, count, failure);
}

enum bottle_result gate_prepare(const char *bottle, const char *slug, const char *stage_dir,
                                char **plan, struct failure *failure)
{
    CLEANUP_PLAN struct plan made = {0};
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FD int stage_fd = -1;
    bool claimed = false;
    enum bottle_result result;

    *plan = NULL;
    result = plan_from_bottle(bottle, &made, failure);
    if (result == BOTTLE_OK)
        result = slug_take(slug, made.slug, failure);
    if (result == BOTTLE_OK)
        result = plan_open_stage_dir(stage_dir, &stage_fd, &made.stage_dir, failure);
    if (result != BOTTLE_OK)
        return result;
    made.internal_network = strdup("");
    made.egress_network = strdup("");
    if (!made.internal_network || !made.egress_network)
        return out_of_memory(failure);
    text = plan_to_json(&made);
    if (!text)
        return out_of_memory(failure);
    result = check_plan_size(text, failure);
    if (result == BOTTLE_OK)
        result = stage_claim_take(stage_fd, made.stage_dir, made.slug, &claimed, failure);
    if (result == BOTTLE_OK)
        result = write_files(&made, stage_fd, failure);
    if (result != BOTTLE_OK && claimed)
        stage_claim_undo(stage_fd);
    if (result == BOTTLE_OK)
        *plan = steal_pointer(&text);
    return result;
}

/* ---- for start ---- */

enum bottle_result agent_files_write(const struct plan *plan, int stage_fd,
                                     const char *gate_address, struct failure *failure)
{
    CLEANUP_FREE char *ssh_config = render_ssh_config(plan, gate_address);
    CLEANUP_FREE char *known_hosts = render_known_hosts(plan);

    if (!ssh_config || !known_hosts)
        return out_of_memory(failure);
    const struct stage_file files[] = {{SSH_CONFIG_FILE, 0644, ssh_config},
                                       {KNOWN_HOSTS_FILE, 0644, known_hosts}};
    return stage_dir_write(stage_fd, plan->stage_dir, files, sizeof files / sizeof files[0],
                           failure);
}

/* text: out: malloc'ed; NULL: the file does not exist */
static enum bottle_result read_file(const struct plan *plan, int stage_fd, const char *name,
                                    char **text, struct failure *failure)
{
    CLEANUP_FD int fd = openat(stage_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat file = {0};

    if (fd < 0 && errno == ENOENT)
        return BOTTLE_OK;
    if (fd < 0 || fstat(fd, &file) != 0)
        return failure_set(failure, result_of_errno(errno), "%s/%s: %s", plan->stage_dir, name,
                           strerror(errno));
    if (!S_ISREG(file.st_mode) || file.st_size > AGENT_FILE_MAX_BYTES)
        return failure_set(failure, BOTTLE_CONFLICT, "%s/%s is not what start wrote: remove it",
                           plan->stage_dir, name);
    CLEANUP_FREE char *buffer = calloc(1, (size_t)file.st_size + 1);
    if (!buffer)
        return out_of_memory(failure);
    if (pread(fd, buffer, (size_t)file.st_size, 0) != file.st_size)
        return failure_set(failure, BOTTLE_INTERNAL, "%s/%s: cannot be read", plan->stage_dir,
                           name);
    *text = steal_pointer(&buffer);
    return BOTTLE_OK;
}

enum bottle_result agent_files_read(const struct plan *plan, int stage_fd,
                                    struct agent_files *files, struct failure *failure)
{
    enum bottle_result result =
        read_file(plan, stage_fd, SSH_CONFIG_FILE, &files->ssh_config, failure);

    if (result == BOTTLE_OK)
        result = read_file(plan, stage_fd, KNOWN_HOSTS_FILE, &files->known_hosts, failure);
    return result;
}

void agent_files_restore(const struct bottle_host *host, const struct plan *plan, int stage_fd,
                         const struct agent_files *files)
{
    struct failure ignored; /* the caller reports its own failure */
    struct stage_file to_write[2];
    size_t count = 0;

    if (files->ssh_config)
        to_write[count++] = (struct stage_file){SSH_CONFIG_FILE, 0644, files->ssh_config};
    if (files->known_hosts)
        to_write[count++] = (struct stage_file){KNOWN_HOSTS_FILE, 0644, files->known_hosts};
    if (stage_dir_write(stage_fd, plan->stage_dir, to_write, count, &ignored) != BOTTLE_OK)
        host_log(host, BOTTLE_LOG_WARNING,
                 "%s: ssh_config and known_hosts are those of a gate that did not start",
                 plan->stage_dir);
}

void agent_files_clear(struct agent_files *files)
{
    free(files->ssh_config);
    free(files->known_hosts);
}
