/* SPDX-License-Identifier: MIT */
/*
 * native.c: pipelock as a process on this machine.
 *
 * start claims the slug (claim.h), writes pipelock's configuration, runs it detached, and waits until its port
 * accepts connections.  The process holds the claim and the record of the run, so stop and status need no
 * state: they find the process by its slug, and the claim ends with it.
 *
 * pipelock dials from the network namespace that it listens in, so it cannot connect one namespace with
 * another: the internal network must be an address of this machine.
 *
 * In the stage dir, ACTIVE_FILE is the configuration of the process and LOG_FILE what the latest one printed.
 * Both remain when it ends, for the launcher to read and remove.  Nothing bounds the log while pipelock runs.
 */
#include "backend.h"
#include "record.h"

#include "common/cleanup.h"
#include "common/process/detached.h"
#include "common/process/program.h"
#include "common/process/wait.h"
#include "common/sidecar/claim.h"
#include "common/sidecar/host_log.h"
#include "common/sidecar/options.h"
#include "common/sidecar/stage_claim.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/json_object.h"
#include "common/text/json_text.h"
#include "common/text/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ACTIVE_FILE "pipelock_active.yaml"
#define LOG_FILE    "pipelock.log"

static const char *const OPTION_KEYS[] = {"start_timeout_ms", NULL};

/* ---- where it listens ---- */

static enum bottle_result check_networks(const struct pipelock_plan *plan, struct failure *failure)
{
    const char *internal = plan->internal_network;

    if (internal[0] == '/' || plan->egress_network[0] == '/')
        return failure_set(failure, BOTTLE_UNSUPPORTED,
                           "%s is a network namespace, but pipelock dials from where it listens: "
                           "give an IP address of this machine as the internal network, and "
                           "\"host\" as the egress network",
                           internal[0] == '/' ? internal : plan->egress_network);
    if (!grammar_listen_address(internal))
        return failure_set(failure, BOTTLE_INVALID,
                           "internal_network: \"%s\" is not one IP address of this machine, such "
                           "as 127.0.0.1",
                           internal);
    if (strcmp(plan->egress_network, "host") != 0)
        return failure_set(failure, BOTTLE_INVALID, "egress_network: \"%s\" is not \"host\"",
                           plan->egress_network);
    return BOTTLE_OK;
}

/* ---- start ---- */

/* What a start holds until it returns. */
struct native_start {
    const struct pipelock_plan *plan;
    int32_t timeout_ms;
    char program[PATH_MAX];
    int stage_fd, claim_fd, log_fd, process_fd;
};

static void close_start(const struct native_start *start)
{
    cleanup_fd(&start->stage_fd);
    cleanup_fd(&start->claim_fd);
    cleanup_fd(&start->log_fd);
    cleanup_fd(&start->process_fd);
}
#define CLEANUP_START __attribute__((cleanup(close_start)))

static enum bottle_result write_files(struct native_start *start, struct failure *failure)
{
    const char *stage_dir = start->plan->stage_dir;
    CLEANUP_FREE char *config = plan_render_config(start->plan);
    const struct stage_file file = {ACTIVE_FILE, 0600, config};

    if (!config)
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    enum bottle_result result = stage_dir_write(start->stage_fd, stage_dir, &file, 1, failure);
    if (result == BOTTLE_OK)
        result = stage_dir_open_log(start->stage_fd, stage_dir, LOG_FILE, &start->log_fd, failure);
    if (result == BOTTLE_OK && ftruncate(start->log_fd, 0))
        return failure_set(failure, result_of_errno(errno), "%s/" LOG_FILE ": %s", stage_dir,
                           strerror(errno));
    return result;
}

static enum bottle_result run_program(struct native_start *start, json_object *record,
                                      struct failure *failure)
{
    const char *address = start->plan->internal_network;
    CLEANUP_FREE char *config = text_format("%s/" ACTIVE_FILE, start->plan->stage_dir);
    CLEANUP_FREE char *variable = text_format(
        CLAIM_VARIABLE "=%s", json_object_to_json_string_ext(record, JSON_C_TO_STRING_PLAIN));
    char listen[64];
    CLEANUP_FD int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)snprintf(listen, sizeof listen, strchr(address, ':') ? "[%s]:%d" : "%s:%d", address,
                   PROXY_PORT);
    if (null_fd < 0 || !config || !variable)
        return failure_set(failure, BOTTLE_INTERNAL, "descriptors or memory ran out");
    char *const arguments[] = {"pipelock", "run", "--listen", listen, "--config", config, NULL};
    char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", variable, NULL};
    const struct detached program = {
        .program_fd = -1,
        .path = start->program,
        .arguments = arguments,
        .environment = environment,
        .fds = {null_fd, start->log_fd, start->log_fd, [CLAIM_FD] = start->claim_fd},
        .fd_count = CLAIM_FD + 1,
    };
    int error = detached_run(&program, &start->process_fd);
    if (error)
        return failure_set(failure, result_of_errno(error), "%s cannot be run: %s", start->program,
                           strerror(error));
    return BOTTLE_OK;
}

/* Starts with the slug claimed; undoes what it made if it fails. */
static enum bottle_result start_claimed(struct native_start *start, json_object *record,
                                        struct failure *failure)
{
    const char *address = start->plan->internal_network;
    enum bottle_result result = program_check_port(address, PROXY_PORT, failure);

    if (result == BOTTLE_OK)
        result = write_files(start, failure);
    if (result == BOTTLE_OK)
        result = run_program(start, record, failure);
    if (result == BOTTLE_OK)
        result = program_wait_for_port(start->program, start->process_fd, address, PROXY_PORT,
                                       start->timeout_ms, start->log_fd, failure);
    if (result == BOTTLE_OK)
        return result;
    if (start->process_fd >= 0)
        (void)program_end(start->process_fd);
    (void)unlinkat(start->stage_fd, ACTIVE_FILE, 0);
    (void)unlinkat(start->stage_fd, LOG_FILE, 0);
    return result;
}

static enum bottle_result native_start(const struct bottle_host *host,
                                       const struct pipelock_plan *plan, json_object *options,
                                       const char *instance, struct failure *failure)
{
    CLEANUP_START struct native_start start = {.plan = plan,
                                               .timeout_ms = 10000,
                                               .stage_fd = -1,
                                               .claim_fd = -1,
                                               .log_fd = -1,
                                               .process_fd = -1};
    CLEANUP_JSON json_object *record = make_record(plan, instance, plan->internal_network);
    enum bottle_result result = check_networks(plan, failure);

    if (result == BOTTLE_OK)
        result = json_check_keys(options, "start options", OPTION_KEYS, failure);
    if (result == BOTTLE_OK)
        result = option_integer(options, "start_timeout_ms", 1, DAY_MS, &start.timeout_ms, failure);
    if (result == BOTTLE_OK)
        result = program_find("pipelock",
                              "install it there, or use the backend docker with an image of it",
                              start.program, failure);
    if (result == BOTTLE_OK &&
        !(object_add_text(record, "sidecar", SIDECAR_NAME) &&
          object_add_text(record, "slug", plan->slug) &&
          object_add(record, "started_ms", json_object_new_int64(wait_now_ms()))))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    if (result == BOTTLE_OK)
        result = stage_dir_open(plan->stage_dir, &start.stage_fd, NULL, failure);
    if (result == BOTTLE_OK)
        result = stage_claim_check(start.stage_fd, plan->stage_dir, plan->slug, failure);
    if (result == BOTTLE_OK)
        result = claim_take(SIDECAR_NAME, plan->slug, &start.claim_fd, failure);
    if (result == BOTTLE_OK)
        result = start_claimed(&start, record, failure);
    if (result == BOTTLE_OK)
        host_log(host, BOTTLE_LOG_INFO, "pipelock native:%s:%s listens on %s port %d for %zu hosts",
                 plan->slug, instance, plan->internal_network, PROXY_PORT,
                 json_object_array_length(plan->upstreams));
    return result;
}

/* ---- the running process ---- */

static enum bottle_result native_stop(const struct target *target, struct failure *failure)
{
    CLEANUP_HOLDER struct holder holder = NO_HOLDER;
    enum bottle_result result = claim_find(SIDECAR_NAME, target, &holder, failure);

    if (result != BOTTLE_OK || program_end(holder.process_fd))
        return result;
    return failure_set(failure, BOTTLE_TIMEOUT,
                       "native:%s: pipelock, process %d, ends neither by SIGTERM nor by SIGKILL",
                       target->slug, holder.pid);
}

static enum bottle_result native_status(const struct target *target, json_object **status,
                                        struct failure *failure)
{
    CLEANUP_HOLDER struct holder holder = NO_HOLDER;
    enum bottle_result result = claim_find(SIDECAR_NAME, target, &holder, failure);

    if (result != BOTTLE_OK)
        return result;
    int64_t started_ms = json_object_get_int64(object_member(holder.record, "started_ms"));
    result = make_status("native", target->slug, holder.record, wait_now_ms() - started_ms, status,
                         failure);
    if (result == BOTTLE_OK && !object_add(*status, "pid", json_object_new_int(holder.pid)))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    return result;
}

const struct pipelock_backend pipelock_native = {
    .of_target = {.stop = native_stop, .status = native_status},
    .start = native_start,
};
