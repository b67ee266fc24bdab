/* SPDX-License-Identifier: MIT */
/*
 * main.c: the relay, the program that moves the bytes.
 *
 * One process, one thread, one loop; and one that opens two files for it (dns_opener.c).  ssh_gate.so carries this program inside itself and starts it
 * with a socket as descriptor SETUP_FD, over which the config comes (protocol.h, setup.c), or in a
 * container with the config as arguments (arguments.c).  Then:
 *
 *   listener.c    accepts a client and opens a connection for it
 *   dial.c        resolves the upstream's name (resolver.h) and connects, IPv6 and IPv4 racing
 *   connection.c  ties the two sockets together, sees to timeouts, end of file, resets, goodbyes
 *   flow.c        moves the bytes of one direction, through pipes of pipe_pool.c when there are many
 *   vanished.c    ends connections whose peers are gone without a word
 *   limits.c      refuses connections that are too many, before they are dialled
 *   control.c     answers status, stop and drain; takeover.c: hands the sockets to another relay
 *   launcher.c    ends the relay when the process ends that it is to end with
 *   events.c      writes a line for each connection that opens, closes or is refused
 *   loop.c        calls them: descriptors that are ready, timers that are due
 *
 * A turn of the loop: wait; call what is ready and due; give connections that moved their fill
 * another turn; free what ended.  The process ends when it is told to stop, by control socket or
 * signal, when the launcher dies (if asked for), or when a drain is complete.
 */
#include "relay/relay.h"

#include "relay/control_command.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

void relay_discard(struct relay *relay, struct list_node *node)
{
    list_append(&relay->discarded, node);
}

static void free_discarded(struct relay *relay)
{
    while (!list_is_empty(&relay->discarded)) {
        struct list_node *node = relay->discarded.next;
        list_remove(node);
        free(node); /* it begins the struct that was discarded */
    }
}

static void idle_for_a_while(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, idle_timer);

    if (relay->connections_now == 0)
        (void)malloc_trim(0); /* whether there was anything to give back does not matter */
}

void relay_became_idle(struct relay *relay)
{
    timer_start(&relay->loop, &relay->idle_timers, &relay->idle_timer, idle_for_a_while);
}

void relay_stop(struct relay *relay, const char *reason)
{
    if (relay->state == RELAY_STOPPED)
        return;
    relay->state = RELAY_STOPPED;
    relay->stop_reason = reason;
}

static void grace_over(struct timer *timer)
{
    struct relay *relay = container_of(timer, struct relay, grace_timer);

    if (relay->network_users.fd >= 0) /* it stays for the others' sake */
        connection_cut_all(relay, "drain-grace-over");
    else
        relay_stop(relay, "drain-grace-over");
}

void relay_drain(struct relay *relay, int64_t grace_ms, const char *why)
{
    if (relay->state == RELAY_SERVING) {
        relay->state = RELAY_DRAINING;
        event_notice(relay, "draining", why);
        listeners_close(relay);
    }
    timer_stop(&relay->grace_timer);
    if (grace_ms >= 0) {
        /* The time when it is over must not overflow. */
        relay->grace_timers.duration_ms = grace_ms < INT64_MAX / 2 ? grace_ms : INT64_MAX / 2;
        timer_start(&relay->loop, &relay->grace_timers, &relay->grace_timer, grace_over);
    }
}

static void serve(struct relay *relay)
{
    event_started(relay);
    if (relay->sandbox_missing[0])
        event_notice(relay, "sandbox-incomplete", relay->sandbox_missing);
    relay->events_together = true;
    while (relay->state != RELAY_STOPPED) {
        bool has_turns = !list_is_empty(&relay->turns);
        events_write(relay);
        loop_wait(&relay->loop, has_turns ? 0 : resolver_wait_ms(relay, -1));
        resolver_run_timeouts(relay);
        connection_take_turns(relay);
        free_discarded(relay);
        if (relay->state == RELAY_DRAINING && relay->connections_now == 0 &&
            relay->network_users.fd < 0)
            relay_stop(relay, "drained");
    }
    listeners_close(relay);
    connection_cut_all(relay, "stop");
    free_discarded(relay);
    limits_close(relay);
    event_stopped(relay);
    events_write(relay);
    dns_opener_stop(relay);
}

/*
 * Signals that the launcher ignores or blocks stay so through execve(2).  Nobody traces the relay from its
 * first step on, and none of the processes that it makes: listen_inside.c says why.
 */
static bool take_own_life(int first_foreign_fd)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* not for SIGKILL, SIGSTOP and those the C library keeps */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGHUP, SIG_IGN) == SIG_ERR ||
        signal(SIGXFSZ, SIG_IGN) == SIG_ERR || sigemptyset(&none) ||
        sigprocmask(SIG_SETMASK, &none, NULL) || chdir("/") ||
        prctl(PR_SET_NAME, RELAY_NAME, 0, 0, 0) ||
        (!SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)))
        return false;
    (void)umask(077);
    closefrom(first_foreign_fd);
    return getsid(0) == getpid() || setsid() > 0; /* an engine may have made the session */
}

/* By set-up socket the only argument is the target, for the process list (protocol.h). */
static bool set_up(struct relay *relay, int argc, char **argv)
{
    struct stat setup;

    if (argc > 2 && strcmp(argv[1], "serve") == 0)
        return take_own_life(STDERR_FILENO + 1) &&
               relay_setup_from_arguments(relay, argc - 2, argv + 2);
    relay->process_name = argc == 2 ? argv[0] : NULL;
    if (argc == 2 && !fstat(SETUP_FD, &setup) && S_ISSOCK(setup.st_mode))
        return relay_setup(relay, take_own_life(SETUP_FD + 1) ? 0 : errno);
    (void)fputs("ssh-gate-relay: this program is started by ssh_gate.so, not by hand\n", stderr);
    return false;
}

int main(int argc, char **argv)
{
    static struct relay relay; /* too large for a stack */

    if (argc > 2 && strcmp(argv[1], "control") == 0)
        return control_command(argc - 2, argv + 2);
    relay.events_fd = STDERR_FILENO;
    if (!set_up(&relay, argc, argv)) {
        dns_opener_stop(&relay);
        return EXIT_FAILURE;
    }
    serve(&relay);
    return EXIT_SUCCESS;
}
