/* SPDX-License-Identifier: MIT */
/*
 * status.h: the command `status`.
 */
#ifndef SAMPLE_HOST_STATUS_H
#define SAMPLE_HOST_STATUS_H

struct request;

/* Returns the exit status. */
int command_status(const struct request *request);

#endif
