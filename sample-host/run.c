/* SPDX-License-Identifier: MIT */
/*
 * run.c: the command `run`, outside the bottle.
 *
 * Two processes take these steps in turn (step.h):
 *
 *     launcher, outside                          inside (inside.c)
 *     prepare the sidecars, fork
 *                                                new user, network and mount namespaces
 *     map the caller's user and group into them
 *                                                bring loopback up
 *     start the sidecars: they listen in
 *     /proc/INSIDE/ns/net and dial from here
 *                                                arrange /etc and /run, drop all rights, execute
 *     wait, stop the sidecars
 *
 * The sidecars are started from outside because they need the network there.  They end with the launcher, by
 * the option exit_with_launcher, and so does the command, by PR_SET_PDEATHSIG: after a kill -9 of the launcher
 * neither runs.
 *
 * Signals.  A terminal sends SIGINT and SIGQUIT to the whole process group: the command handles them.
 * SIGTERM and SIGHUP are forwarded to it.  The launcher ignores or blocks all four, so that it always gets to
 * stop the sidecars; the command starts with the dispositions and the mask that the launcher was given.
 */
#include "run.h"

#include "bottle.h"
#include "directory.h"
#include "exit_status.h"
#include "fail.h"
#include "inside.h"
#include "manifest.h"
#include "members.h"
#include "plugins.h"
#include "request.h"
#include "slugs.h"
#include "state.h"
#include "step.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
    const struct request *request;
    struct plugins plugins;
    struct directory root;
    struct directory directory;
    struct bottle bottle;
    pid_t inside; /* 0: there is no process inside */
    int link;     /* to the process inside */
    FILE *events; /* where --events appends; NULL: not given */
};

static void run_clear(struct run *run)
{
    directory_close(&run->directory);
    directory_close(&run->root);
    bottle_clear(&run->bottle);
    plugins_unload(&run->plugins);
    cleanup_fd(&run->link);
    if (run->events)
        (void)fclose(run->events); /* flushed and checked before */
}
#define CLEANUP_RUN __attribute__((cleanup(run_clear)))

/* ---- signals ---- */

struct signals {
    sigset_t waited_for;
    sigset_t mask; /* the mask and the dispositions that the launcher was given */
    struct sigaction interrupt, quit, child;
};

static void hold_signals(struct signals *signals)
{
    struct sigaction action = {.sa_handler = SIG_IGN};

    (void)sigemptyset(&signals->waited_for);
    (void)sigaddset(&signals->waited_for, SIGCHLD);
    (void)sigaddset(&signals->waited_for, SIGTERM);
    (void)sigaddset(&signals->waited_for, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &signals->waited_for, &signals->mask);
    (void)sigaction(SIGINT, &action, &signals->interrupt);
    (void)sigaction(SIGQUIT, &action, &signals->quit);
    action.sa_handler = SIG_DFL; /* if SIGCHLD is ignored, no exit status can be waited for */
    (void)sigaction(SIGCHLD, &action, &signals->child);
}

static void restore_signals(const struct signals *signals)
{
    (void)sigaction(SIGINT, &signals->interrupt, NULL);
    (void)sigaction(SIGQUIT, &signals->quit, NULL);
    (void)sigaction(SIGCHLD, &signals->child, NULL);
    (void)sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

/* ---- the process inside ---- */

static bool fork_inside(struct run *run, const struct signals *signals)
{
    int link[2];
    pid_t launcher = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link) != 0)
        return fail("cannot make a socket pair: %s", strerror(errno));
    CLEANUP_FD int theirs = link[1];
    run->link = link[0];
    pid_t pid = fork();
    if (pid < 0)
        return fail("cannot fork: %s", strerror(errno));
    run->inside = pid;
    if (pid > 0)
        return true;

    restore_signals(signals);
    (void)close(run->link);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != launcher)
        _exit(STATUS_RUN_FAILED);
    inside_bottle(theirs, &run->bottle, run->request->command);
}

static bool write_to_process(pid_t pid, const char *name, const char *text)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%jd/%s", (intmax_t)pid, name);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    return (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text)) ||
           fail("cannot write \"%s\" to %s: %s", text, path, strerror(errno));
}

/*
 * The caller's user and group keep their numbers and are the only ones that are mapped, also if the caller is
 * root.  setgroups(2) has to be denied first: user_namespaces(7).
 */
static bool map_caller(pid_t pid)
{
    char users[64];
    char groups[64];

    (void)snprintf(users, sizeof users, "%ju %ju 1", (uintmax_t)geteuid(), (uintmax_t)geteuid());
    (void)snprintf(groups, sizeof groups, "%ju %ju 1", (uintmax_t)getegid(), (uintmax_t)getegid());
    return write_to_process(pid, "setgroups", "deny") && write_to_process(pid, "uid_map", users) &&
           write_to_process(pid, "gid_map", groups);
}

/* Waits for the process inside and forwards signals to it; returns the status to exit with. */
static int wait_inside(const struct run *run, const struct signals *signals)
{
    siginfo_t ended = {0};
    siginfo_t signal;

    while (waitid(P_PID, (id_t)run->inside, &ended, WEXITED | WNOHANG) == 0 && ended.si_pid == 0) {
        int number = sigwaitinfo(&signals->waited_for, &signal);
        if (number == SIGTERM || number == SIGHUP)
            (void)kill(run->inside, number); /* it may just have ended */
    }
    if (ended.si_pid == 0)
        return STATUS_RUN_FAILED;
    return ended.si_code == CLD_EXITED ? ended.si_status : STATUS_SIGNAL + ended.si_status;
}

/* ---- the run ---- */

static bool prepare(struct run *run)
{
    const char *events = run->request->value[OPTION_EVENTS];
    CLEANUP_FREE char *text = NULL;

    if (!plugins_load(&run->plugins, run->request, true) ||
        !manifest_find(run->request, &run->bottle, &text))
        return false;
    if (events)
        run->events = fopen(events, "ae");
    if (events && !run->events)
        return fail("cannot open --events %s: %s", events, strerror(errno));
    if (!slugs_open(&run->root) ||
        !slugs_claim(&run->root, run->bottle.slug, run->request, &run->directory) ||
        !bottle_prepare(&run->bottle, text, &run->plugins, &run->directory))
        return false;
    bottle_drop_idle(&run->bottle);
    return true;
}

/* Takes the steps up to the execution of the command. */
static bool start(struct run *run, const struct signals *signals)
{
    char network[64];

    if (!fork_inside(run, signals) || !step_await(run->link) || !map_caller(run->inside) ||
        !step_tell(run->link) || !step_await(run->link))
        return false;
    (void)snprintf(network, sizeof network, "/proc/%jd/ns/net", (intmax_t)run->inside);
    return bottle_configure(&run->bottle, run->request, network, "host") &&
           bottle_start(&run->bottle, run->request, true, &run->directory) && step_tell(run->link);
}

/* Appends a file to --events, if it exists. */
static bool append_file(const struct run *run, const char *path)
{
    char buffer[BUFSIZ];
    size_t count;
    FILE *file = fopen(path, "re");

    if (!file)
        return errno == ENOENT || fail("cannot open %s: %s", path, strerror(errno));
    while ((count = fread(buffer, 1, sizeof buffer, file)) > 0)
        (void)fwrite(buffer, 1, count, run->events);
    bool copied = ferror(file) == 0 && fflush(run->events) == 0 && ferror(run->events) == 0;
    (void)fclose(file); /* it was only read */
    return copied || fail("cannot append %s to --events %s: %s", path,
                          run->request->value[OPTION_EVENTS], strerror(errno));
}

static bool append_events(const struct run *run)
{
    bool appended = true;

    for (size_t i = 0; run->events && i < run->bottle.count; i++) {
        const char *path = text_member(run->bottle.sidecars[i].plan, "event_log");
        if (path)
            appended &= append_file(run, path);
    }
    return appended;
}

/* Updates the targets: another process may have swapped a sidecar since it was started. */
static bool reload_targets(struct run *run)
{
    CLEANUP_BOTTLE struct bottle now = {0};

    if (!state_load(&run->directory, &now))
        return false;
    for (size_t i = 0; i < run->bottle.count; i++) {
        json_object *record = run->bottle.sidecars[i].record;
        for (size_t j = 0; j < now.count; j++) {
            json_object *other = now.sidecars[j].record;
            if (strcmp(text_member(other, "sidecar"), text_member(record, "sidecar")) == 0 &&
                !set_text(record, "target", text_member(other, "target")))
                return false;
        }
    }
    return true;
}

static bool finish(struct run *run)
{
    bool stopped = directory_lock(&run->directory);

    if (run->directory.fd >= 0)
        stopped &= reload_targets(run);
    stopped &= bottle_stop(&run->bottle);
    if (run->directory.fd < 0) /* "down" has removed everything */
        return stopped;
    bool appended = append_events(run);
    return stopped && bottle_end(&run->bottle, &run->directory) && appended;
}

int command_run(const struct request *request)
{
    CLEANUP_RUN struct run run = {
        .request = request, .link = -1, .root.fd = -1, .directory.fd = -1};
    struct signals signals;

    if (!prepare(&run)) {
        if (run.directory.fd >= 0)
            bottle_abandon(&run.bottle, &run.directory);
        return STATUS_RUN_FAILED;
    }
    hold_signals(&signals);
    if (!start(&run, &signals)) {
        bottle_abandon(&run.bottle, &run.directory);
        cleanup_fd(&run.link); /* makes the process inside end, if it still runs */
        run.link = -1;
        return run.inside > 0 ? wait_inside(&run, &signals) : STATUS_RUN_FAILED;
    }
    directory_unlock(&run.directory);
    int status = wait_inside(&run, &signals);
    return finish(&run) || status != STATUS_OK ? status : STATUS_RUN_FAILED;
}
