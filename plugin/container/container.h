/* SPDX-License-Identifier: MIT */
/*
 * container.h: a sidecar as a container, for the backend docker of any plugin.
 *
 * A sidecar is its container; nothing else is kept, so nothing can go stale.  Its name is the claim on
 * the slug, for an engine gives a name once.  Its labels (labels.h) say whose it is.
 *
 *     struct container container = {.engine = engine, .sidecar = "…", .slug = …, .instance = …,
 *                                   .name = …};
 *     container.body = container_describe(&container, &options);
 *     …"Image", "Cmd" and the like…
 *     result = container_run(&container, internal_network, egress_network, NULL, failure);
 *     if (result != BOTTLE_OK)
 *         result = container_undo(&container, result, failure);
 *     container_clear(&container);
 */
#ifndef DOCKER_ENGINE_CONTAINER_H
#define DOCKER_ENGINE_CONTAINER_H

#include "engine/engine.h"

#define CONTAINER_PAUSE_MS 50 /* between two looks at what the engine has no event for */

/* ---- start options ---- */

/* The options of every container; `"key", "key", …`, in the order of strcmp(3). */
#define CONTAINER_OPTION_KEYS                                                                      \
    "engine_timeout_ms", "image", "memory_limit_mib", "pids_limit", "restart", "start_timeout_ms"

struct container_options {
    int32_t engine_timeout_ms; /* for each call of the engine */
    int32_t start_timeout_ms;  /* for the program in it to be ready */
    int32_t memory_limit_mib, pids_limit;
    int32_t log_max_bytes; /* of what the engine keeps; not an option of every container */
    const char *restart;   /* as the engine spells it: "no", "on-failure", … */
    const char *image;     /* NULL: none was named */
};

/*
 * Reads them; which keys there may be is the caller's to check.
 * @image_variable: the environment variable that names an image where the options do not
 * @taken:          out: what it points to lives as long as options and the environment
 */
enum bottle_result container_read_options(json_object *options, const char *image_variable,
                                          struct container_options *taken, struct failure *failure);

/* Has the engine pull an image that it has not. */
enum bottle_result container_provide_image(struct engine *engine, const struct bottle_host *host,
                                           const char *image, struct failure *failure);

/* ---- networks ---- */

/*
 * Looks at a bottle's two networks before anything is made: a sidecar on a network that is not internal
 * would stand beside a way out, and the agent could walk around it.
 * @internal, @egress: out: as the engine describes them
 */
enum bottle_result networks_find(struct engine *engine, const char *internal_network,
                                 const char *egress_network, json_object **internal,
                                 json_object **egress, struct failure *failure);

/* ---- start ---- */

struct container {
    struct engine *engine;
    const char *sidecar; /* the plugin's name */
    const char *slug, *instance;
    const char *name;
    json_object *body; /* of POST /containers/create */
    char *id;          /* NULL: it is not made yet */
    bool may_come;     /* the engine was asked for it, and has not answered */
    bool without_ipv6; /* the engine's kernel has none, so there are no settings of it */
};

/* Frees body and id. */
void container_clear(struct container *container);

/*
 * The body, but for "Image", the program and the network: an unprivileged user without capabilities,
 * labels and limits.  NULL when memory ran out.
 */
json_object *container_describe(const struct container *container,
                                const struct container_options *options);

/*
 * Gives it the network of another container, with all its addresses and settings, which ends with that one.
 * False when memory ran out.
 */
bool container_share_network(json_object *body, const char *id);
#define NETWORK_OF "container:" /* begins the NetworkMode of such a one; the ID follows */

/*
 * Makes the container, which takes the name, and starts it.  One of the sidecar's that holds the name without
 * running is what is left of a start that was cut off, or of a sidecar that ended: it is removed.  Not by
 * force: should another launcher have started it meanwhile, the engine refuses, and that launcher has won.
 * BOTTLE_CONFLICT: the name is somebody else's.  BOTTLE_NOT_FOUND: somebody has removed the container
 * meanwhile.  What was made is the caller's to undo.
 * @internal, @egress: as the engine describes them; NULL: it shares the network of another
 * @file:              put into it before it starts; NULL: none
 */
enum bottle_result container_run(struct container *container, json_object *internal,
                                 json_object *egress, const struct engine_file *file,
                                 struct failure *failure);

/*
 * Removes what was made, whether the engine has said so or not, and returns result; where that cannot be
 * done the failure says so too.  BOTTLE_NOT_FOUND, which is no result of start's, becomes
 * BOTTLE_CONFLICT, with a text of its own.
 */
enum bottle_result container_undo(struct container *container, enum bottle_result result,
                                  struct failure *failure);

/* ---- a container that is there ---- */

/* What the engine says of one; "" where there is no such label. */
const char *container_label(json_object *found, const char *key);
bool container_is_running(json_object *found);

/* As the engine describes it; BOTTLE_NOT_FOUND.  name: or an ID. */
enum bottle_result container_inspect(struct engine *engine, const char *name, json_object **found,
                                     struct failure *failure);

/*
 * The container of that name, running or not, if its labels are of that sidecar and slug, and of that
 * instance, if there is one ("": whichever); else BOTTLE_NOT_FOUND.
 * @wanted: engine, sidecar, slug, instance and name
 */
enum bottle_result container_find(const struct container *wanted, json_object **found,
                                  struct failure *failure);

/* engine_exec(); BOTTLE_NOT_FOUND: the container no longer runs. */
enum bottle_result container_exec(struct engine *engine, const char *id, const char *const *command,
                                  char **output, struct failure *failure);

/* Since when it runs, by this machine's clock; the engine's may be another. */
int64_t container_uptime_ms(json_object *found);

/* The last line that it wrote, cut to what fits; "nothing" if there is none. */
#define CONTAINER_WORDS_SIZE 256
void container_last_words(const struct container *container, char words[CONTAINER_WORDS_SIZE]);

/* Lets its program end by itself, if it runs, for two seconds; and removes it. */
enum bottle_result container_stop(struct engine *engine, json_object *found,
                                  struct failure *failure);

/* Kills and removes; returns when it is gone.  One that is gone already is BOTTLE_OK. */
enum bottle_result container_remove(struct engine *engine, const char *id, struct failure *failure);

#endif
