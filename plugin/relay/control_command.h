/* SPDX-License-Identifier: MIT */
/*
 * control_command.h: the relay's program as a client of a relay, for an engine's exec.
 *
 *     ssh-gate-relay control SLUG[:INSTANCE] status          prints the status object
 *     ssh-gate-relay control SLUG[:INSTANCE] drain GRACE_MS  prints nothing; negative: no limit
 *     ssh-gate-relay control SLUG[:INSTANCE] yield           prints nothing
 *
 * Without an instance it is the relay that holds the claim on the slug.
 *
 * A control socket in a container can be reached only from inside, and the relay is the only program there.
 * To stop a relay, stop its container.
 */
#ifndef RELAY_CONTROL_COMMAND_H
#define RELAY_CONTROL_COMMAND_H

/* The arguments after "control".  Returns the exit status: 0, or 1 with a line on standard error. */
int control_command(int count, char **arguments);

#endif
