/* SPDX-License-Identifier: MIT */
/*
 * step.c: keeps the two processes of `run` in step.
 *
 * They take their steps in turn: a byte over a socket pair ends each.  End of file means that the other
 * process gave up, and has reported why.
 */
#include "step.h"

#include <sys/socket.h>

bool step_tell(int link)
{
    return send(link, "", 1, MSG_NOSIGNAL) == 1;
}

bool step_await(int link)
{
    char byte;

    return recv(link, &byte, 1, 0) == 1;
}
