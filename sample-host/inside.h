/* SPDX-License-Identifier: MIT */
/*
 * inside.h: the process of `run` that is inside the bottle.
 */
#ifndef SAMPLE_HOST_INSIDE_H
#define SAMPLE_HOST_INSIDE_H

struct bottle;

/* Takes its steps with the launcher, over the link (step.h), then executes the command. */
_Noreturn void inside_bottle(int link, const struct bottle *bottle, char *const *command);

#endif
