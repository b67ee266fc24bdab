/* SPDX-License-Identifier: MIT */
/*
 * options.c: reads the options of the command line into a request.
 *
 * What depends on the command, such as which options it takes, is main.c's.
 */
#include "options.h"

#include "fail.h"
#include "members.h"
#include "request.h"

#include "common/cleanup.h"
#include "common/text/json_text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_MAX_S 604800 /* a week */
#define FIRST_VALUE 256    /* what getopt_long(3) returns for the first option: no character */
#define ALL_OPTIONS (OPTION_BIT(OPTION_COUNT) - 1)

static const struct option OPTIONS[OPTION_COUNT + 1] = {
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

/* What help and messages call the value of an option; NULL: it takes none. */
static const char *const VALUE_NAMES[OPTION_COUNT] = {
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

const char *option_name(enum option_index option)
{
    return OPTIONS[option].name;
}

const char *list_options(unsigned set, char list[OPTION_LIST_SIZE])
{
    size_t length = 0;

    list[0] = '\0';
    for (unsigned i = 0; i < OPTION_COUNT && length < OPTION_LIST_SIZE; i++) {
        if ((set & OPTION_BIT(i)) != 0)
            length += (size_t)snprintf(list + length, OPTION_LIST_SIZE - length, "%s--%s",
                                       length > 0 ? ", " : "", OPTIONS[i].name);
    }
    return list;
}

/* --options SIDECAR=JSON */
static bool add_start_options(struct request *request, const char *argument)
{
    struct failure failure;
    json_object *object = NULL;
    const char *equals = strchrnul(argument, '=');
    CLEANUP_FREE char *sidecar = strndup(argument, (size_t)(equals - argument));

    if (!sidecar || *sidecar == '\0' || *equals == '\0')
        return fail("--options \"%s\": give SIDECAR=JSON", argument);
    if (json_object_object_get_ex(request->start_options, sidecar, NULL))
        return fail("--options %s=… is given twice: give one object with all options", sidecar);
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
    return fail("--%s needs a value: give --%s %s", OPTIONS[option].name, OPTIONS[option].name,
                VALUE_NAMES[option]);
}

/* Reports an argument that getopt_long(3) does not take; it has set optopt. */
static bool fail_option(const char *argument)
{
    size_t length = strcspn(argument, "=");
    unsigned meant = 0;
    char list[OPTION_LIST_SIZE];

    if (optopt >= FIRST_VALUE)
        return fail("--%s takes no value: give it without \"%s\"",
                    OPTIONS[optopt - FIRST_VALUE].name, argument + length);
    if (optopt != 0)
        return fail("unknown option -%c: options have long names: %s", optopt,
                    list_options(ALL_OPTIONS, list));
    for (unsigned i = 0; length > 2 && i < OPTION_COUNT; i++) {
        if (strncmp(OPTIONS[i].name, argument + 2, length - 2) == 0)
            meant |= OPTION_BIT(i);
    }
    if (meant != 0)
        return fail("option %s is ambiguous: give %s", argument, list_options(meant, list));
    return fail("unknown option %s; there are: %s", argument, list_options(ALL_OPTIONS, list));
}

static bool take_option(struct request *request, int option)
{
    request->value[option] = optarg ? optarg : "";
    if (option == OPTION_PLUGIN && request->plugin_count == PLUGIN_MAX)
        return fail("--plugin may be given at most %d times", PLUGIN_MAX);
    if (option == OPTION_PLUGIN)
        request->plugins[request->plugin_count++] = request->value[option];
    if (option == OPTION_OPTIONS)
        return add_start_options(request, request->value[option]);
    return option != OPTION_GRACE || take_grace(request, request->value[option]);
}

bool options_parse(int argc, char **argv, struct request *request)
{
    int value;

    opterr = 0;
    while ((value = getopt_long(argc, argv, ":", OPTIONS, NULL)) != -1) {
        if (value == ':')
            return fail_without_value(optopt - FIRST_VALUE);
        if (value == '?')
            return fail_option(argv[optind - 1]);
        if (!take_option(request, value - FIRST_VALUE))
            return false;
    }
    return true;
}
