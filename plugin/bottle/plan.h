/* SPDX-License-Identifier: MIT */
/*
 * plan.h: the plan, and the upstreams in it.
 *
 * A plan is handed from prepare to the launcher and on to start as JSON text; within the plugin it is
 * this struct.  Every value has a grammar, which is checked when the manifest is read and again when
 * the launcher hands the plan to start.  So the values in a struct plan can be written unquoted into a
 * script, a configuration file or a name.
 *
 *     {"version": 1, "sidecar": "ssh_gate", "slug": "web",
 *      "stage_dir": "/run/user/1000/…",
 *      "entrypoint_script": "/run/user/1000/…/ssh_gate_entrypoint.sh",
 *      "ssh_config": "…/ssh_config", "known_hosts": "…/known_hosts",
 *      "event_log": "…/ssh_gate_events.jsonl",
 *      "upstreams": [{"bottle_host_alias": "gitea", "listen_port": 30009,
 *                     "upstream_host": "gitea.example", "upstream_port": 30009,
 *                     "user": "git", "identity_file": "~/.ssh/id_ed25519",
 *                     "known_host_key": "ssh-ed25519 AAAA…"}],
 *      "internal_network": "", "egress_network": ""}
 *
 * user, identity_file and known_host_key are absent if the entry does not have them.
 */
#ifndef SSH_GATE_PLAN_H
#define SSH_GATE_PLAN_H

#include "common/sidecar/plan_members.h"
#include "common/text/failure.h"
#include "common/text/grammar.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_VERSION       1
#define PLAN_MAX_UPSTREAMS 128
#define PLAN_USER_SIZE     65
#define PLAN_HOST_KEY_SIZE 4096

#define SIDECAR_NAME     "ssh_gate"
#define ENTRYPOINT_FILE  "ssh_gate_entrypoint.sh"
#define SSH_CONFIG_FILE  "ssh_config"
#define KNOWN_HOSTS_FILE "known_hosts"
#define EVENT_LOG_FILE   "ssh_gate_events.jsonl"

struct upstream {
    char alias[HOST_SIZE]; /* Host: bottle_host_alias in JSON */
    char host[HOST_SIZE];  /* Hostname: a DNS name in lower case, or an IP address without
                                   brackets */
    uint16_t listen_port;
    uint16_t port;
    char user[PLAN_USER_SIZE]; /* "": the entry has none */
    char *identity_file;       /* malloc'ed; NULL: the entry has none */
    char *known_host_key;      /* "TYPE BASE64"; malloc'ed; NULL: the entry has none */
};

struct plan {
    char slug[SLUG_SIZE];
    char *stage_dir; /* absolute */
    size_t upstream_count;
    struct upstream *upstreams;
    char *internal_network; /* "" until the launcher fills it in */
    char *egress_network;
};

/* Frees the plan's members and zeroes it.  The plan may be zeroed already. */
void plan_clear(struct plan *plan);
#define CLEANUP_PLAN __attribute__((cleanup(plan_clear)))

/* The plan as JSON text; malloc'ed; NULL: out of memory. */
char *plan_to_json(const struct plan *plan);

/* Reads a plan from JSON text and checks every value.  plan: out: zeroed by the caller, and on failure. */
enum bottle_result plan_from_json(const char *text, struct plan *plan, struct failure *failure);

/*
 * Reads the upstreams from a bottle, a JSON object (manifest.c).
 * @plan: out: zeroed by the caller, and on failure; only the upstreams are set
 */
enum bottle_result plan_from_bottle(const char *bottle, struct plan *plan, struct failure *failure);

/*
 * The grammars of an entry's values (grammar.c), in addition to those of common/text/grammar.h.  Each is true if the
 * whole text matches; none matches "".
 */
/* A hostname, or [A-Za-z0-9_][A-Za-z0-9._-]* without a dot at the end. */
bool grammar_alias(const char *text);
/* [A-Za-z0-9_][A-Za-z0-9._@+-]{0,63} */
bool grammar_user(const char *text);
/* IdentityFile: no quote, '\\', '$', '%', '`', '#', control character, leading '-' or ".." component. */
bool grammar_path(const char *text);
/* "TYPE BASE64", where the decoded key begins with TYPE (RFC 4253 §6.6). */
bool grammar_host_key(const char *text);

/* The contents of the files (agent_files.c); each malloc'ed, NULL: out of memory. */

/* One socat for each upstream, for a gate that runs in an image with sh and socat. */
char *render_entrypoint(const struct plan *plan);

/*
 * @gate_address: where the agent reaches the gate.  NULL: not known before start; without HostName ssh connects
 *                to the real host, which it cannot reach from a bottle
 */
char *render_ssh_config(const struct plan *plan, const char *gate_address);
char *render_known_hosts(const struct plan *plan);

#endif
