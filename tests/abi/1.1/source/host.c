/* SPDX-License-Identifier: MIT */
/*
 * gate_tool.c: the plugin's operations, one a command, for scripts.
 *
 *     gate_tool PLUGIN start BOTTLE SLUG STAGE_DIR INTERNAL EGRESS BACKEND OPTIONS [TAKEOVER]
 *     gate_tool PLUGIN stop|status TARGET
 *     gate_tool PLUGIN drain TARGET GRACE_MS
 *
 * Prints the target or the status, on standard error the messages, and with $VERBOSE the log.  The
 * exit status is the operation's result (enum bottle_result); 100: a wrong command line.
 *
 * It needs the C library only, and nothing in it that is newer than in Debian 12: abi/programs.sh keeps a
 * binary of it for each released version of the ABI.
 */
#include <bottle/host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define USAGE_STATUS 100

static void print_log(void *context, enum bottle_log_level level, const char *text)
{
    (void)context;
    if (getenv("VERBOSE"))
        fprintf(stderr, "log %d: %s\n", (int)level, text);
}

static const struct bottle_host host = {.struct_size = sizeof host, .log = print_log};

/*
 * The plan with a value for a member that is the empty string in it.  The text of a plan may be laid out in
 * any way.  NULL: there is no such member.
 */
static char *fill_in(const char *plan, const char *member, const char *value)
{
    char quoted[64], *filled_in = NULL;

    (void)snprintf(quoted, sizeof quoted, "\"%s\"", member);
    const char *found = strstr(plan, quoted);
    if (!found)
        return NULL;
    found += strlen(quoted);
    found += strspn(found, " \t\r\n:");
    if (strncmp(found, "\"\"", 2) != 0 ||
        asprintf(&filled_in, "%.*s\"%s\"%s", (int)(found - plan), plan, value, found + 2) < 0)
        return NULL;
    return filled_in;
}

/* takeover: NULL: none */
static enum bottle_result start(const struct bottle_plugin *plugin, char **words,
                                const char *takeover, char **target, char **message)
{
    char *plan = NULL;
    enum bottle_result result =
        bottle_plugin_prepare(plugin, &host, words[0], words[1], words[2], &plan, message);

    if (result != BOTTLE_OK)
        return result;
    char *half = fill_in(plan, "internal_network", words[3]);
    char *whole = half ? fill_in(half, "egress_network", words[4]) : NULL;
    if (whole)
        result = bottle_plugin_start(plugin, &host, whole, words[5], words[6], takeover, target,
                                     message);
    else
        result = BOTTLE_INTERNAL; /* a plan without networks that are to be filled in */
    free(plan);
    free(half);
    free(whole);
    return result;
}

static enum bottle_result run(const struct bottle_plugin *plugin, int count, char **words,
                              char **output, char **message)
{
    if ((count == 8 || count == 9) && strcmp(words[0], "start") == 0)
        return start(plugin, words + 1, count == 9 ? words[8] : NULL, output, message);
    if (count == 2 && strcmp(words[0], "stop") == 0)
        return bottle_plugin_stop(plugin, &host, words[1], message);
    if (count == 2 && strcmp(words[0], "status") == 0)
        return bottle_plugin_status(plugin, &host, words[1], output, message);
    if (count == 3 && strcmp(words[0], "drain") == 0)
        return bottle_plugin_drain(plugin, &host, words[1], atoll(words[2]), message);
    exit(USAGE_STATUS);
}

int main(int argc, char **argv)
{
    struct bottle_plugin *plugin = NULL;
    char *output = NULL, *message = NULL;
    enum bottle_result result =
        argc < 3 ? BOTTLE_INVALID : bottle_plugin_load(argv[1], &plugin, &message);

    if (result == BOTTLE_OK)
        result = run(plugin, argc - 2, argv + 2, &output, &message);
    if (output)
        puts(output);
    if (result != BOTTLE_OK)
        fprintf(stderr, "%s: %s\n", bottle_result_name(result), message ? message : "no message");
    free(output);
    free(message);
    bottle_plugin_unload(plugin);
    return (int)result;
}
