/* SPDX-License-Identifier: MIT */
/*
 * main.c: the relay, the program that forwards the connections.
 *
 * It is one process with one thread and one event loop; a second process opens two files for it (dial/dns_opener.c).  ssh_gate.so carries
 * this program inside itself and starts it with a socket as descriptor SETUP_FD, over which the config comes
 * (wire/setup_reply.h), or in a container with the config as arguments (wire/command_line.h).  Then:
 *
 *   setup/   all that runs before the sandbox closes; setup.c has the order
 *   serve/   what a peer's bytes reach: lifecycle.c runs the loop, listener.c accepts, connection.c joins two
 *            sockets, flow.c moves the bytes, limits.c refuses, control.c answers the plugin
 *   dial/    names and connecting (dialler.h)
 *   base/    the loop, the event log, addresses, pipes: nothing there knows a connection
 *
 * In relay/ belongs this program; what the plugin links, too, is in wire/ and common/.  Calls and includes go down the
 * list above, never up, and from all of it to wire/ and common/.
 */
#include "relay/base/sanitized.h"
#include "relay/control_command.h"
#include "relay/dial/dns_opener.h"
#include "relay/serve/lifecycle.h"
#include "relay/serve/relay.h"
#include "relay/setup/setup.h"
#include "wire/process_name.h"
#include "wire/setup_reply.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Resets signals, as those that the launcher ignores or blocks stay so across execve(2).  Makes the relay
 * undumpable, so that nobody can trace it or the processes that it makes; listen_inside.c says why.
 */
static bool detach_from_launcher(int first_foreign_fd)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number,
                     SIG_DFL); /* fails for SIGKILL, SIGSTOP and those the C library reserves */
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

/* With a set-up socket the only argument is the target, for the process list (wire/process_name.h). */
static bool set_up(struct relay *relay, int argc, char **argv)
{
    struct stat setup;

    if (argc > 2 && strcmp(argv[1], "serve") == 0)
        return detach_from_launcher(STDERR_FILENO + 1) &&
               relay_setup_from_arguments(relay, argc - 2, argv + 2);
    relay->process_name = argc == 2 ? argv[0] : NULL;
    if (argc == 2 && !fstat(SETUP_FD, &setup) && S_ISSOCK(setup.st_mode))
        return relay_setup(relay, detach_from_launcher(SETUP_FD + 1) ? 0 : errno);
    (void)fputs("ssh-gate-relay: this program is started by ssh_gate.so, not by hand\n", stderr);
    return false;
}

int main(int argc, char **argv)
{
    static struct relay relay; /* too large for a stack */

    if (argc > 2 && strcmp(argv[1], "control") == 0)
        return control_command(argc - 2, argv + 2);
    relay.log.fd = STDERR_FILENO;
    if (!set_up(&relay, argc, argv)) {
        dns_opener_stop(&relay.dialler);
        return EXIT_FAILURE;
    }
    relay_serve(&relay);
    dns_opener_stop(&relay.dialler);
    return EXIT_SUCCESS;
}
