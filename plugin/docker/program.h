/* SPDX-License-Identifier: MIT */
/* program.h: the program in a gate's container, and its image. */
#ifndef DOCKER_PROGRAM_H
#define DOCKER_PROGRAM_H

#include "docker/start_context.h"

/* Makes sure that the engine has the image. */
enum bottle_result docker_provide_image(const struct docker_start *start, struct failure *failure);

/* The body of POST /containers/create; NULL: out of memory. */
json_object *docker_describe_container(const struct docker_start *start);

#endif
