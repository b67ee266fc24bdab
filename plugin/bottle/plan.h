/* SPDX-License-Identifier: MIT */
/*
 * plan.h: the plan, and the upstreams in it.
 *
 * The plan is JSON between prepare, the launcher, start and the relay; inside, it is this struct.
 * There is one grammar for every value, checked when the manifest is read and again when a plan
 * comes back from the launcher: what is in a struct plan may go into a script, a configuration file
 * or a name as it is.
 *
 *     {"version": 1, "sidecar": "ssh_gate", "slug": "web",
 *      "stage_dir": "/run/user/1000/…",
 *      "entrypoint_script": "/run/user/1000/…/ssh_gate_entrypoint.sh",
 *      "ssh_config": "…/ssh_config", "known_hosts": "…/known_hosts", "event_log":
 * "…/ssh_gate_events.jsonl", "upstreams": [{"bottle_host_alias": "gitea", "listen_port": 30009,
 *                     "upstream_host": "gitea.example", "upstream_port": 30009,
 *                     "user": "git", "identity_file": "~/.ssh/id_ed25519",
 *                     "known_host_key": "ssh-ed25519 AAAA…"}],
 *      "internal_network": "", "egress_network": ""}
 *
 * user, identity_file and known_host_key are left out where the entry has none.
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
    char user[PLAN_USER_SIZE]; /* "" where the entry has none, as the two below */
    char *identity_file;       /* NULL where the entry has none; malloc'ed */
    char *known_host_key;      /* "TYPE BASE64"; NULL where the entry has none; malloc'ed */
};

struct plan {
    char slug[SLUG_SIZE];
    char *stage_dir; /* absolute */
    size_t upstream_count;
    struct upstream *upstreams;
    char *internal_network; /* "" until the launcher fills it in */
    char *egress_network;
};

/* Frees what the plan holds and zeroes it.  A zeroed plan is a valid argument. */
void plan_clear(struct plan *plan);
#define CLEANUP_PLAN __attribute__((cleanup(plan_clear)))

/* The plan as JSON text; malloc'ed; NULL when memory ran out. */
char *plan_to_json(const struct plan *plan);

/* The plan from JSON text, every value checked again.  *plan must be zeroed; cleared on failure. */
enum bottle_result plan_from_json(const char *text, struct plan *plan, struct failure *failure);

/*
 * The upstream table of a bottle (manifest.c): the JSON object of one bottle becomes upstreams,
 * slug and stage_dir aside.  Messages name the entry by its place and alias, and the key.
 */
enum bottle_result plan_from_bottle(const char *bottle, struct plan *plan, struct failure *failure);

/* The grammars (grammar.c) beside those of common/text/grammar.h.  Each is true only for a whole, non-empty value. */
bool grammar_alias(
    const char *text); /* as a hostname, or [A-Za-z0-9_][A-Za-z0-9._-]* without a trailing dot */
bool grammar_user(const char *text); /* [A-Za-z0-9_][A-Za-z0-9._@+-]{0,63} */
bool grammar_path(const char *text); /* IdentityFile: no quote, '\\', '$', '%', '`', '#', control
                                        character, leading '-' or ".." component */
bool grammar_host_key(
    const char *text); /* "TYPE BASE64", and the blob begins with TYPE (RFC 4253 §6.6) */

/* What the agent's side needs, and the script (agent_files.c); each malloc'ed, NULL when memory ran
 * out. */

/* DESIGN "prepare": one socat a line, for a gate that is run from an image with sh and socat. */
char *render_entrypoint(const struct plan *plan);

/*
 * @gate_address: where the agent reaches the gate; NULL before start, which leaves HostName out:
 * ssh then goes to the real name, which a bottle cannot reach.
 */
char *render_ssh_config(const struct plan *plan, const char *gate_address);
char *render_known_hosts(const struct plan *plan);

#endif
