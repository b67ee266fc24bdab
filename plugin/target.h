/* SPDX-License-Identifier: MIT */
/* target.h: BACKEND:SLUG[:INSTANCE], taken apart; the backend's name is found in the backend. */
#ifndef SSH_GATE_TARGET_H
#define SSH_GATE_TARGET_H

#define TARGET_SLUG_SIZE     41 /* as PLAN_SLUG_SIZE */
#define TARGET_INSTANCE_SIZE 32

struct target {
    char slug[TARGET_SLUG_SIZE];
    char instance[TARGET_INSTANCE_SIZE]; /* "": whichever runs under the slug */
};

#endif
