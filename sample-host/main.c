/* SPDX-License-Identifier: MIT */
/*
 * main.c: sample-host, a launcher: the command line.
 *
 * Options may stand before and after COMMAND.  What follows "--" is the command of `run`, and is not
 * looked at here.
 */
#include "sample_host.h"

#include "common/cleanup.h"
#include "common/text/json_text.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- helpers ---- */

bool make_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
    return (len >= 0 && len < PATH_MAX) || fail("the path %.200s… is too long", path);
}

bool read_text_file(int dir_fd, const char *name, size_t max_bytes, bool optional, char **text)
{
    struct stat file;
    size_t len = 0;
    ssize_t count = 1;

    *text = NULL;
    /* O_NONBLOCK: opening a FIFO must not wait for a writer; it is refused. */
    CLEANUP_FD int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && optional)
        return true;
    if (fd < 0 || fstat(fd, &file) != 0)
        return fail("cannot open %s: %s", name, strerror(errno));
    if (!S_ISREG(file.st_mode))
        return fail("%s is no regular file", name);
    CLEANUP_FREE char *buffer = malloc(max_bytes + 2);
    if (buffer == NULL)
        return fail("%s: out of memory", name);
    for (; count > 0 && len <= max_bytes; len += (size_t)count) {
        count = read(fd, buffer + len, max_bytes + 1 - len);
        if (count < 0)
            return fail("cannot read %s: %s", name, strerror(errno));
    }
    if (len > max_bytes)
        return fail("%s is longer than %zu bytes, the most that is read", name, max_bytes);
    buffer[len] = '\0';
    if (strlen(buffer) < len)
        return fail("%s: byte %zu is NUL: it must be text", name, strlen(buffer));
    *text = steal_pointer(&buffer);
    return true;
}

const char *text_member(json_object *object, const char *key)
{
    json_object *value = json_object_object_get(object, key);

    return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

bool set_member(json_object *object, const char *key, json_object *value)
{
    if (object != NULL && value != NULL && json_object_object_add(object, key, value) == 0)
        return true;
    (void)json_object_put(value);
    return fail("out of memory");
}

static bool is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        uint32_t code_point;
        size_t length = utf8_decode(text, left, &code_point);
        if (length == 0)
            return false;
        text += length;
        left -= length;
    }
    return true;
}

bool set_text(json_object *object, const char *key, const char *text)
{
    if (text != NULL && !is_utf8(text)) /* JSON could not be read back */
        return fail("%s \"%s\" is no UTF-8: give another", key, text);
    return set_member(object, key, json_object_new_string(text));
}

/* ---- options and commands ---- */

#define BIT(option)   (1u << (option))
#define GRACE_MAX_S   604800 /* a week */
#define FIRST_VALUE   256    /* what getopt_long(3) returns for the first option: no character */
#define EVERY_COMMAND (BIT(OPTION_PLUGIN) | BIT(OPTION_MANIFEST) | BIT(OPTION_HELP))

static const struct option options[OPTION_COUNT + 1] = {
    [OPTION_PLUGIN] = {"plugin", required_argument, NULL, FIRST_VALUE + OPTION_PLUGIN},
    [OPTION_MANIFEST] = {"manifest", required_argument, NULL, FIRST_VALUE + OPTION_MANIFEST},
    [OPTION_SLUG] = {"slug", required_argument, NULL, FIRST_VALUE + OPTION_SLUG},
    [OPTION_BACKEND] = {"backend", required_argument, NULL, FIRST_VALUE + OPTION_BACKEND},
    [OPTION_INTERNAL_NETWORK] = {"internal-network", required_argument, NULL,
                                 FIRST_VALUE + OPTION_INTERNAL_NETWORK},
    [OPTION_EGRESS_NETWORK] = {"egress-network", required_argument, NULL,
                               FIRST_VALUE + OPTION_EGRESS_NETWORK},
    [OPTION_OPTIONS] = {"options", required_argument, NULL, FIRST_VALUE + OPTION_OPTIONS},
    [OPTION_EVENTS] = {"events", required_argument, NULL, FIRST_VALUE + OPTION_EVENTS},
    [OPTION_GRACE] = {"grace", required_argument, NULL, FIRST_VALUE + OPTION_GRACE},
    [OPTION_JSON] = {"json", no_argument, NULL, FIRST_VALUE + OPTION_JSON},
    [OPTION_PROMETHEUS] = {"prometheus", no_argument, NULL, FIRST_VALUE + OPTION_PROMETHEUS},
    [OPTION_WATCH] = {"watch", no_argument, NULL, FIRST_VALUE + OPTION_WATCH},
    [OPTION_ORPHANS] = {"orphans", no_argument, NULL, FIRST_VALUE + OPTION_ORPHANS},
    [OPTION_HELP] = {"help", no_argument, NULL, FIRST_VALUE + OPTION_HELP},
};

/* What an option takes; NULL: no value. */
static const char *const values[OPTION_COUNT] = {
    [OPTION_PLUGIN] = "FILE",
    [OPTION_MANIFEST] = "FILE",
    [OPTION_SLUG] = "S",
    [OPTION_BACKEND] = "B",
    [OPTION_INTERNAL_NETWORK] = "N",
    [OPTION_EGRESS_NETWORK] = "N",
    [OPTION_OPTIONS] = "SIDECAR=JSON",
    [OPTION_EVENTS] = "FILE",
    [OPTION_GRACE] = "SECONDS",
};

static const char option_help[] =
    "Every command takes, before and after its name:\n"
    "  --plugin FILE       a plugin: a path, or a name that is looked for in $BOTTLE_SIDECAR_PATH "
    "and\n"
    "                      where sidecars are installed; may be repeated; default: the ssh_gate, "
    "and\n"
    "                      the pipelock if it is there, that came with this program\n"
    "  --manifest FILE     what plan, up, swap and run read; default: claude-bottle.json\n"
    "  --help              this text; with COMMAND: more on that command\n";

#define SLUG_HELP                                                                                  \
    "  --slug S            the short name of this run, [a-z0-9][a-z0-9-]{0,39}; default: BOTTLE\n"
#define OPTIONS_HELP                                                                               \
    "  --options SIDECAR=JSON\n"                                                                   \
    "                      start options of a sidecar, handed on as they are, such as\n"           \
    "                      'ssh_gate={\"dial_timeout_ms\": 10000, \"resolve_timeout_ms\": 5000,\n" \
    "                      \"dns_servers\": [\"127.0.0.1:53\"]}'\n"

static const struct command {
    const char *name;
    const char *usage;
    const char *summary;
    const char *help;
    unsigned takes; /* bits of options, beside those of every command */
    bool bottle;    /* takes BOTTLE */
    bool optional;  /* BOTTLE may be left out */
    int (*function)(const struct request *request);
} commands[] = {
    {"plugins", "plugins", "what is loaded: name, version, ABI, backends, path", "", 0, false,
     false, command_plugins},
    {"plan", "plan BOTTLE [OPTION]…", "prepare only, and print the plans as JSON",
     SLUG_HELP
     "\nThe files that the plans name are in a temporary directory, which is removed again.\n",
     BIT(OPTION_SLUG), true, false, command_plan},
    {"up", "up BOTTLE [--internal-network N] [OPTION]…", "start the bottle's sidecars",
     "  --internal-network N\n"
     "                      where the bottle reaches them.  Backend native: an IP address of this "
     "machine\n"
     "                      or the path of a network namespace.  Backend docker: the name of a "
     "network;\n"
     "                      default: claude-bottle-net-SLUG, made if it is missing\n"
     "  --egress-network N  where they dial from.  Backend native: \"host\", the default, or the "
     "path of a\n"
     "                      network namespace.  Backend docker: the name of a network; default:\n"
     "                      claude-bottle-egress-SLUG, made if it is missing.  down removes what "
     "up made\n"
     "  --backend B         default: each sidecar's first\n" SLUG_HELP OPTIONS_HELP,
     BIT(OPTION_SLUG) | BIT(OPTION_BACKEND) | BIT(OPTION_INTERNAL_NETWORK) |
         BIT(OPTION_EGRESS_NETWORK) | BIT(OPTION_OPTIONS),
     true, false, command_up},
    {"status", "status [BOTTLE] [OPTION]…", "what runs",
     "  --json              as JSON, with all that the sidecars say of themselves\n"
     "  --prometheus        the gates alone, in Prometheus' text format\n"
     "  --watch             again every two seconds, until Ctrl-C\n"
     "\nA line for each sidecar, and one for each of its upstreams: OPEN counts the connections "
     "that are\n"
     "open, TOTAL all so far, REFUSED those that got no upstream; UP is what left the bottle; half "
     "of the\n"
     "dials, and 99 of 100, took no longer than DIAL P50 and DIAL P99.  Colours are for terminals, "
     "and not\n"
     "if $NO_COLOR is set.  The exit status is 3 if BOTTLE is not up or a sidecar that was started "
     "does\n"
     "not run.\n",
     BIT(OPTION_JSON) | BIT(OPTION_PROMETHEUS) | BIT(OPTION_WATCH), true, true, command_status},
    {"swap", "swap BOTTLE [--plugin FILE] [OPTION]…",
     "move the running sidecars to another build or backend; no connection is lost",
     "  --plugin FILE       the build to move to, of a sidecar that runs; default: every sidecar "
     "that can be\n"
     "                      swapped, to the plugin that it was started from as that is now\n"
     "  --backend B, --internal-network N, --egress-network N, --options SIDECAR=JSON\n"
     "                      as for up; default: what the sidecar has now, in the backend that it "
     "has\n"
     "  --grace SECONDS     cut what is open in the old sidecar after that time; default: it ends "
     "by\n"
     "                      itself, when its last connection does\n"
     "  --slug S            only this run; default: every run of BOTTLE\n"
     "\nThe manifest is read anew.  Connections that are open stay with the old sidecar; new ones "
     "go "
     "to\n"
     "the new one, at the address that is printed.  If it cannot start, the old one goes on.  The "
     "exit\n"
     "status is 3 if BOTTLE is not up.\n",
     BIT(OPTION_SLUG) | BIT(OPTION_BACKEND) | BIT(OPTION_INTERNAL_NETWORK) |
         BIT(OPTION_EGRESS_NETWORK) | BIT(OPTION_OPTIONS) | BIT(OPTION_GRACE),
     true, false, command_swap},
    {"down", "down BOTTLE|--orphans [OPTION]…", "stop the bottle's sidecars",
     "  --slug S            only this run; default: every run of BOTTLE\n"
     "  --orphans           instead of BOTTLE: remove the containers and networks that this "
     "user's\n"
     "                      sample-host left in the engine, of slugs that \"status\" does not "
     "list\n"
     "\nA bottle that is not up is no error.\n",
     BIT(OPTION_SLUG) | BIT(OPTION_ORPHANS), true, true, command_down},
    {"run", "run BOTTLE [OPTION]… -- COMMAND [ARGUMENT]…",
     "run a command that reaches the bottle's sidecars and nothing else",
     SLUG_HELP
     "  --events FILE       append what the sidecars recorded, when COMMAND has "
     "ended\n" OPTIONS_HELP "\nCOMMAND has user, network and mount namespaces of its own, with "
     "nothing but loopback, where\n"
     "the sidecars listen; ssh, git and the upstreams' names lead there.  It keeps your files and "
     "your\n"
     "rights on them: what is confined is its network.  Of the sockets of other programs, those "
     "in\n"
     "/run are out of its reach; those elsewhere (/tmp, home) are not.  Root is not needed.\n"
     "pipelock cannot serve there, and is left out.\n"
     "\nThe exit status is COMMAND's, 128 + N if signal N ended it, 125 if sample-host itself "
     "failed,\n"
     "126 if COMMAND cannot be executed, 127 if there is no such COMMAND.\n",
     BIT(OPTION_SLUG) | BIT(OPTION_OPTIONS) | BIT(OPTION_EVENTS), true, false, command_run},
};
#define USAGE_WIDTH   46
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

/* How many bytes text has more than characters: a width of printf(3) counts bytes. */
static int wider_in_bytes(const char *text)
{
    int bytes = 0;

    for (; *text != '\0'; text++)
        bytes += ((unsigned char)*text & 0xc0) == 0x80;
    return bytes;
}

static int print_help(const struct command *command)
{
    if (command != NULL) {
        (void)printf("usage: sample-host %s\n\n  %s\n\n%s%s%s", command->usage, command->summary,
                     command->help, *command->help != '\0' ? "\n" : "", option_help);
        return STATUS_OK;
    }
    (void)printf("usage: sample-host COMMAND\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        (void)printf("  %-*s %s\n", USAGE_WIDTH + wider_in_bytes(commands[i].usage),
                     commands[i].usage, commands[i].summary);
    (void)printf(
        "\n%s\nExit status: 0 done, 1 failed, 2 wrong usage, 3 not running (status, swap);\n"
        "run: see \"sample-host run --help\".\n",
        option_help);
    return STATUS_OK;
}

/* "--a, --b": the options of a set of bits. */
static const char *list_options(unsigned bits, char list[256])
{
    size_t len = 0;

    list[0] = '\0';
    for (unsigned i = 0; i < OPTION_COUNT && len < 256; i++) {
        if ((bits & BIT(i)) != 0)
            len += (size_t)snprintf(list + len, 256 - len, "%s--%s", len > 0 ? ", " : "",
                                    options[i].name);
    }
    return list;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    (void)fail("unknown command \"%s\"; there are: plugins, plan, up, status, swap, down, run "
               "(--help says more)",
               name);
    return NULL;
}

/* --options SIDECAR=JSON */
static bool add_start_options(struct request *request, const char *argument)
{
    struct failure failure;
    json_object *object = NULL;
    const char *equals = strchrnul(argument, '=');
    CLEANUP_FREE char *sidecar = strndup(argument, (size_t)(equals - argument));

    if (sidecar == NULL || *sidecar == '\0' || *equals == '\0')
        return fail("--options \"%s\": give SIDECAR=JSON", argument);
    if (json_object_object_get_ex(request->start_options, sidecar, NULL))
        return fail("--options %s=… is there twice: give one object with all options", sidecar);
    if (json_text_parse("--options", equals + 1, &object, &failure) != BOTTLE_OK)
        return fail("%s", failure.message);
    return set_member(request->start_options, sidecar, object);
}

/* --grace SECONDS */
static bool take_grace(struct request *request, const char *argument)
{
    char *end;

    errno = 0;
    long seconds = strtol(argument, &end, 10);
    if (errno != 0 || end == argument || *end != '\0' || seconds < 0 || seconds > GRACE_MAX_S)
        return fail("--grace \"%s\": give whole seconds, from 0 to %d", argument, GRACE_MAX_S);
    request->grace_ms = (int64_t)seconds * 1000;
    return true;
}

static bool fail_without_value(int option)
{
    return fail("--%s needs a value: give --%s %s", options[option].name, options[option].name,
                values[option]);
}

/* Of an argument that getopt_long(3) does not take: it has set optopt. */
static bool fail_option(const char *argument)
{
    size_t len = strcspn(argument, "=");
    unsigned meant = 0;
    char list[256];

    if (optopt >= FIRST_VALUE)
        return fail("--%s takes no value: give it without \"%s\"",
                    options[optopt - FIRST_VALUE].name, argument + len);
    if (optopt != 0)
        return fail("unknown option -%c: there are none of one letter, but %s", optopt,
                    list_options(BIT(OPTION_COUNT) - 1, list));
    for (unsigned i = 0; len > 2 && i < OPTION_COUNT; i++) {
        if (strncmp(options[i].name, argument + 2, len - 2) == 0)
            meant |= BIT(i);
    }
    if (meant != 0)
        return fail("option %s is ambiguous: give %s", argument, list_options(meant, list));
    return fail("unknown option %s; there are: %s", argument,
                list_options(BIT(OPTION_COUNT) - 1, list));
}

static bool take_option(struct request *request, int option)
{
    request->value[option] = optarg != NULL ? optarg : "";
    if (option == OPTION_PLUGIN && request->plugin_count == SIDECAR_MAX)
        return fail("--plugin may be given %d times at most", SIDECAR_MAX);
    if (option == OPTION_PLUGIN)
        request->plugins[request->plugin_count++] = request->value[option];
    if (option == OPTION_OPTIONS)
        return add_start_options(request, request->value[option]);
    return option != OPTION_GRACE || take_grace(request, request->value[option]);
}

static bool take_options(int argc, char **argv, struct request *request)
{
    int value;

    opterr = 0;
    while ((value = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (value == ':')
            return fail_without_value(optopt - FIRST_VALUE);
        if (value == '?')
            return fail_option(argv[optind - 1]);
        if (!take_option(request, value - FIRST_VALUE))
            return false;
    }
    return true;
}

static bool check_request(const struct command *command, const struct request *request)
{
    char list[256];

    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (request->value[i] != NULL && ((command->takes | EVERY_COMMAND) & BIT(i)) == 0)
            return fail("%s does not take --%s; it takes: %s", command->name, options[i].name,
                        list_options(command->takes | EVERY_COMMAND, list));
    }
    if (command->bottle && !command->optional && request->bottle == NULL)
        return fail("%s needs the name of a bottle: sample-host %s", command->name, command->usage);
    if (command->function == command_down &&
        (request->bottle == NULL) == (request->value[OPTION_ORPHANS] == NULL))
        return fail("down needs the name of a bottle, or --orphans: sample-host %s",
                    command->usage);
    if (request->value[OPTION_PROMETHEUS] != NULL &&
        (request->value[OPTION_JSON] != NULL || request->value[OPTION_WATCH] != NULL))
        return fail("--prometheus goes with neither --json nor --watch: it is another output, "
                    "complete in itself");
    if (command->function == command_run && (request->command == NULL || *request->command == NULL))
        return fail("run needs a command: sample-host %s", command->usage);
    if (command->function != command_run && request->command != NULL)
        return fail("%s takes nothing after \"--\"", command->name);
    return true;
}

static int run_request(int argc, char **argv, struct request *request)
{
    if (!take_options(argc, argv, request))
        return STATUS_USAGE;
    if (optind == argc && request->value[OPTION_HELP] != NULL)
        return print_help(NULL);
    if (optind == argc) {
        (void)fail("no command given; there are: plugins, plan, up, status, swap, down, run "
                   "(--help says more)");
        return STATUS_USAGE;
    }
    const struct command *command = find_command(argv[optind++]);
    if (command == NULL)
        return STATUS_USAGE;
    if (request->value[OPTION_HELP] != NULL)
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
 * A descriptor of 0 to 2 that is closed would be given to the next file that is opened.  Those opened here
 * are for the command of `run` as well, so they are not closed on exec.
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

    if (!open_standard_descriptors() || start_options == NULL)
        return STATUS_FAILED;
    for (int i = 1; i < argc && request.command == NULL; i++) {
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
