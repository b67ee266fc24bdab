/* SPDX-License-Identifier: MIT */
/*
 * exit_status.h: the statuses that sample-host exits with.
 */
#ifndef SAMPLE_HOST_EXIT_STATUS_H
#define SAMPLE_HOST_EXIT_STATUS_H

enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_NOT_RUNNING = 3,
    STATUS_RUN_FAILED = 125, /* from here on as env(1) */
    STATUS_CANNOT_EXEC = 126,
    STATUS_NO_COMMAND = 127,
    STATUS_SIGNAL = 128, /* plus the number of the signal */
};

#endif
