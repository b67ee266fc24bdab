/* SPDX-License-Identifier: MIT */
/*
 * manifest.c: reads the entries of a bottle.
 *
 * Each entry of bottle.ssh becomes one upstream.  The gate listens on the upstream's own port,
 * because a URL such as ssh://git@host:30009/repo.git overrides the Port of ssh_config, and then the
 * client connects to the port in the URL.  So two entries cannot have the same port.
 *
 * For each key, null and "" mean the same as an absent key.  Any other invalid value is an error,
 * whose message has the entry's index and alias, the key, the value as JSON text, and what is allowed.
 */
#include "bottle/plan.h"

#include "common/cleanup.h"
#include "common/sidecar/bottle_object.h"
#include "common/text/json_reader.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <stdio.h>
#include <string.h>

#define SSH_PORT 22

static const char *const entry_keys[] = {
    "Host", "Hostname", "User", "Port", "IdentityFile", "KnownHostKey", NULL,
};

/* text: out: the key's value, valid as long as the entry's object; NULL: absent, null or "" */
static enum bottle_result read_text(const struct json_reader *entry, const char *key,
                                    const char **text)
{
    json_object *value = json_object_object_get(entry->object, key);

    *text = NULL;
    if (!value)
        return BOTTLE_OK;
    if (!json_object_is_type(value, json_type_string))
        return json_refuse(entry, key, "must be a string");
    if (json_object_get_string_len(value) > 0)
        *text = json_object_get_string(value);
    return BOTTLE_OK;
}

static enum bottle_result read_alias(const struct json_reader *entry, struct upstream *upstream)
{
    const char *text;
    enum bottle_result result = read_text(entry, "Host", &text);

    if (result != BOTTLE_OK)
        return result;
    if (!text)
        return failure_set(entry->failure, BOTTLE_INVALID,
                           "%s: Host is missing: give the name by which the agent calls the host",
                           entry->where);
    if (!grammar_alias(text))
        return json_refuse(
            entry, "Host",
            "must be one name of letters, digits, '.', '_' and '-' that begins with a "
            "letter, digit or '_', or an IP address; 253 characters at most");
    (void)snprintf(upstream->alias, sizeof upstream->alias, "%s", text);
    return BOTTLE_OK;
}

/* Copies a host name in lower case, and an IPv6 address without brackets.  False: it is neither. */
static bool copy_host(char host[HOST_SIZE], const char *text)
{
    size_t length = strnlen(text, HOST_SIZE + 2);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';

    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= HOST_SIZE)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    make_lower_case(host);
    return grammar_hostname(host) && (!bracketed || strchr(host, ':'));
}

static enum bottle_result read_hostname(const struct json_reader *entry, struct upstream *upstream)
{
    const char *text;
    enum bottle_result result = read_text(entry, "Hostname", &text);

    if (result != BOTTLE_OK)
        return result;
    if (copy_host(upstream->host, text ? text : upstream->alias))
        return BOTTLE_OK;
    if (!text)
        return json_refuse(
            entry, "Host",
            "stands for the missing Hostname, but is no DNS name and no IP address: give "
            "a Hostname");
    return json_refuse(entry, "Hostname",
                       "must be a DNS name (letters, digits, '-', '_'; no dot at the end; the last "
                       "label no number; 253 characters at most), or an IPv4 or IPv6 address");
}

/* Parses a decimal number of at most 5 digits, without sign, space or leading zero; 0: it is none. */
static int64_t port_of_text(const char *text)
{
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > 5 || text[length] != '\0' || text[0] == '0')
        return 0;
    return strtoll(text, NULL, 10);
}

static enum bottle_result read_port(const struct json_reader *entry, struct upstream *upstream)
{
    json_object *value = json_object_object_get(entry->object, "Port");
    bool is_text = json_object_is_type(value, json_type_string);
    char fault[JSON_FAULT_SIZE];
    char reason[JSON_FAULT_SIZE + sizeof ", or be left out for 22"];
    int64_t port = SSH_PORT;

    if (is_text && json_object_get_string_len(value) > 0)
        port = port_of_text(json_object_get_string(value));
    else if (value && !is_text)
        port = json_integer_fault(value, 1, UINT16_MAX, fault) ? 0 : json_object_get_int64(value);
    if (port < 1 || port > UINT16_MAX) {
        if (is_text)
            (void)snprintf(fault, sizeof fault,
                           "must be a whole number from 1 to 65535, in digits alone");
        (void)snprintf(reason, sizeof reason, "%s, or be left out for 22", fault);
        return json_refuse(entry, "Port", reason);
    }
    upstream->listen_port = (uint16_t)port;
    upstream->port = (uint16_t)port;
    return BOTTLE_OK;
}

static enum bottle_result read_user(const struct json_reader *entry, struct upstream *upstream)
{
    const char *text;
    enum bottle_result result = read_text(entry, "User", &text);

    if (result != BOTTLE_OK || !text)
        return result;
    if (!grammar_user(text))
        return json_refuse(
            entry, "User",
            "must be 1 to 64 of letters, digits, '.', '_', '@', '+' and '-', and begin "
            "with a letter, digit or '_'");
    (void)snprintf(upstream->user, sizeof upstream->user, "%s", text);
    return BOTTLE_OK;
}

static enum bottle_result read_identity_file(const struct json_reader *entry,
                                             struct upstream *upstream)
{
    const char *text;
    enum bottle_result result = read_text(entry, "IdentityFile", &text);

    if (result != BOTTLE_OK || !text)
        return result;
    if (!grammar_path(text))
        return json_refuse(
            entry, "IdentityFile",
            "must be a path of fewer than 4096 bytes without quotes, \\, $, %, `, # and "
            "control characters, without \"..\", that does not begin with '-'");
    upstream->identity_file = strdup(text);
    return upstream->identity_file ? BOTTLE_OK : json_out_of_memory(entry);
}

/* "TYPE BASE64" of "TYPE BASE64 COMMENT"; malloc'ed; NULL: out of memory. */
static char *without_comment(const char *key)
{
    size_t length = strcspn(key, " ");

    if (key[length] == ' ')
        length += 1 + strcspn(key + length + 1, " ");
    return strndup(key, length);
}

static enum bottle_result read_host_key(const struct json_reader *entry, struct upstream *upstream)
{
    const char *text;
    enum bottle_result result = read_text(entry, "KnownHostKey", &text);

    if (result != BOTTLE_OK || !text)
        return result;
    CLEANUP_FREE char *key = without_comment(text);
    if (!key)
        return json_out_of_memory(entry);
    if (!text_is_printable(text, strlen(text)) || !grammar_host_key(key))
        return json_refuse(entry, "KnownHostKey",
                           "must be a whole public key, \"TYPE BASE64\", as in a file "
                           "ssh_host_TYPE_key.pub or after the host in what ssh-keyscan prints");
    upstream->known_host_key = steal_pointer(&key);
    return BOTTLE_OK;
}

static enum bottle_result read_entry(const struct json_reader *entry, struct upstream *upstream)
{
    enum bottle_result result =
        json_check_keys(entry->object, entry->where, entry_keys, entry->failure);

    if (result == BOTTLE_OK)
        result = read_alias(entry, upstream);
    if (result == BOTTLE_OK)
        result = read_hostname(entry, upstream);
    if (result == BOTTLE_OK)
        result = read_port(entry, upstream);
    if (result == BOTTLE_OK)
        result = read_user(entry, upstream);
    if (result == BOTTLE_OK)
        result = read_identity_file(entry, upstream);
    if (result == BOTTLE_OK)
        result = read_host_key(entry, upstream);
    return result;
}

static enum bottle_result check_port_is_free(const struct plan *plan, size_t index,
                                             struct failure *failure)
{
    const struct upstream *upstream = &plan->upstreams[index];

    for (size_t i = 0; i < index; i++) {
        const struct upstream *other = &plan->upstreams[i];
        if (other->port == upstream->port)
            return failure_set(failure, BOTTLE_INVALID,
                               "bottle.ssh[%zu] \"%s\" and bottle.ssh[%zu] \"%s\": both have Port "
                               "%u, and the gate listens on each upstream's own port: give each "
                               "entry a Port of its own",
                               i, EXCERPT(other->alias), index, EXCERPT(upstream->alias),
                               upstream->port);
    }
    return BOTTLE_OK;
}

static void describe_entry(json_object *object, size_t index, char *where, size_t size)
{
    json_object *host = NULL;

    if (json_object_is_type(object, json_type_object) &&
        json_object_object_get_ex(object, "Host", &host) &&
        json_object_is_type(host, json_type_string) && json_object_get_string_len(host) > 0)
        (void)snprintf(where, size, "bottle.ssh[%zu] \"%s\"", index,
                       EXCERPT(json_object_get_string(host)));
    else
        (void)snprintf(where, size, "bottle.ssh[%zu]", index);
}

static enum bottle_result read_item(json_object *item, struct plan *plan, size_t index,
                                    struct failure *failure)
{
    char where[64 + sizeof(struct excerpt)];
    enum bottle_result result;

    describe_entry(item, index, where, sizeof where);
    if (!json_object_is_type(item, json_type_object))
        return failure_set(failure, BOTTLE_INVALID,
                           "%s is %s: an entry must be an object such as {\"Host\": \"gitea\"}",
                           where, EXCERPT(json_shown(item)));
    const struct json_reader entry = {item, where, failure};
    result = read_entry(&entry, &plan->upstreams[index]);
    return result == BOTTLE_OK ? check_port_is_free(plan, index, failure) : result;
}

static enum bottle_result read_entries(json_object *bottle, struct plan *plan,
                                       struct failure *failure)
{
    json_object *entries = json_object_object_get(bottle, "ssh");
    enum bottle_result result = BOTTLE_OK;
    size_t count;

    if (!entries)
        return BOTTLE_OK;
    if (!json_object_is_type(entries, json_type_array))
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle.ssh is %s: it must be an array of entries",
                           EXCERPT(json_shown(entries)));
    count = json_object_array_length(entries);
    if (count > PLAN_MAX_UPSTREAMS)
        return failure_set(failure, BOTTLE_INVALID,
                           "bottle.ssh has %zu entries: at most %d are possible", count,
                           PLAN_MAX_UPSTREAMS);
    if (count == 0)
        return BOTTLE_OK;
    plan->upstreams = calloc(count, sizeof *plan->upstreams);
    if (!plan->upstreams)
        return failure_set(failure, BOTTLE_INTERNAL, "bottle.ssh: out of memory");
    plan->upstream_count = count;
    for (size_t i = 0; i < count && result == BOTTLE_OK; i++)
        result = read_item(json_object_array_get_idx(entries, i), plan, i, failure);
    return result;
}

static bool looks_like_entries(json_object *value)
{
    return json_object_is_type(value, json_type_array) && json_object_array_length(value) > 0 &&
           json_object_is_type(json_object_array_get_idx(value, 0), json_type_object);
}

/* Unknown keys belong to other sidecars, except that entries under "SSH", say, are a misspelt "ssh". */
static enum bottle_result check_spelling(json_object *bottle, struct failure *failure)
{
    struct json_object_iterator member = json_object_iter_begin(bottle);
    struct json_object_iterator end = json_object_iter_end(bottle);

    for (; !json_object_iter_equal(&member, &end); json_object_iter_next(&member)) {
        const char *key = json_object_iter_peek_name(&member);
        if (strcasecmp(key, "ssh") == 0 && strcmp(key, "ssh") != 0 &&
            looks_like_entries(json_object_iter_peek_value(&member)))
            return failure_set(failure, BOTTLE_INVALID,
                               "bottle: unknown key \"%s\": did you mean \"ssh\"?", key);
    }
    return BOTTLE_OK;
}

enum bottle_result plan_from_bottle(const char *bottle, struct plan *plan, struct failure *failure)
{
    CLEANUP_JSON json_object *object = NULL;
    enum bottle_result result = bottle_object_parse(bottle, &object, failure);

    if (result == BOTTLE_OK)
        result = check_spelling(object, failure);
    if (result == BOTTLE_OK)
        result = read_entries(object, plan, failure);
    if (result != BOTTLE_OK)
        plan_clear(plan);
    return result;
}
