/* SPDX-License-Identifier: MIT */
/* image.h: making sure that an engine has an image. */
#ifndef CONTAINER_IMAGE_H
#define CONTAINER_IMAGE_H

#include "engine/engine.h"

/* Pulls the image if the engine does not have it.  host: the progress is logged there. */
enum bottle_result container_provide_image(struct engine *engine, const struct bottle_host *host,
                                           const char *image, struct failure *failure);

#endif
