/* SPDX-License-Identifier: MIT */
/*
 * step.h: keeps the two processes of `run` in step.
 */
#ifndef SAMPLE_HOST_STEP_H
#define SAMPLE_HOST_STEP_H

#include <stdbool.h>

/* Tells the other process that this one has done its step.  False: it has ended. */
bool step_tell(int link);
/* Waits until the other process has done its step.  False: it has ended. */
bool step_await(int link);

#endif
