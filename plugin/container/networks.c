/* SPDX-License-Identifier: MIT */
/* networks.c: see networks.h. */
#include "container/networks.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "common/text/utf8.h"

#include <string.h>

static bool is_network_name(const char *text)
{
    size_t length =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    return length > 0 && length < 256 && text[length] == '\0' && !strchr("_.-", text[0]);
}

static enum bottle_result find_network(struct engine *engine, const char *what, const char *name,
                                       json_object **network, struct failure *failure)
{
    CLEANUP_JSON json_object *found = NULL;

    if (!is_network_name(name))
        return failure_set(
            failure, BOTTLE_INVALID,
            "%s: \"%s\" is not the name of a network; give the name of one of the engine's", what,
            EXCERPT(name));
    enum bottle_result result =
        engine_call(engine, "GET", NULL, &found, failure, "/networks/%s", name);
    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return result;
    /* The engine accepts the beginning of an ID, too, so the network that it found may be another one. */
    if (strcmp(object_text(found, "Name"), name) != 0 &&
        strcmp(object_text(found, "Id"), name) != 0)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "%s: engine %s has no network \"%s\"; create it before start", what,
                           engine_address(engine), name);
    *network = steal_pointer(&found);
    return BOTTLE_OK;
}

static bool has_subnet(json_object *network)
{
    json_object *subnets = object_member(object_member(network, "IPAM"), "Config");

    return json_object_is_type(subnets, json_type_array) && json_object_array_length(subnets) > 0;
}

enum bottle_result networks_find(struct engine *engine, const char *internal_network,
                                 const char *egress_network, json_object **internal,
                                 json_object **egress, struct failure *failure)
{
    enum bottle_result result =
        find_network(engine, "internal_network", internal_network, internal, failure);

    if (result == BOTTLE_OK)
        result = find_network(engine, "egress_network", egress_network, egress, failure);
    if (result != BOTTLE_OK)
        return result;
    if (!json_object_get_boolean(object_member(*internal, "Internal")))
        return failure_set(failure, BOTTLE_INVALID,
                           "internal_network: network \"%s\" is not internal, so it would be a way "
                           "out of the bottle; create it with --internal",
                           internal_network);
    if (!has_subnet(*internal))
        return failure_set(failure, BOTTLE_INVALID,
                           "internal_network: network \"%s\" has no subnet; create it with one",
                           internal_network);
    if (strcmp(object_text(*internal, "Id"), object_text(*egress, "Id")) == 0)
        return failure_set(failure, BOTTLE_INVALID,
                           "egress_network: \"%s\" is the internal network itself; give the one "
                           "that leads to the upstreams",
                           egress_network);
    return BOTTLE_OK;
}
