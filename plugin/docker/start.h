/* SPDX-License-Identifier: MIT */
/* start.h: the operation start of the docker backend; backend.h says what it does. */
#ifndef DOCKER_START_H
#define DOCKER_START_H

#include "backend.h"

enum bottle_result docker_start(const struct bottle_host *host, const struct plan *plan,
                                json_object *options, const struct target *from, char **target,
                                struct failure *failure);

#endif
