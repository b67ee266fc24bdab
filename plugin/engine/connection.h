/* SPDX-License-Identifier: MIT */
/* connection.h: HTTP with the engine, one exchange at a time; by libcurl. */
#ifndef DOCKER_ENGINE_CONNECTION_H
#define DOCKER_ENGINE_CONNECTION_H

#include "engine/engine.h"

#include "engine/libraries.h"

struct engine {
    struct curl_library library;
    char *address;     /* as in $DOCKER_HOST */
    char *socket_path; /* NULL: TCP */
    char *base_url;
    int64_t timeout_ms;
    char announced[16];   /* the engine's API version, as each answer's header has it: "1.41" */
    char api_version[16]; /* what is spoken: "/v1.41" */
    bool is_podman;
    char curl_error[CURL_ERROR_SIZE];
};

struct exchange {
    const char *method;
    const char *path;         /* with the API version */
    const char *content_type; /* NULL: nothing is sent */
    const void *bytes;
    size_t length;
    int64_t timeout_ms; /* of the whole; 0: no limit */
    long stall_s;       /* the time in which nothing comes; 0: no limit */
    /* Called for each piece of an answer that is no refusal; false: enough, the result is BOTTLE_OK. */
    bool (*take)(void *context, const char *bytes, size_t length);
    void *context;
};

enum bottle_result connection_exchange(struct engine *engine, const struct exchange *exchange,
                                       struct failure *failure);

/* An answer as one piece of memory; zeroed before, bytes freed after. */
struct collected {
    char *bytes; /* NUL-terminated; NULL: nothing came */
    size_t length;
    size_t capacity;
    bool failed; /* memory ran out, or it is longer than any right answer */
};

/* For struct exchange's take, with a struct collected as the context. */
bool collect(void *collected, const char *bytes, size_t length);

#endif
