/* SPDX-License-Identifier: MIT */
/*
 * program.c: see program.h.
 *
 * The program is the relay or a script.  The relay's image consists of one file and is named by that
 * file's hash; it is loaded into the engine once for each version of the plugin.  The relay's config is its
 * command line (wire/command_line.h).  For the script the launcher names an image with sh and socat; the
 * script is the one that prepare wrote.
 *
 * The relay's root file system is read-only.  The script's is not, as the script is copied into it.
 */
#include "docker/program.h"

#include "backend.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"
#include "container/image.h"
#include "container/labels.h"
#include "container/network.h"
#include "container/settings.h"
#include "docker/gate.h"
#include "engine/streams.h"
#include "wire/command_line.h"
#include "wire/relay_image.h"

#include <stdio.h>
#include <string.h>

#define RELAY_IMAGE_NAME "localhost/claude-bottle-ssh-gate"

/* The architecture that the relay is built for, in Go's spelling and in that of uname(2); engines use either. */
#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#define MACHINE      "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#define MACHINE      "aarch64"
#elif defined(__arm__)
#define ARCHITECTURE "arm"
#define MACHINE      "armv7l"
#elif defined(__i386__)
#define ARCHITECTURE "386"
#define MACHINE      "i686"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCHITECTURE "riscv64"
#define MACHINE      "riscv64"
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define ARCHITECTURE "ppc64le"
#define MACHINE      "ppc64le"
#elif defined(__s390x__)
#define ARCHITECTURE "s390x"
#define MACHINE      "s390x"
#else
#error "name this architecture as GOARCH does"
#endif

/* ---- the relay's image ---- */

static const char *relay_image_reference(char text[128])
{
    (void)snprintf(text, 128, RELAY_IMAGE_NAME ":%.64s", relay_image_sha256);
    return text;
}

static enum bottle_result check_architecture(struct engine *engine, struct failure *failure)
{
    CLEANUP_JSON json_object *about = NULL;
    enum bottle_result result = engine_call(engine, "GET", NULL, &about, failure, "/info");
    const char *theirs = object_text(about, "Architecture");

    if (result != BOTTLE_OK || strcmp(theirs, ARCHITECTURE) == 0 || strcmp(theirs, MACHINE) == 0)
        return result;
    return failure_set(
        failure, BOTTLE_UNAVAILABLE,
        "engine %s runs on \"%s\", the relay in this ssh_gate.so on \"%s\": use a "
        "plugin that is built for the engine's machine, or name an image with sh and "
        "socat",
        engine_address(engine), EXCERPT(theirs), ARCHITECTURE);
}

static enum bottle_result load_relay_image(struct engine *engine, const char *reference,
                                           struct failure *failure)
{
    const struct engine_file relay = {.path = &RELAY_PATH[1],
                                      .mode = 0555,
                                      .bytes = relay_image,
                                      .length = (size_t)(relay_image_end - relay_image)};
    CLEANUP_JSON json_object *labels = json_object_new_object();

    if (!object_add_text(labels, LABEL_SIDECAR, SIDECAR_NAME))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    return engine_load_image(engine, reference, ARCHITECTURE, &relay, 1, labels, failure);
}

static enum bottle_result provide_relay_image(struct engine *engine, struct failure *failure)
{
    char reference[128];
    enum bottle_result result = engine_call(engine, "GET", NULL, NULL, failure, "/images/%s/json",
                                            relay_image_reference(reference));

    if (result != BOTTLE_NOT_FOUND)
        return result;
    /* Checked only before loading: an image that the engine has already passed this check. */
    result = check_architecture(engine, failure);
    return result == BOTTLE_OK ? load_relay_image(engine, reference, failure) : result;
}

enum bottle_result docker_provide_image(const struct docker_start *start, struct failure *failure)
{
    const char *image = start->options.image;
    struct engine *engine = start->container.engine;

    return image ? container_provide_image(engine, start->host, image, failure)
                 : provide_relay_image(engine, failure);
}

/* ---- the relay ---- */

/* Adds the network's subnets, by which the relay recognizes its own address on that network. */
static bool add_subnets(json_object *subnets, json_object *network)
{
    json_object *configs = object_member(object_member(network, "IPAM"), "Config");
    size_t count =
        json_object_is_type(configs, json_type_array) ? json_object_array_length(configs) : 0;
    bool added = subnets != NULL;

    for (size_t i = 0; added && i < count; i++) {
        json_object *subnet = object_member(json_object_array_get_idx(configs, i), "Subnet");
        if (subnet)
            added = array_add_text(subnets, json_object_get_string(subnet));
    }
    return added;
}

/* An engine does not accept AutoRemove together with a restart policy. */
static bool describe_relay(json_object *body, const struct docker_start *start)
{
    json_object *host_config = object_member(body, "HostConfig");
    json_object *entrypoint = json_object_new_array(), *words = json_object_new_array();
    CLEANUP_JSON json_object *subnets = json_object_new_array();
    bool removes_itself = strcmp(start->options.restart, "no") == 0;
    char reference[128];
    bool built = array_add_text(entrypoint, RELAY_PATH) && add_subnets(subnets, start->internal) &&
                 arguments_write(words, start->config, subnets);

    built = object_add(body, "Entrypoint", entrypoint) && built;
    built = object_add(body, "Cmd", words) && built;
    return built && object_add_text(body, "Image", relay_image_reference(reference)) &&
           object_add(host_config, "ReadonlyRootfs", json_object_new_boolean(true)) &&
           object_add(host_config, "AutoRemove", json_object_new_boolean(removes_itself));
}

/* ---- the script ---- */

/* The script cannot report its upstreams, so a label of its container does. */
static bool add_upstreams(json_object *labels, const struct relay_config *config)
{
    CLEANUP_JSON json_object *array = json_object_new_array();
    bool added = array != NULL;

    for (uint32_t i = 0; added && i < config->upstream_count; i++) {
        const struct relay_upstream_config *upstream = &config->upstreams[i];
        json_object *object = json_object_new_object();
        added = object_add_text(object, "bottle_host_alias", upstream->alias) &&
                object_add(object, "listen_port", json_object_new_int(upstream->listen_port)) &&
                object_add_text(object, "upstream_host", upstream->host) &&
                object_add(object, "upstream_port", json_object_new_int(upstream->port));
        added = array_add(array, object) && added;
    }
    return added && object_add_text(labels, LABEL_UPSTREAMS, json_object_to_json_string(array));
}

static bool describe_script(json_object *body, const struct docker_start *start)
{
    json_object *entrypoint = json_object_new_array(), *words = json_object_new_array();
    bool built =
        array_add_text(entrypoint, "/bin/sh") && array_add_text(words, "/" ENTRYPOINT_FILE);

    built = object_add(body, "Entrypoint", entrypoint) && built;
    built = object_add(body, "Cmd", words) && built;
    return built && object_add_text(body, "Image", start->options.image) &&
           add_upstreams(object_member(body, "Labels"), start->config);
}

/* ---- both ---- */

json_object *docker_describe_container(const struct docker_start *start)
{
    CLEANUP_JSON json_object *body = container_describe(&start->container, &start->options);
    const char *image = start->options.image;

    if (!object_add_text(object_member(body, "Labels"), LABEL_PROGRAM,
                         image ? PROGRAM_SCRIPT : PROGRAM_RELAY) ||
        (start->holder && !container_share_network(body, object_text(start->holder, "Id"))) ||
        !(image ? describe_script(body, start) : describe_relay(body, start)))
        return NULL;
    return steal_pointer(&body);
}
