/* SPDX-License-Identifier: MIT */
/*
 * agent_files.c: the contents of the agent's files: ssh_config and known_hosts; and the entrypoint
 * script.
 *
 * All values come from a struct plan and match their grammars, so they are written without quotes.
 * (IdentityFile may contain spaces, so it is quoted; it cannot contain quotes.)
 *
 * ssh_config has one Host block for each entry, in the manifest's order, which matches the alias
 * and the real host name.  OpenSSH takes the first value that it finds for each option.  So if
 * several entries have the same Hostname and different ports, `ssh HOSTNAME` gets the Port and User
 * of the first of them, each alias gets its own, and a port in a URL or after -p overrides them all.
 *
 * HostKeyAlias makes OpenSSH look up the host key under the real host name, without a port,
 * although it connects to the gate.  So known_hosts lists every key under the plain host name: if
 * several entries have the same Hostname, the key of each is accepted on all of its ports.  The other
 * names in known_hosts are for clients that do not read ssh_config and reach the gate by the alias
 * or the host name: they look up [NAME]:PORT, or NAME for port 22.
 */
#include "bottle/plan.h"

#include "common/text/text.h"

#include <stdio.h>
#include <string.h>

#define SSH_PORT 22 /* for it, known_hosts has NAME instead of [NAME]:PORT */

char *render_entrypoint(const struct plan *plan)
{
    struct text text;

    if (!text_open(&text))
        return NULL;
    (void)fputs("#!/bin/sh\nset -eu\n", text.stream);
    for (size_t i = 0; i < plan->upstream_count; i++) {
        const struct upstream *upstream = &plan->upstreams[i];
        bool is_ipv6 = strchr(upstream->host, ':');
        (void)fprintf(text.stream, "socat TCP-LISTEN:%u,reuseaddr,fork TCP:%s%s%s:%u &\n",
                      upstream->listen_port, is_ipv6 ? "[" : "", upstream->host, is_ipv6 ? "]" : "",
                      upstream->port);
    }
    (void)fputs("wait\n", text.stream);
    return text_close(&text);
}

static void write_host_block(FILE *stream, const struct upstream *upstream,
                             const char *gate_address)
{
    (void)fprintf(stream, "\nHost %s", upstream->alias);
    if (strcmp(upstream->alias, upstream->host) != 0)
        (void)fprintf(stream, " %s", upstream->host);
    if (gate_address)
        (void)fprintf(stream, "\n    HostName %s\n", gate_address);
    else
        (void)fputs("\n    # HostName: added at start, when the gate's address is known\n", stream);
    (void)fprintf(stream, "    Port %u\n", upstream->listen_port);
    if (upstream->user[0] != '\0')
        (void)fprintf(stream, "    User %s\n", upstream->user);
    if (upstream->identity_file)
        (void)fprintf(stream, "    IdentityFile \"%s\"\n", upstream->identity_file);
    (void)fprintf(stream, "    HostKeyAlias %s\n", upstream->host);
    if (upstream->known_host_key)
        (void)fputs("    StrictHostKeyChecking yes\n", stream);
}

char *render_ssh_config(const struct plan *plan, const char *gate_address)
{
    struct text text;

    if (!text_open(&text))
        return NULL;
    (void)fprintf(
        text.stream,
        "# OpenSSH client configuration of the bottle %s: its SSH goes through the gate.\n"
        "# HostKeyAlias makes ssh check the key of the real host, not of the gate.\n",
        plan->slug);
    for (size_t i = 0; i < plan->upstream_count; i++)
        write_host_block(text.stream, &plan->upstreams[i], gate_address);
    return text_close(&text);
}

char *render_known_hosts(const struct plan *plan)
{
    struct text text;

    if (!text_open(&text))
        return NULL;
    for (size_t i = 0; i < plan->upstream_count; i++) {
        const struct upstream *upstream = &plan->upstreams[i];
        bool two_names = strcmp(upstream->alias, upstream->host) != 0;
        if (!upstream->known_host_key)
            continue;
        (void)fprintf(text.stream, "%s%s%s", upstream->alias, two_names ? "," : "",
                      two_names ? upstream->host : "");
        if (upstream->port != SSH_PORT)
            (void)fprintf(text.stream, ",[%s]:%u", upstream->host, upstream->port);
        if (upstream->port != SSH_PORT && two_names)
            (void)fprintf(text.stream, ",[%s]:%u", upstream->alias, upstream->port);
        (void)fprintf(text.stream, " %s\n", upstream->known_host_key);
    }
    return text_close(&text);
}
