/* SPDX-License-Identifier: MIT */
/*
 * bottle.c: the manifest, the plugins, and a bottle's sidecars: prepare, start, swap, stop.
 *
 * Of the manifest only {"bottles": {NAME: {…}}} is looked at.  What a bottle holds is for the sidecars to
 * judge: each gets the whole object and takes its own part.  A bottle has one sidecar of each plugin that
 * is loaded; it is idle if its plan has no upstreams.
 *
 * What is about to run is written down first, under short targets (bottle/sidecar.h), and again after each
 * start, under the targets that start returned: whenever this program is killed, what it started can be
 * found and stopped.  What is swapped is under its short target before, and stays so: whichever of the
 * old and the new sidecar serves is found by it, and an old one that still drains is stopped by it.  On
 * its way to another backend it is written down for both, and stays so while the old one drains.
 */
#include "sample_host.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"
#include "common/text/json_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_MANIFEST "claude-bottle.json"

/* The sidecars that come with this program: where the build has them, from its directory, and installed. */
static const struct default_plugin {
    const char *in_build, *name;
    bool optional; /* packages may leave it out */
} default_plugins[] = {{"../plugin/ssh_gate.so", "ssh_gate", false},
                       {"pipelock.so", "pipelock", true}};

static void log_line(void *log_context, enum bottle_log_level level, const char *text)
{
    (void)log_context;
    /* Who watches is told what goes on meanwhile, such as an image that is being pulled. */
    if (level >= BOTTLE_LOG_WARNING || (level == BOTTLE_LOG_INFO && isatty(STDERR_FILENO) == 1))
        (void)fail("%s", text);
}

static const struct bottle_host host = {.struct_size = sizeof host, .log = log_line};

/* Frees the message. */
static bool sidecar_fail(const struct sidecar *sidecar, char *message)
{
    (void)fail("%s: %s", bottle_plugin_table(sidecar->plugin)->name,
               message != NULL ? message : "out of memory");
    free(message);
    return false;
}

/* ---- plugins ---- */

static const struct bottle_plugin *find_plugin(const struct plugins *plugins, const char *name)
{
    for (size_t i = 0; i < plugins->count; i++) {
        if (strcmp(bottle_plugin_table(plugins->loaded[i])->name, name) == 0)
            return plugins->loaded[i];
    }
    return NULL;
}

/* optional: no error if there is none */
static bool add_plugin(struct plugins *plugins, const char *name, bool optional)
{
    struct bottle_plugin *plugin = NULL;
    CLEANUP_FREE char *message = NULL;

    if (plugins->count == SIDECAR_MAX)
        return fail("%s: more than %d plugins", name, SIDECAR_MAX);
    enum bottle_result result = bottle_plugin_load(name, &plugin, &message);
    if (result == BOTTLE_UNAVAILABLE && optional)
        return true;
    if (result != BOTTLE_OK)
        return fail("%s", message != NULL ? message : "out of memory");
    const char *own_name = bottle_plugin_table(plugin)->name;
    if (!grammar_word(own_name, WORD, WORD "-", NAME_MAX)) { /* it names a directory as well */
        (void)fail("%s calls itself \"%s\": the name of a sidecar has letters, digits, '_' and '-'",
                   bottle_plugin_path(plugin), own_name);
        bottle_plugin_unload(plugin);
        return false;
    }
    const struct bottle_plugin *other = find_plugin(plugins, own_name);
    if (other != NULL) {
        (void)fail("%s and %s are both plugin %s: give one of them", bottle_plugin_path(other),
                   bottle_plugin_path(plugin), own_name);
        bottle_plugin_unload(plugin);
        return false;
    }
    plugins->loaded[plugins->count++] = plugin;
    return true;
}

static bool add_default_plugins(struct plugins *plugins)
{
    CLEANUP_FREE char *program = realpath("/proc/self/exe", NULL);
    char path[PATH_MAX];
    bool is_build = false;

    if (program == NULL)
        return fail(
            "cannot resolve /proc/self/exe: %s: mount /proc, or name the plugins with --plugin",
            strerror(errno));
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof default_plugins / sizeof default_plugins[0]; i++) {
        const struct default_plugin *plugin = &default_plugins[i];
        if (!make_path(path, "%s/%s", program, plugin->in_build))
            return false;
        is_build |= access(path, F_OK) == 0;
        if (!add_plugin(plugins, is_build ? path : plugin->name, plugin->optional))
            return false;
    }
    return true;
}

bool plugins_check_options(const struct plugins *plugins, const struct request *request)
{
    struct json_object_iter iter;

    json_object_object_foreachC(request->start_options, iter)
    {
        if (find_plugin(plugins, iter.key) == NULL)
            return fail(
                "--options %s=…: there is no such sidecar: \"sample-host plugins\" lists them",
                iter.key);
    }
    return true;
}

bool plugins_load(struct plugins *plugins, const struct request *request, bool with_default)
{
    for (size_t i = 0; i < request->plugin_count; i++) {
        if (!add_plugin(plugins, request->plugins[i], false))
            return false;
    }
    if (!with_default)
        return true;
    if (plugins->count == 0 && !add_default_plugins(plugins))
        return false;
    return plugins_check_options(plugins, request);
}

void plugins_unload(struct plugins *plugins)
{
    for (size_t i = 0; i < plugins->count; i++)
        bottle_plugin_unload(plugins->loaded[i]);
}

/* ---- the manifest ---- */

static bool fail_no_bottle(const char *manifest, const char *name, json_object *bottles)
{
    struct json_object_iter iter;
    char list[FAILURE_MESSAGE_SIZE] = "none";
    size_t len = 0;

    json_object_object_foreachC(bottles, iter)
    {
        if (len < sizeof list)
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len > 0 ? ", " : "",
                                    iter.key);
    }
    return fail("%s has no bottle \"%s\"; it has: %s", manifest, name, list);
}

bool manifest_find(const struct request *request, struct bottle *bottle, char **text)
{
    const char *manifest = request->value[OPTION_MANIFEST];
    const char *name = request->bottle;
    const char *slug = request->value[OPTION_SLUG];
    CLEANUP_FREE char *file = NULL;
    CLEANUP_JSON json_object *object = NULL;
    json_object *bottles = NULL;
    json_object *found = NULL;
    struct failure failure;

    if (manifest == NULL)
        manifest = DEFAULT_MANIFEST;
    if (!read_text_file(AT_FDCWD, manifest, JSON_TEXT_MAX_BYTES, true, &file))
        return false;
    if (file == NULL)
        return fail("there is no manifest %s: name one with --manifest FILE", manifest);
    if (json_text_parse(manifest, file, &object, &failure) != BOTTLE_OK)
        return fail("%s", failure.message);
    bottles = json_object_object_get(object, "bottles");
    if (!json_object_is_type(bottles, json_type_object))
        return fail("%s: \"bottles\" must be an object: {\"bottles\": {NAME: {…}}}", manifest);
    if (!json_object_object_get_ex(bottles, name, &found))
        return fail_no_bottle(manifest, name, bottles);
    if (!json_object_is_type(found, json_type_object))
        return fail("%s: bottle \"%s\" must be an object", manifest, name);
    if (!text_is_printable(name, strlen(name)))
        return fail("%s: bottle \"%s\": a name has no control characters", manifest, name);
    if (!grammar_slug(slug != NULL ? slug : name))
        return fail("\"%s\" is no slug ([a-z0-9][a-z0-9-]{0,39}): give one with --slug",
                    slug != NULL ? slug : name);

    const char *json = json_object_to_json_string_ext(found, JSON_C_TO_STRING_PLAIN);
    bottle->name = strdup(name);
    bottle->slug = strdup(slug != NULL ? slug : name);
    *text = json != NULL ? strdup(json) : NULL;
    return (bottle->name != NULL && bottle->slug != NULL && *text != NULL) || fail("out of memory");
}

/* ---- prepare ---- */

static void sidecar_clear(struct sidecar *sidecar)
{
    (void)json_object_put(sidecar->plan);
    (void)json_object_put(sidecar->record);
}
#define CLEANUP_SIDECAR __attribute__((cleanup(sidecar_clear)))

void bottle_clear(struct bottle *bottle)
{
    for (size_t i = 0; i < bottle->count; i++)
        sidecar_clear(&bottle->sidecars[i]);
    free(bottle->name);
    free(bottle->slug);
    *bottle = (struct bottle){0};
}

static bool has_upstreams(const struct sidecar *sidecar)
{
    return json_object_array_length(json_object_object_get(sidecar->plan, "upstreams")) > 0;
}

bool sidecar_is_started(const struct sidecar *sidecar)
{
    const char *state = text_member(sidecar->record, "state");

    return state != NULL && strcmp(state, "started") == 0;
}

bool sidecar_is_in_engine(const struct sidecar *sidecar)
{
    return strcmp(text_member(sidecar->record, "backend"), "docker") == 0;
}

struct sidecar *bottle_twin(struct bottle *bottle, const struct sidecar *sidecar)
{
    for (size_t i = 0; i < bottle->count; i++) {
        struct sidecar *other = &bottle->sidecars[i];
        if (other != sidecar && strcmp(text_member(other->record, "sidecar"),
                                       text_member(sidecar->record, "sidecar")) == 0)
            return other;
    }
    return NULL;
}

static void drop_sidecar(struct bottle *bottle, struct sidecar *sidecar)
{
    size_t after = bottle->count - (size_t)(sidecar - bottle->sidecars) - 1;

    sidecar_clear(sidecar);
    memmove(sidecar, sidecar + 1, after * sizeof *sidecar);
    bottle->count--;
}

/* Keeps the sidecars that are wanted. */
static void keep_sidecars(struct bottle *bottle, bool (*wanted)(const struct sidecar *))
{
    size_t kept = 0;

    for (size_t i = 0; i < bottle->count; i++) {
        if (wanted(&bottle->sidecars[i]))
            bottle->sidecars[kept++] = bottle->sidecars[i];
        else
            sidecar_clear(&bottle->sidecars[i]);
    }
    bottle->count = kept;
}

static bool prepare_sidecar(struct sidecar *sidecar, const struct bottle *bottle, const char *text,
                            const char *stage_dir)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    CLEANUP_FREE char *plan = NULL;
    char *message = NULL;
    struct failure failure;

    if (bottle_plugin_prepare(sidecar->plugin, &host, text, bottle->slug, stage_dir, &plan,
                              &message) != BOTTLE_OK)
        return sidecar_fail(sidecar, message);
    if (json_text_parse("plan", plan, &sidecar->plan, &failure) != BOTTLE_OK)
        return fail("%s: %s", name, failure.message);
    if (!json_object_is_type(json_object_object_get(sidecar->plan, "upstreams"), json_type_array))
        return fail("%s: its plan has no array \"upstreams\"", name);
    sidecar->record = json_object_new_object();
    return set_text(sidecar->record, "sidecar", name) &&
           set_text(sidecar->record, "plugin", bottle_plugin_path(sidecar->plugin)) &&
           set_text(sidecar->record, "state", "starting");
}

bool bottle_prepare(struct bottle *bottle, const char *text, const struct plugins *plugins,
                    const struct directory *directory)
{
    for (size_t i = 0; i < plugins->count; i++) {
        struct sidecar *sidecar = &bottle->sidecars[bottle->count++];
        char stage_dir[PATH_MAX];
        *sidecar = (struct sidecar){.plugin = plugins->loaded[i]};
        if (!directory_add(directory, bottle_plugin_table(sidecar->plugin)->name, stage_dir) ||
            !prepare_sidecar(sidecar, bottle, text, stage_dir))
            return false;
    }
    return true;
}

void bottle_drop_idle(struct bottle *bottle)
{
    keep_sidecars(bottle, has_upstreams);
}

/* ---- start and stop ---- */

/* What is NULL becomes the backend's default, if it has one. */
static bool set_networks(struct sidecar *sidecar, const struct bottle *bottle, const char *backend,
                         const char *internal_network, const char *egress_network)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    bool in_engine = strcmp(backend, "docker") == 0;
    char own_internal[NETWORK_NAME_SIZE];
    char own_egress[NETWORK_NAME_SIZE];

    network_name(own_internal, true, bottle->slug);
    network_name(own_egress, false, bottle->slug);
    if (internal_network == NULL && in_engine)
        internal_network = own_internal;
    if (egress_network == NULL && in_engine)
        egress_network = own_egress;
    if (egress_network == NULL && strcmp(backend, "native") == 0)
        egress_network = "host";
    if (internal_network == NULL || *internal_network == '\0')
        return fail("%s: backend %s needs --internal-network: an IP address of this machine, or "
                    "the path of a network namespace, such as /proc/PID/ns/net",
                    name, backend);
    if (egress_network == NULL || *egress_network == '\0')
        return fail("%s: backend %s needs --egress-network: the network to dial from", name,
                    backend);
    return set_text(sidecar->plan, "internal_network", internal_network) &&
           set_text(sidecar->plan, "egress_network", egress_network) &&
           set_text(sidecar->record, "internal_network", internal_network) &&
           set_text(sidecar->record, "egress_network", egress_network);
}

/* wanted: NULL: the first backend. */
static bool configure_sidecar(struct sidecar *sidecar, const struct bottle *bottle,
                              const char *wanted, const char *internal_network,
                              const char *egress_network)
{
    const struct bottle_sidecar *table = bottle_plugin_table(sidecar->plugin);
    char list[256] = "";
    char target[256];
    size_t i = 0;

    for (; wanted != NULL && table->backends[i] != NULL; i++) {
        size_t len = strlen(list);
        if (strcmp(table->backends[i], wanted) == 0)
            break;
        (void)snprintf(list + len, sizeof list - len, "%s%s", i > 0 ? ", " : "",
                       table->backends[i]);
    }
    const char *backend = table->backends[i];
    if (backend == NULL)
        return fail("%s has no backend \"%s\"; it has: %s", table->name, wanted, list);
    (void)snprintf(target, sizeof target, "%s:%s", backend, bottle->slug);
    return set_networks(sidecar, bottle, backend, internal_network, egress_network) &&
           set_text(sidecar->record, "backend", backend) &&
           set_text(sidecar->record, "target", target);
}

bool bottle_configure(struct bottle *bottle, const struct request *request,
                      const char *internal_network, const char *egress_network)
{
    for (size_t i = 0; i < bottle->count; i++) {
        if (!configure_sidecar(&bottle->sidecars[i], bottle, request->value[OPTION_BACKEND],
                               internal_network, egress_network))
            return false;
    }
    return true;
}

/* The start options that the request has for the sidecar are written down, for a swap. */
static bool record_options(struct sidecar *sidecar, const struct request *request,
                           bool exit_with_launcher)
{
    json_object *options = NULL;

    if (!json_object_object_get_ex(request->start_options,
                                   bottle_plugin_table(sidecar->plugin)->name, &options))
        options = json_object_new_object();
    else
        options = json_object_get(options);
    bool recorded =
        (!exit_with_launcher || json_object_object_get_ex(options, "exit_with_launcher", NULL) ||
         set_member(options, "exit_with_launcher", json_object_new_boolean(true))) &&
        set_text(sidecar->record, "options", json_object_to_json_string(options));
    (void)json_object_put(options);
    return recorded;
}

/* takeover: a target, or NULL.  What fails was reported. */
static enum bottle_result start_sidecar(struct sidecar *sidecar, const char *takeover)
{
    CLEANUP_FREE char *target = NULL;
    char *message = NULL;
    enum bottle_result result =
        bottle_plugin_start(sidecar->plugin, &host, json_object_to_json_string(sidecar->plan),
                            text_member(sidecar->record, "backend"),
                            text_member(sidecar->record, "options"), takeover, &target, &message);

    if (result != BOTTLE_OK)
        (void)sidecar_fail(sidecar, message);
    else if (!set_text(sidecar->record, "target", target) ||
             !set_text(sidecar->record, "state", "started"))
        result = BOTTLE_INTERNAL;
    return result;
}

bool bottle_start(struct bottle *bottle, const struct request *request, bool for_run,
                  const struct directory *directory)
{
    if (!state_save(directory, bottle))
        return false;
    for (size_t i = 0; i < bottle->count;) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        if (!record_options(sidecar, request, for_run) || !networks_provide(bottle, sidecar))
            return false;
        enum bottle_result result = start_sidecar(sidecar, NULL);
        if (result == BOTTLE_UNSUPPORTED && for_run) {
            (void)fail("%s is not started: the command runs without it",
                       text_member(sidecar->record, "sidecar"));
            drop_sidecar(bottle, sidecar);
        } else if (result == BOTTLE_OK) {
            i++;
        } else {
            return false;
        }
        if (!state_save(directory, bottle))
            return false;
    }
    return true;
}

/* A slug is each user's own: where only another user has it, nothing of this user's runs. */
static bool is_of_another_user(const struct sidecar *sidecar, enum bottle_result result)
{
    const char *target = text_member(sidecar->record, "target");

    return result == BOTTLE_DENIED && strchr(target, ':') == strrchr(target, ':');
}

bool bottle_stop(const struct bottle *bottle)
{
    bool stopped = true;

    for (size_t i = bottle->count; i > 0; i--) {
        const struct sidecar *sidecar = &bottle->sidecars[i - 1];
        char *message = NULL;
        enum bottle_result result = bottle_plugin_stop(
            sidecar->plugin, &host, text_member(sidecar->record, "target"), &message);
        if (is_of_another_user(sidecar, result))
            free(message);
        else if (result != BOTTLE_OK)
            stopped = sidecar_fail(sidecar, message);
    }
    return stopped;
}

bool bottle_end(const struct bottle *bottle, const struct directory *directory)
{
    return bottle_stop(bottle) && (!bottle->in_engine || networks_remove(bottle->slug)) &&
           directory_remove(directory);
}

bool bottle_give_up(struct bottle *bottle, const struct directory *directory)
{
    keep_sidecars(bottle, sidecar_is_started);
    if (bottle_end(bottle, directory))
        return true;
    (void)state_save(directory, bottle); /* it has said why not; "down" may find less to do */
    return false;
}

/* ---- what an earlier process started ---- */

bool bottle_attach(struct bottle *bottle, const struct request *request, struct plugins *plugins)
{
    if (!plugins_load(plugins, request, false))
        return false;
    for (size_t i = 0; i < bottle->count; i++) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        const char *name = text_member(sidecar->record, "sidecar");
        const char *path = text_member(sidecar->record, "plugin");
        bottle->in_engine |= sidecar_is_in_engine(sidecar);
        sidecar->plugin = find_plugin(plugins, name);
        if (sidecar->plugin == NULL && add_plugin(plugins, path, false))
            sidecar->plugin = find_plugin(plugins, name);
        if (sidecar->plugin == NULL)
            return fail(
                "cannot reach %s of slug %s: %s is not its plugin now: name one with --plugin",
                name, bottle->slug, path);
    }
    return true;
}

enum bottle_result sidecar_status(const struct sidecar *sidecar, json_object **status)
{
    CLEANUP_FREE char *text = NULL;
    char *message = NULL;
    struct failure failure;
    enum bottle_result result = bottle_plugin_status(
        sidecar->plugin, &host, text_member(sidecar->record, "target"), &text, &message);

    if (is_of_another_user(sidecar, result))
        result = BOTTLE_NOT_FOUND;
    if (result == BOTTLE_NOT_FOUND) {
        free(message);
    } else if (result != BOTTLE_OK) {
        (void)sidecar_fail(sidecar, message);
    } else if ((result = json_text_parse("status", text, status, &failure)) != BOTTLE_OK) {
        (void)fail("%s", failure.message);
    }
    return result;
}

static bool has_ended(const struct sidecar *sidecar)
{
    CLEANUP_JSON json_object *status = NULL;

    return sidecar_status(sidecar, &status) == BOTTLE_NOT_FOUND;
}

void bottle_forget_moved(struct bottle *bottle)
{
    for (size_t i = 0; i < bottle->count;) {
        struct sidecar *sidecar = &bottle->sidecars[i];
        const struct sidecar *twin = bottle_twin(bottle, sidecar);
        if (twin != NULL && has_ended(sidecar) && (twin > sidecar || !has_ended(twin)))
            drop_sidecar(bottle, sidecar);
        else
            i++;
    }
}

/* ---- swap ---- */

/* What the sidecar has now, which is nothing that another backend could use. */
static const char *recorded_text(const struct request *request, const struct sidecar *sidecar,
                                 const char *key)
{
    const char *backend = request->value[OPTION_BACKEND];

    if (backend != NULL && strcmp(backend, text_member(sidecar->record, "backend")) != 0)
        return NULL;
    return text_member(sidecar->record, key);
}

static const char *given_or_recorded(const struct request *request, enum option_index option,
                                     const struct sidecar *sidecar, const char *key)
{
    const char *given = request->value[option];

    return given != NULL ? given : recorded_text(request, sidecar, key);
}

/* It ends with the process that started it, and so will what takes over from it. */
static bool ends_with_launcher(const struct sidecar *sidecar)
{
    const char *text = text_member(sidecar->record, "options");
    CLEANUP_JSON json_object *options = text != NULL ? json_tokener_parse(text) : NULL;

    return json_object_get_boolean(json_object_object_get(options, "exit_with_launcher"));
}

/* Prepares the new sidecar in the stage dir of the old one, which goes on there. */
static bool prepare_successor(struct sidecar *successor, const struct sidecar *sidecar,
                              struct bottle *bottle, const struct request *request,
                              const char *text, const struct directory *directory)
{
    const char *name = bottle_plugin_table(sidecar->plugin)->name;
    const char *options = recorded_text(request, sidecar, "options");
    char stage_dir[PATH_MAX];

    if (recorded_text(request, sidecar, "backend") == NULL && ends_with_launcher(sidecar))
        return fail("%s of bottle %s is in the network of a \"run\" and ends with it "
                    "(exit_with_launcher): it cannot move to backend %s",
                    name, bottle->name, request->value[OPTION_BACKEND]);
    if (!make_path(stage_dir, "%s/%s", directory->path, name) ||
        !prepare_sidecar(successor, bottle, text, stage_dir))
        return false;
    if (!has_upstreams(successor))
        return fail("%s: the bottle asks nothing of it any more: \"sample-host down %s\"", name,
                    bottle->name);
    if (!configure_sidecar(
            successor, bottle, given_or_recorded(request, OPTION_BACKEND, sidecar, "backend"),
            given_or_recorded(request, OPTION_INTERNAL_NETWORK, sidecar, "internal_network"),
            given_or_recorded(request, OPTION_EGRESS_NETWORK, sidecar, "egress_network")))
        return false;
    if (options == NULL || json_object_object_get_ex(request->start_options, name, NULL))
        return record_options(successor, request, ends_with_launcher(sidecar));
    return set_text(successor->record, "options", options);
}

/* The long target of what runs, which the short one will not mean any more. */
static bool running_target(const struct sidecar *sidecar, const struct bottle *bottle,
                           char **target)
{
    CLEANUP_JSON json_object *status = NULL;
    enum bottle_result result = sidecar_status(sidecar, &status);
    const char *text = text_member(status, "target");

    if (result == BOTTLE_NOT_FOUND)
        return fail("%s of bottle %s does not run: \"sample-host down %s\", then \"up\"",
                    text_member(sidecar->record, "sidecar"), bottle->name, bottle->name);
    if (result != BOTTLE_OK)
        return false;
    *target = text != NULL ? strdup(text) : NULL;
    return *target != NULL ||
           fail("%s: its status has no target", text_member(sidecar->record, "sidecar"));
}

static bool set_short_target(const struct sidecar *sidecar, const struct bottle *bottle)
{
    char target[256];

    (void)snprintf(target, sizeof target, "%s:%s", text_member(sidecar->record, "backend"),
                   bottle->slug);
    return set_text(sidecar->record, "target", target);
}

/* No bound: grace_ms is negative.  That the old one has gone already is as well. */
static bool bound_drain(const struct sidecar *sidecar, const char *old_target, int64_t grace_ms)
{
    char *message = NULL;

    if (grace_ms < 0)
        return true;
    enum bottle_result result =
        bottle_plugin_drain(sidecar->plugin, &host, old_target, grace_ms, &message);
    if (result != BOTTLE_OK && result != BOTTLE_NOT_FOUND)
        return sidecar_fail(sidecar, message);
    free(message);
    return true;
}

/* Both end with the one of the two that does not run any more in successor. */
static void exchange(struct sidecar *sidecar, struct sidecar *successor)
{
    const struct sidecar old = *sidecar;

    *sidecar = *successor;
    *successor = old;
}

/* In the backend that it has. */
static enum bottle_result swap_in_place(struct bottle *bottle, struct sidecar *sidecar,
                                        struct sidecar *successor, const char *old_target,
                                        const struct directory *directory)
{
    if (!state_save(directory, bottle))
        return BOTTLE_INTERNAL;
    enum bottle_result result = start_sidecar(successor, old_target);
    if (result == BOTTLE_OK)
        exchange(sidecar, successor);
    return result;
}

/* To another backend, where there may be an older one of it that still drains. */
static enum bottle_result swap_across(struct bottle *bottle, struct sidecar *sidecar,
                                      struct sidecar *successor, const char *old_target,
                                      const struct directory *directory)
{
    const bool was_in_engine = bottle->in_engine;
    struct sidecar *twin = bottle_twin(bottle, sidecar);
    const bool is_new = twin == NULL;

    if (is_new) {
        twin = &bottle->sidecars[bottle->count++];
        *twin = (struct sidecar){.plugin = successor->plugin,
                                 .record = json_object_get(successor->record)};
    }
    if (!set_short_target(twin, bottle) || !state_save(directory, bottle))
        return BOTTLE_INTERNAL;
    enum bottle_result result = networks_provide(bottle, successor)
                                    ? start_sidecar(successor, old_target)
                                    : BOTTLE_UNAVAILABLE;
    if (result == BOTTLE_OK) {
        exchange(twin, successor);
        return BOTTLE_OK;
    }
    if (is_new)
        drop_sidecar(bottle, twin);
    if (bottle->in_engine && !was_in_engine)
        (void)networks_remove(bottle->slug); /* it has said why not; "down" tries again */
    return result;
}

enum bottle_result bottle_swap_sidecar(struct bottle *bottle, struct sidecar **swapped,
                                       const struct request *request, const char *text,
                                       const struct directory *directory)
{
    struct sidecar *sidecar = *swapped;
    CLEANUP_SIDECAR struct sidecar successor = {.plugin = sidecar->plugin};
    CLEANUP_FREE char *old_target = NULL;
    CLEANUP_FREE char *recorded = strdup(text_member(sidecar->record, "target"));

    if (recorded == NULL || !running_target(sidecar, bottle, &old_target) ||
        !prepare_successor(&successor, sidecar, bottle, request, text, directory) ||
        !set_short_target(sidecar, bottle))
        return BOTTLE_INTERNAL;
    bool moves = strcmp(text_member(successor.record, "backend"),
                        text_member(sidecar->record, "backend")) != 0;
    enum bottle_result result =
        (moves ? swap_across : swap_in_place)(bottle, sidecar, &successor, old_target, directory);
    if (result != BOTTLE_OK)
        return set_text(sidecar->record, "target", recorded) && state_save(directory, bottle)
                   ? result
                   : BOTTLE_INTERNAL;
    if (moves)
        *swapped = sidecar = bottle_twin(bottle, sidecar);
    print_line(stdout, "%s swapped: %s took over from %s", text_member(sidecar->record, "sidecar"),
               text_member(sidecar->record, "target"), old_target);
    return set_short_target(sidecar, bottle) && state_save(directory, bottle) &&
                   bound_drain(sidecar, old_target, request->grace_ms)
               ? BOTTLE_OK
               : BOTTLE_INTERNAL;
}
