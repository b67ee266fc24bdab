/* SPDX-License-Identifier: MIT */
/*
 * commands.h: the commands plugins, plan, up, swap and down.  Each returns the exit status.
 */
#ifndef SAMPLE_HOST_COMMANDS_H
#define SAMPLE_HOST_COMMANDS_H

struct request;

int command_plugins(const struct request *request);
int command_plan(const struct request *request);
int command_up(const struct request *request);
int command_swap(const struct request *request);
int command_down(const struct request *request);

#endif
