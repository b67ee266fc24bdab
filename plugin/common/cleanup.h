/* SPDX-License-Identifier: MIT */
/*
 * cleanup.h: values that free themselves at the end of their scope.
 *
 * `CLEANUP_FREE char *text = NULL;` replaces a goto ladder: every way out of the scope frees what was
 * allocated so far.  steal_pointer() and steal_fd() take the value out, to return it.
 *
 * What belongs in common/: what several plugins and programs need.  Here itself is only this header; sidecar/,
 * process/ and text/ have the rest.
 */
#ifndef SIDECAR_CLEANUP_H
#define SIDECAR_CLEANUP_H

#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

/* The result is ignored: Linux releases the descriptor in any case.  After writing, close(2) is called directly. */
static inline void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void cleanup_json(json_object **object)
{
    (void)json_object_put(*object);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
#define CLEANUP_FD   __attribute__((cleanup(cleanup_fd)))
#define CLEANUP_JSON __attribute__((cleanup(cleanup_json)))

static inline void *steal_pointer_from(void *pointer)
{
    void *value = *(void **)pointer;
    *(void **)pointer = NULL;
    return value;
}

/* `return steal_pointer(&text);` */
#define steal_pointer(pointer) ((__typeof__(*(pointer)))steal_pointer_from(pointer))

static inline int steal_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

#endif
