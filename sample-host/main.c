/* SPDX-License-Identifier: MIT */
/*
 * main.c: sample-host, a small launcher of sidecars: the commands, their help, and the way to them.
 *
 * What belongs in sample-host/: a real launcher, small enough to read in one sitting, and the sidecar pipelock.
 * What gates SSH is in plugin/, what any launcher needs to call a plugin in host-api/.
 *
 * Read on in commands.c, where `up` shows what every launcher does, then in sidecar.c, where the operations
 * of a plugin are called.  The other files, from the top down:
 *
 *     options.c                       the command line becomes a request
 *     commands.c, status.c, run.c     the commands; prometheus.c: an output of status; inside.c, step.c: the
 *                                     other process of run; orphans.c: down --orphans
 *     slugs.c                         claims a slug, and visits the bottles that are up
 *     manifest.c, plugins.c           the bottle that is asked for, and the plugins that serve it
 *     bottle.c, swap.c, sidecar.c     a bottle's sidecars, a sidecar's move, one sidecar
 *     networks.c, owned.c             a slug's networks, and what else a user has in an engine
 *     state.c, directory.c            state.json, and the directories it is in
 *     describe.c, members.c, path.c, text_file.c, fail.c, print.c
 *                                     JSON, files, errors and text, for all of them
 *
 * Options may stand before and after COMMAND.  What follows "--" is the command of `run`, and is not read
 * here.
 */
#include "commands.h"
#include "exit_status.h"
#include "fail.h"
#include "options.h"
#include "request.h"
#include "run.h"
#include "status.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EVERY_COMMAND                                                                              \
    (OPTION_BIT(OPTION_PLUGIN) | OPTION_BIT(OPTION_MANIFEST) | OPTION_BIT(OPTION_HELP))

static const char COMMON_HELP[] =
    "Every command takes, before or after its name:\n"
    "  --plugin FILE       a plugin: a path, or a name that is looked for in\n"
    "                      $BOTTLE_SIDECAR_PATH and where sidecars are installed; may be\n"
    "                      repeated; default: the ssh_gate, and the pipelock if it is there,\n"
    "                      that came with this program\n"
    "  --manifest FILE     what plan, up, swap and run read; default: claude-bottle.json\n"
    "  --help              print this text; with COMMAND: the help of that command\n";

#define SLUG_HELP                                                                                  \
    "  --slug S            the short name of this run, [a-z0-9][a-z0-9-]{0,39}; default: BOTTLE\n"
#define START_OPTIONS_HELP                                                                         \
    "  --options SIDECAR=JSON\n"                                                                   \
    "                      start options for a sidecar, passed on unchanged, such as\n"            \
    "                      'ssh_gate={\"dial_timeout_ms\": 10000, \"resolve_timeout_ms\": 5000,\n" \
    "                      \"dns_servers\": [\"127.0.0.1:53\"]}'\n"

static const struct command {
    const char *name;
    const char *usage;
    const char *summary;
    const char *help;
    unsigned takes; /* a set of options, besides those of every command */
    bool bottle;    /* takes BOTTLE */
    bool optional;  /* BOTTLE may be left out */
    int (*function)(const struct request *request);
} COMMANDS[] = {
    {"plugins", "plugins", "list the plugins: name, version, ABI, backends, path", "", 0, false,
     false, command_plugins},
    {"plan", "plan BOTTLE [OPTION]…", "prepare only, and print the plans as JSON",
     SLUG_HELP "\nThe files that the plans name are in a temporary directory, which is removed.\n",
     OPTION_BIT(OPTION_SLUG), true, false, command_plan},
    {"up", "up BOTTLE [--internal-network N] [OPTION]…", "start the bottle's sidecars",
     "  --internal-network N\n"
     "                      where the bottle reaches the sidecars.  Backend native: an IP\n"
     "                      address of this machine or the path of a network namespace.\n"
     "                      Backend docker: the name of a network; default:\n"
     "                      claude-bottle-net-SLUG, made if it is missing\n"
     "  --egress-network N  where the sidecars dial from.  Backend native: \"host\", the\n"
     "                      default, or the path of a network namespace.  Backend docker: the\n"
     "                      name of a network; default: claude-bottle-egress-SLUG, made if it\n"
     "                      is missing.  down removes what up made\n"
     "  --backend B         default: each sidecar's first\n" SLUG_HELP START_OPTIONS_HELP,
     OPTION_BIT(OPTION_SLUG) | OPTION_BIT(OPTION_BACKEND) | OPTION_BIT(OPTION_INTERNAL_NETWORK) |
         OPTION_BIT(OPTION_EGRESS_NETWORK) | OPTION_BIT(OPTION_OPTIONS),
     true, false, command_up},
    {"status", "status [BOTTLE] [OPTION]…", "show what runs",
     "  --json              as JSON, with everything that the sidecars report\n"
     "  --prometheus        the gates only, in Prometheus' text format\n"
     "  --watch             repeat every two seconds, until Ctrl-C\n"
     "\nThere is a line for each sidecar, and one for each of its upstreams.  OPEN counts the\n"
     "connections that are open, TOTAL all so far, REFUSED those that got no upstream.  UP is\n"
     "what left the bottle, DOWN what entered it.  Half of the dials took no longer than DIAL\n"
     "P50, and 99 of 100 no longer than DIAL P99.  Colours are used on terminals, unless\n"
     "$NO_COLOR is set.  The exit status is 3 if BOTTLE is not up or a sidecar that was\n"
     "started does not run.\n",
     OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_PROMETHEUS) | OPTION_BIT(OPTION_WATCH), true, true,
     command_status},
    {"swap", "swap BOTTLE [--plugin FILE] [OPTION]…",
     "move the running sidecars to another build or backend; no connection is lost",
     "  --plugin FILE       the build to move its sidecar to; default: move every sidecar that\n"
     "                      can be swapped to the present content of its plugin's file\n"
     "  --backend B, --internal-network N, --egress-network N, --options SIDECAR=JSON\n"
     "                      as for up; default: what the sidecar has now, if it stays in its\n"
     "                      backend\n"
     "  --grace SECONDS     close the connections of the old sidecar after that time; default:\n"
     "                      it ends when its last connection does\n"
     "  --slug S            only this run; default: every run of BOTTLE\n"
     "\nThe manifest is read again.  Connections that are open stay with the old sidecar; new\n"
     "ones go to the new one, at the address that is printed.  If the new one cannot start,\n"
     "the old one continues.  The exit status is 3 if BOTTLE is not up.\n",
     OPTION_BIT(OPTION_SLUG) | OPTION_BIT(OPTION_BACKEND) | OPTION_BIT(OPTION_INTERNAL_NETWORK) |
         OPTION_BIT(OPTION_EGRESS_NETWORK) | OPTION_BIT(OPTION_OPTIONS) | OPTION_BIT(OPTION_GRACE),
     true, false, command_swap},
    {"down", "down BOTTLE|--orphans [OPTION]…", "stop the bottle's sidecars",
     "  --slug S            only this run; default: every run of BOTTLE\n"
     "  --orphans           instead of BOTTLE: remove the containers and networks that this\n"
     "                      user's sample-host left in the engine, of slugs that \"status\"\n"
     "                      does not list\n"
     "\nIt is not an error if the bottle is not up.\n",
     OPTION_BIT(OPTION_SLUG) | OPTION_BIT(OPTION_ORPHANS), true, true, command_down},
    {"run", "run BOTTLE [OPTION]… -- COMMAND [ARGUMENT]…",
     "run a command that reaches the bottle's sidecars and nothing else",
     SLUG_HELP
     "  --events FILE       append the sidecars' events to FILE when COMMAND has "
     "ended\n" START_OPTIONS_HELP
     "\nCOMMAND runs in user, network and mount namespaces of its own, with nothing but\n"
     "loopback, where the sidecars listen; ssh, git and the upstreams' names lead there.  It\n"
     "has access to your files as usual: only its network is confined.  The sockets of other\n"
     "programs in /run are out of its reach; those elsewhere (/tmp, home) are not.  Root is\n"
     "not needed.  pipelock cannot serve there, and is left out.\n"
     "\nThe exit status is COMMAND's, 128 + N if signal N ended it, 125 if sample-host itself\n"
     "failed, 126 if COMMAND cannot be executed, 127 if there is no such COMMAND.\n",
     OPTION_BIT(OPTION_SLUG) | OPTION_BIT(OPTION_OPTIONS) | OPTION_BIT(OPTION_EVENTS), true, false,
     command_run},
};
#define USAGE_WIDTH       46
#define COMMAND_COUNT     (sizeof COMMANDS / sizeof COMMANDS[0])
#define COMMAND_LIST_SIZE 256

/* How many more bytes than characters text has: a width of printf(3) counts bytes. */
static int count_continuation_bytes(const char *text)
{
    int bytes = 0;

    for (; *text != '\0'; text++)
        bytes += ((unsigned char)*text & 0xc0) == 0x80;
    return bytes;
}

static int print_help(const struct command *command)
{
    if (command) {
        (void)printf("usage: sample-host %s\n\n  %s\n\n%s%s%s", command->usage, command->summary,
                     command->help, *command->help != '\0' ? "\n" : "", COMMON_HELP);
        return STATUS_OK;
    }
    (void)printf("usage: sample-host COMMAND\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)printf("  %-*s %s\n", USAGE_WIDTH + count_continuation_bytes(COMMANDS[i].usage),
                     COMMANDS[i].usage, COMMANDS[i].summary);
    (void)printf(
        "\n%s\nExit status: 0 done, 1 failed, 2 wrong usage, 3 not running (status, swap);\n"
        "run: see \"sample-host run --help\".\n",
        COMMON_HELP);
    return STATUS_OK;
}

/* Writes "a, b": the names of the commands.  Returns list. */
static const char *list_commands(char list[COMMAND_LIST_SIZE])
{
    size_t length = 0;

    for (size_t i = 0; i < COMMAND_COUNT && length < COMMAND_LIST_SIZE; i++)
        length += (size_t)snprintf(list + length, COMMAND_LIST_SIZE - length, "%s%s",
                                   i > 0 ? ", " : "", COMMANDS[i].name);
    return list;
}

/* The command of that name; NULL after an error that was reported. */
static const struct command *find_command(const char *name)
{
    char list[COMMAND_LIST_SIZE];

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    }
    (void)fail("unknown command \"%s\"; there are: %s (--help says more)", name,
               list_commands(list));
    return NULL;
}

static bool check_request(const struct command *command, const struct request *request)
{
    char list[OPTION_LIST_SIZE];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (request->value[i] && ((command->takes | EVERY_COMMAND) & OPTION_BIT(i)) == 0)
            return fail("%s does not take --%s; it takes: %s", command->name, option_name(i),
                        list_options(command->takes | EVERY_COMMAND, list));
    }
    if (command->bottle && !command->optional && !request->bottle)
        return fail("%s needs the name of a bottle: sample-host %s", command->name, command->usage);
    if (command->function == command_down &&
        (!request->bottle) == (!request->value[OPTION_ORPHANS]))
        return fail("down needs the name of a bottle, or --orphans: sample-host %s",
                    command->usage);
    if (request->value[OPTION_PROMETHEUS] &&
        (request->value[OPTION_JSON] || request->value[OPTION_WATCH]))
        return fail("--prometheus cannot be combined with --json or --watch: give only one");
    if (command->function == command_run && (!request->command || !*request->command))
        return fail("run needs a command: sample-host %s", command->usage);
    if (command->function != command_run && request->command)
        return fail("%s takes nothing after \"--\"", command->name);
    return true;
}

static int run_request(int argc, char **argv, struct request *request)
{
    char list[COMMAND_LIST_SIZE];

    if (!options_parse(argc, argv, request))
        return STATUS_USAGE;
    if (optind == argc && request->value[OPTION_HELP])
        return print_help(NULL);
    if (optind == argc) {
        (void)fail("no command given; there are: %s (--help says more)", list_commands(list));
        return STATUS_USAGE;
    }
    const struct command *command = find_command(argv[optind++]);
    if (!command)
        return STATUS_USAGE;
    if (request->value[OPTION_HELP])
        return print_help(command);
    if (command->bottle && optind < argc)
        request->bottle = argv[optind++];
    if (optind < argc) {
        (void)fail("\"%s\" is one argument too many: sample-host %s", argv[optind], command->usage);
        return STATUS_USAGE;
    }
    return check_request(command, request) ? command->function(request) : STATUS_USAGE;
}

/*
 * Opens /dev/null for those of the descriptors 0 to 2 that are closed, which the next file to be opened would
 * get.  The command of `run` needs them as well, so they are not closed on exec.
 */
static bool open_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return (fd >= 0 && close(fd) == 0) || fail("cannot open /dev/null: %s", strerror(errno));
}

int main(int argc, char **argv)
{
    CLEANUP_JSON json_object *start_options = json_object_new_object();
    struct request request = {.start_options = start_options, .grace_ms = -1};

    if (!open_standard_descriptors() || !start_options)
        return STATUS_FAILED;
    for (int i = 1; i < argc && !request.command; i++) {
        if (strcmp(argv[i], "--") == 0) {
            argv[i] = NULL;
            request.command = argv + i + 1;
            argc = i;
        }
    }
    int status = run_request(argc, argv, &request);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) &&
        !fail("cannot write to standard output: %s", strerror(errno)) && status == STATUS_OK)
        status = STATUS_FAILED;
    return status;
}
