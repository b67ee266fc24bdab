/* SPDX-License-Identifier: MIT */
/* connection.h: HTTP requests to the engine, one at a time, with libcurl. */
#ifndef ENGINE_CONNECTION_H
#define ENGINE_CONNECTION_H

#include "engine/engine.h"
#include "engine/libraries.h"

#include <stddef.h>

struct engine {
    struct curl_library library;
    char *address;     /* as in $DOCKER_HOST */
    char *socket_path; /* NULL: TCP */
    char *base_url;
    int64_t timeout_ms;
    char announced
        [16]; /* the engine's highest API version, from the header of its answers: "1.44" */
    char api_version[16]; /* the version in use, as paths begin with it: "/v1.41" */
    bool is_podman;
    char curl_error[CURL_ERROR_SIZE];
};

struct exchange {
    const char *method;
    const char *path;         /* with the API version */
    const char *content_type; /* NULL: the request has no body */
    const void *bytes;
    size_t length;
    int64_t timeout_ms; /* for the whole exchange; 0: no limit */
    long stall_s;       /* for a pause in which no data arrives; 0: no limit */
    /* Called for each piece of a successful answer's body; returns false to end with BOTTLE_OK. */
    bool (*take)(void *context, const char *bytes, size_t length);
    void *context;
};

enum bottle_result connection_exchange(struct engine *engine, const struct exchange *exchange,
                                       struct failure *failure);

/* Collects an answer in memory.  Zero it first; free bytes afterwards. */
struct collected {
    char *bytes; /* NUL-terminated; NULL: none arrived */
    size_t length;
    size_t capacity;
    bool failed; /* out of memory, or the answer is too long */
};

/* For struct exchange's take, with a struct collected as the context. */
bool collect(void *collected, const char *bytes, size_t length);

#endif
