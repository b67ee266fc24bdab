/* SPDX-License-Identifier: MIT */
/*
 * record.c: the record of a run, and the status that is made of it.
 */
#include "record.h"

#include "common/cleanup.h"
#include "common/text/json_object.h"

#include <stdio.h>
#include <string.h>

json_object *make_record(const struct pipelock_plan *plan, const char *instance,
                         const char *address)
{
    CLEANUP_JSON json_object *record = json_object_new_object();

    return object_add_text(record, "instance", instance) &&
                   object_add_text(record, "address", address) &&
                   object_add(record, "upstreams", json_object_get(plan->upstreams))
               ? steal_pointer(&record)
               : NULL;
}

enum bottle_result make_status(const char *backend, const char *slug, json_object *record,
                               int64_t uptime_ms, json_object **status, struct failure *failure)
{
    const char *address = object_text(record, "address");
    char proxy[320];
    CLEANUP_FREE char *target = NULL;
    CLEANUP_JSON json_object *object = json_object_new_object();
    enum bottle_result result =
        target_text(backend, slug, object_text(record, "instance"), &target, failure);

    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(proxy, sizeof proxy,
                   strchr(address, ':') ? "http://[%.255s]:%d" : "http://%.255s:%d", address,
                   PROXY_PORT);
    if (!object_add_text(object, "slug", slug) || !object_add_text(object, "target", target) ||
        !object_add_text(object, "state", "serving") ||
        !object_add_text(object, "address", address) || !object_add_text(object, "proxy", proxy) ||
        !object_add(object, "uptime_ms", json_object_new_int64(uptime_ms)) ||
        !object_add(object, "upstreams", json_object_get(object_member(record, "upstreams"))))
        return failure_set(failure, BOTTLE_INTERNAL, "out of memory");
    *status = steal_pointer(&object);
    return BOTTLE_OK;
}
