/* SPDX-License-Identifier: MIT */
/* settings.c: see settings.h. */
#include "container/settings.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "container/container.h"
#include "container/labels.h"
#include "container/options.h"

#include <stdio.h>

/*
 * The user and group are nobody's.  They may bind ports below 1024 in the container's network (network.c).
 * A sidecar ends at once on SIGTERM.  But process 1 ignores a signal for which it has not installed a
 * handler yet, and then Podman waits for StopTimeout seconds, even when it removes a container by force.
 */
static const char COMMON_SETTINGS[] = "{\"User\": \"65534:65534\","
                                      " \"StopTimeout\": 1,"
                                      " \"HostConfig\": {"
                                      "  \"CapDrop\": [\"ALL\"],"
                                      "  \"SecurityOpt\": [\"no-new-privileges\"]}}";

static bool add_labels(json_object *body, const struct container *container)
{
    json_object *labels = json_object_new_object();
    char owner[LABEL_OWNER_SIZE];

    return object_add(body, "Labels", labels) && label_owner(owner) &&
           object_add_text(labels, LABEL_SIDECAR, container->sidecar) &&
           object_add_text(labels, LABEL_SLUG, container->slug) &&
           object_add_text(labels, LABEL_INSTANCE, container->instance) &&
           object_add_text(labels, LABEL_OWNER, owner);
}

/* The log rotates between two files of half the size, so at least the newest half of it is always kept. */
static bool add_log(json_object *host_config, int32_t max_bytes)
{
    json_object *log = json_object_new_object(), *settings = json_object_new_object();
    char size[16];

    (void)snprintf(size, sizeof size, "%d", max_bytes / 2);
    bool added = object_add_text(settings, "max-size", size) &&
                 object_add_text(settings, "max-file", "2") &&
                 object_add_text(log, "Type", "json-file");
    added = object_add(log, "Config", settings) && added;
    return object_add(host_config, "LogConfig", log) && added;
}

static bool add_restart(json_object *host_config, const char *restart)
{
    json_object *policy = json_object_new_object();
    bool added = object_add_text(policy, "Name", restart);

    return object_add(host_config, "RestartPolicy", policy) && added;
}

json_object *container_describe(const struct container *container,
                                const struct container_options *options)
{
    CLEANUP_JSON json_object *body = json_tokener_parse(COMMON_SETTINGS);
    json_object *host_config = object_member(body, "HostConfig");
    int64_t memory = (int64_t)options->memory_limit_mib << 20;

    if (!body || !add_labels(body, container) ||
        !object_add(host_config, "Memory", json_object_new_int64(memory)) ||
        !object_add(host_config, "PidsLimit", json_object_new_int(options->pids_limit)) ||
        !add_log(host_config, options->log_max_bytes) ||
        !add_restart(host_config, options->restart))
        return NULL;
    return steal_pointer(&body);
}
