/* SPDX-License-Identifier: MIT */
/*
 * plugin.c: a small sidecar plugin.  programs.sh keeps a binary of it for each released version of the ABI.
 *
 * It touches every field of every struct, so that a field which a later version moves or removes makes an
 * operation fail or log something else.  It runs nothing: a sidecar that "runs" is the file SLUG in the
 * directory $KEPT_SIDECAR_STATE, which holds the number of the instance, the state, and the grace of a drain.
 * A takeover counts the instance up.  Each operation logs a warning with the arguments that it got.
 *
 * It needs the C library only, and nothing in it that is newer than in Debian 12.
 */
#include <bottle/sidecar.h>

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME      "kept"
#define BACKEND   "native"
#define SLUG_SIZE 41

struct sidecar {
    char slug[SLUG_SIZE];
    char state[16];
    int instance;
    long long grace_ms;
};

__attribute__((format(printf, 1, 2))) static char *format_text(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    return text;
}

__attribute__((format(printf, 2, 3))) static void log_warning(const struct bottle_host *host,
                                                              const char *format, ...)
{
    char text[4096];
    va_list arguments;

    if (!host || host->struct_size < sizeof *host || !host->log)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(host->log_context, BOTTLE_LOG_WARNING, text);
}

static enum bottle_result fail(char **message, enum bottle_result result, const char *what,
                               const char *value)
{
    *message = format_text("%s: \"%s\"", what, value);
    return result;
}

/*
 * A struct that is shorter than this version's is of no host that there is.  A request that this version
 * does not know (any byte behind its fields that is not zero) is unsupported.
 * @known: sizeof the struct
 */
static enum bottle_result check_size(const void *arguments, size_t struct_size, size_t known)
{
    const char *bytes = arguments;

    if (struct_size < known)
        return BOTTLE_INVALID;
    for (size_t i = known; i < struct_size; i++)
        if (bytes[i])
            return BOTTLE_UNSUPPORTED;
    return BOTTLE_OK;
}

/* ---- state ---- */

static bool state_path(char path[PATH_MAX], const char *slug)
{
    const char *directory = getenv("KEPT_SIDECAR_STATE");
    int length = snprintf(path, PATH_MAX, "%s/%s", directory ? directory : "", slug);

    return directory && length > 0 && length < PATH_MAX;
}

static bool read_state(struct sidecar *sidecar)
{
    char path[PATH_MAX], line[128];

    FILE *file = state_path(path, sidecar->slug) ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    bool read = fgets(line, sizeof line, file);
    (void)fclose(file); /* only read from */
    if (!read)
        return false;
    char *rest = line;
    sidecar->instance = (int)strtol(line, &rest, 10);
    sidecar->grace_ms = strtoll(rest, &rest, 10);
    (void)snprintf(sidecar->state, sizeof sidecar->state, "%.*s", (int)strcspn(rest + 1, "\n"),
                   rest + 1);
    return true;
}

static bool write_state(const struct sidecar *sidecar)
{
    char path[PATH_MAX];

    FILE *file = state_path(path, sidecar->slug) ? fopen(path, "we") : NULL;
    if (!file)
        return false;
    bool written =
        fprintf(file, "%d %lld %s\n", sidecar->instance, sidecar->grace_ms, sidecar->state) > 0;
    return !fclose(file) && written;
}

/* BACKEND:SLUG or BACKEND:SLUG:INSTANCE.  @instance: 0 for any */
static bool parse_target(const char *target, struct sidecar *sidecar, int *instance)
{
    static const char PREFIX[] = BACKEND ":";

    if (strncmp(target, PREFIX, sizeof PREFIX - 1) != 0)
        return false;
    const char *slug = target + sizeof PREFIX - 1;
    size_t length = strspn(slug, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (length == 0 || length >= sizeof sidecar->slug || (slug[length] && slug[length] != ':'))
        return false;
    memcpy(sidecar->slug, slug, length);
    sidecar->slug[length] = '\0';
    *instance = slug[length] ? (int)strtol(slug + length + 1, NULL, 10) : 0;
    return true;
}

/* NOT_FOUND where nothing runs under the target. */
static enum bottle_result find(const char *target, struct sidecar *sidecar, char **message)
{
    int instance = 0;

    if (!parse_target(target, sidecar, &instance))
        return fail(message, BOTTLE_INVALID, "not a target of " NAME, target);
    if (!read_state(sidecar) || (instance != 0 && instance != sidecar->instance))
        return fail(message, BOTTLE_NOT_FOUND, "nothing runs", target);
    return BOTTLE_OK;
}

/* ---- operations ---- */

static enum bottle_result kept_prepare(struct bottle_prepare *arguments)
{
    enum bottle_result result = check_size(arguments, arguments->struct_size, sizeof *arguments);

    if (result != BOTTLE_OK)
        return result;
    log_warning(arguments->host, NAME ": prepare %s %s %s", arguments->slug, arguments->stage_dir,
                arguments->bottle);
    if (arguments->bottle[0] != '{')
        return fail(&arguments->message, BOTTLE_INVALID, "not a JSON object", arguments->bottle);
    arguments->plan = format_text("{\"sidecar\":\"" NAME "\",\"slug\":\"%s\",\"upstreams\":[{}],"
                                  "\"internal_network\":\"\",\"egress_network\":\"\"}",
                                  arguments->slug);
    return arguments->plan ? BOTTLE_OK : BOTTLE_INTERNAL;
}

/* The plan's slug.  Hosts may lay out the text of a plan anew. */
static bool plan_slug(const char *plan, char slug[SLUG_SIZE])
{
    const char *found = strstr(plan, "\"slug\"");

    if (!found)
        return false;
    found += strlen("\"slug\"");
    found += strspn(found, " \t\r\n:");
    size_t length = *found == '"' ? strcspn(found + 1, "\"") : 0;
    if (length == 0 || length >= SLUG_SIZE)
        return false;
    memcpy(slug, found + 1, length);
    slug[length] = '\0';
    return true;
}

static enum bottle_result kept_start(struct bottle_start *arguments)
{
    enum bottle_result result = check_size(arguments, arguments->struct_size, sizeof *arguments);
    struct sidecar sidecar = {.state = "serving"}, old = {0};

    if (result != BOTTLE_OK)
        return result;
    log_warning(arguments->host, NAME ": start %s %s %s %s",
                arguments->backend ? arguments->backend : "(null)",
                arguments->options ? arguments->options : "(null)",
                arguments->takeover ? arguments->takeover : "(null)", arguments->plan);
    if (!strstr(arguments->plan, "\"" NAME "\"") || !plan_slug(arguments->plan, sidecar.slug))
        return fail(&arguments->message, BOTTLE_INVALID, "not a plan of " NAME, arguments->plan);
    if (arguments->backend && strcmp(arguments->backend, BACKEND) != 0)
        return fail(&arguments->message, BOTTLE_INVALID, "no such backend", arguments->backend);
    if (arguments->options && strchr(arguments->options, '"'))
        return fail(&arguments->message, BOTTLE_INVALID, "there are no options",
                    arguments->options);
    if (arguments->takeover) {
        result = find(arguments->takeover, &old, &arguments->message);
        if (result != BOTTLE_OK)
            return result;
    } else {
        memcpy(old.slug, sidecar.slug, sizeof old.slug);
        if (read_state(&old))
            return fail(&arguments->message, BOTTLE_CONFLICT, "it runs already", sidecar.slug);
    }
    sidecar.instance = old.instance + 1;
    if (!write_state(&sidecar))
        return fail(&arguments->message, BOTTLE_UNAVAILABLE, "cannot write the state",
                    sidecar.slug);
    arguments->target = format_text(BACKEND ":%s:%d", sidecar.slug, sidecar.instance);
    return arguments->target ? BOTTLE_OK : BOTTLE_INTERNAL;
}

static enum bottle_result kept_stop(struct bottle_stop *arguments)
{
    enum bottle_result result = check_size(arguments, arguments->struct_size, sizeof *arguments);
    struct sidecar sidecar;
    char path[PATH_MAX];

    if (result != BOTTLE_OK)
        return result;
    log_warning(arguments->host, NAME ": stop %s", arguments->target);
    result = find(arguments->target, &sidecar, &arguments->message);
    if (result == BOTTLE_NOT_FOUND) {
        free(arguments->message);
        arguments->message = NULL;
        return BOTTLE_OK;
    }
    if (result == BOTTLE_OK && (!state_path(path, sidecar.slug) || unlink(path)))
        return fail(&arguments->message, BOTTLE_INTERNAL, "cannot remove the state",
                    arguments->target);
    return result;
}

static enum bottle_result kept_drain(struct bottle_drain *arguments)
{
    enum bottle_result result = check_size(arguments, arguments->struct_size, sizeof *arguments);
    struct sidecar sidecar;

    if (result != BOTTLE_OK)
        return result;
    log_warning(arguments->host, NAME ": drain %s %lld", arguments->target,
                (long long)arguments->grace_ms);
    result = find(arguments->target, &sidecar, &arguments->message);
    if (result != BOTTLE_OK)
        return result;
    (void)snprintf(sidecar.state, sizeof sidecar.state, "draining");
    sidecar.grace_ms = arguments->grace_ms;
    return write_state(&sidecar) ? BOTTLE_OK
                                 : fail(&arguments->message, BOTTLE_INTERNAL,
                                        "cannot write the state", arguments->target);
}

static enum bottle_result kept_status(struct bottle_status *arguments)
{
    enum bottle_result result = check_size(arguments, arguments->struct_size, sizeof *arguments);
    struct sidecar sidecar;

    if (result != BOTTLE_OK)
        return result;
    log_warning(arguments->host, NAME ": status %s", arguments->target);
    result = find(arguments->target, &sidecar, &arguments->message);
    if (result != BOTTLE_OK)
        return result;
    arguments->status =
        format_text("{\"sidecar\":\"" NAME "\",\"backend\":\"" BACKEND "\",\"slug\":\"%s\","
                    "\"target\":\"" BACKEND ":%s:%d\",\"state\":\"%s\",\"address\":\"127.0.0.2\","
                    "\"uptime_ms\":0,\"upstreams\":[{}],\"grace_ms\":%lld}",
                    sidecar.slug, sidecar.slug, sidecar.instance, sidecar.state, sidecar.grace_ms);
    return arguments->status ? BOTTLE_OK : BOTTLE_INTERNAL;
}

static void kept_release(char *text)
{
    free(text);
}

static const char *const backends[] = {BACKEND, NULL};
static const uint32_t backend_networks[] = {BOTTLE_NETWORKS_MACHINE};

static const struct bottle_sidecar table = {
    .struct_size = sizeof table,
    .abi_major = BOTTLE_SIDECAR_ABI_MAJOR,
    .abi_minor = BOTTLE_SIDECAR_ABI_MINOR,
    .name = NAME,
    .version = "1",
    .description = "Keeps a file in place of a running sidecar",
    .backends = backends,
    .prepare = kept_prepare,
    .start = kept_start,
    .stop = kept_stop,
    .drain = kept_drain,
    .status = kept_status,
    .release = kept_release,
    .backend_networks = backend_networks,
};

__attribute__((visibility("default"))) const struct bottle_sidecar *bottle_sidecar_entry(void);

const struct bottle_sidecar *bottle_sidecar_entry(void)
{
    return &table;
}
