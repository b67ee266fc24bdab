/* SPDX-License-Identifier: MIT */
/*
 * run.h: the command `run`.
 */
#ifndef SAMPLE_HOST_RUN_H
#define SAMPLE_HOST_RUN_H

struct request;

/* Returns the exit status. */
int command_run(const struct request *request);

#endif
