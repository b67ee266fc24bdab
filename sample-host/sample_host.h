/* SPDX-License-Identifier: MIT */
/*
 * sample_host.h: what the parts of sample-host share.
 *
 * main.c     the command line, and small helpers
 * commands.c the commands, but for the one that has a file of its own
 * print.c    all that is printed for people
 * status.c   the command `status`; prometheus.c: its output for Prometheus
 * bottle.c   the manifest, the plugins, and a bottle's sidecars: prepare, start, swap, stop
 * state.c    what runs, written down where another shell finds it
 * networks.c the networks of a bottle that runs in an engine
 * run.c      the command `run`, outside the bottle; inside.c: inside
 *
 * A function that returns a bool has reported, when it returns false, what is wrong.
 */
#ifndef SAMPLE_HOST_H
#define SAMPLE_HOST_H

#include <bottle/host.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_NOT_RUNNING = 3,
    STATUS_RUN_FAILED = 125, /* from here on as env(1) */
    STATUS_CANNOT_EXEC = 126,
    STATUS_NO_COMMAND = 127,
    STATUS_SIGNAL = 128, /* plus the number of the signal */
};

enum option_index {
    OPTION_PLUGIN,
    OPTION_MANIFEST,
    OPTION_SLUG,
    OPTION_BACKEND,
    OPTION_INTERNAL_NETWORK,
    OPTION_EGRESS_NETWORK,
    OPTION_OPTIONS,
    OPTION_EVENTS,
    OPTION_GRACE,
    OPTION_JSON,
    OPTION_PROMETHEUS,
    OPTION_WATCH,
    OPTION_ORPHANS,
    OPTION_HELP,
    OPTION_COUNT,
};

#define SIDECAR_MAX 16

/* The command line. */
struct request {
    const char *value[OPTION_COUNT]; /* NULL: not given; "" for an option that takes none */
    const char *plugins[SIDECAR_MAX];
    size_t plugin_count;
    json_object *start_options; /* SIDECAR → object */
    int64_t grace_ms;           /* --grace; negative: not given */
    const char *bottle;         /* NULL: none */
    char **command;             /* what follows "--", NULL-terminated; NULL: there is no "--" */
};

/* ---- print.c ---- */

/*
 * Prints one line, or a part of it that has no end.  Of what comes in through the arguments, harmful characters
 * (utf8.h) are written as \xNN.
 */
void print_line(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void print_part(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints "sample-host: MESSAGE", as one harmless line, on standard error.  Returns false. */
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints JSON, laid out for people. */
bool print_json(json_object *object);

struct failure;

/*
 * What people call an upstream: its alias, what stands between, and HOST:PORT, as far as it has them; else its
 * JSON.
 */
void describe_upstream(json_object *upstream, const char *between, struct failure *text);

/* ---- main.c ---- */

/* Makes a path; a path that is too long is an error. */
bool make_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Reads a regular file of at most max_bytes without NUL.
 * @text: out: malloc'ed; NULL if there is no such file, which is an error unless optional
 */
bool read_text_file(int dir_fd, const char *name, size_t max_bytes, bool optional, char **text);

/* object[key] if it is a string, else NULL; the text lives as long as it is there. */
const char *text_member(json_object *object, const char *key);

/* Takes value over, also when it cannot be added. */
bool set_member(json_object *object, const char *key, json_object *value);
bool set_text(json_object *object, const char *key, const char *text); /* UTF-8 */

/* ---- bottle.c ---- */

struct plugins {
    struct bottle_plugin *loaded[SIDECAR_MAX];
    size_t count;
};
#define CLEANUP_PLUGINS __attribute__((cleanup(plugins_unload)))

/* Loads what --plugin names; with_default: if it names none, the sidecars that came with this program. */
bool plugins_load(struct plugins *plugins, const struct request *request, bool with_default);
void plugins_unload(struct plugins *plugins);
/* Refuses --options for a sidecar that no plugin has. */
bool plugins_check_options(const struct plugins *plugins, const struct request *request);

struct sidecar {
    const struct bottle_plugin *plugin;
    json_object *plan;   /* NULL for one that an earlier process started */
    json_object *record; /* what state.json says of it: text members only */
};

struct bottle {
    char *name;
    char *slug;
    /* One that moved to another backend comes twice, as what it left may still drain. */
    struct sidecar sidecars[2 * SIDECAR_MAX];
    size_t count;
    bool in_engine; /* there may be networks of the slug's (networks.c) */
};
#define CLEANUP_BOTTLE __attribute__((cleanup(bottle_clear)))

void bottle_clear(struct bottle *bottle);

/*
 * Finds the request's bottle in the manifest.
 * @bottle: out: its name, and the slug: --slug, else the name
 * @text:   out: its JSON, malloc'ed
 */
bool manifest_find(const struct request *request, struct bottle *bottle, char **text);

struct directory;

/* Prepares a sidecar of every plugin, each with a stage dir of its own in the directory. */
bool bottle_prepare(struct bottle *bottle, const char *text, const struct plugins *plugins,
                    const struct directory *directory);

/* Drops the sidecars that the bottle asks nothing of: their plans have no upstreams. */
void bottle_drop_idle(struct bottle *bottle);

/*
 * Chooses the backend, the request's or each sidecar's first, and fills in the networks.
 * @internal_network, @egress_network: NULL: for a backend "docker" the bottle's own (networks.c); else
 *                    the egress network "host", and an error for the internal one
 */
bool bottle_configure(struct bottle *bottle, const struct request *request,
                      const char *internal_network, const char *egress_network);

/*
 * Starts the sidecars, in order, up to the first that fails; keeps state.json up to date.
 * @for_run: they end with this program; and one that cannot serve in a network namespace
 *           (BOTTLE_UNSUPPORTED) is reported and dropped
 */
bool bottle_start(struct bottle *bottle, const struct request *request, bool for_run,
                  const struct directory *directory);

/* Stops the sidecars, last one first, all that can be stopped. */
bool bottle_stop(const struct bottle *bottle);

/* Stops the sidecars and, when all are stopped, removes the bottle's networks and the directory. */
bool bottle_end(const struct bottle *bottle, const struct directory *directory);

/* The same for a bottle that did not come up: those of its sidecars that were started. */
bool bottle_give_up(struct bottle *bottle, const struct directory *directory);

/*
 * Finds the plugins of the sidecars that an earlier process started: among those that --plugin names, else
 * where they were loaded from then; what is loaded for it is added to plugins.
 */
bool bottle_attach(struct bottle *bottle, const struct request *request, struct plugins *plugins);

/*
 * Moves a running sidecar of a bottle that was attached to the sidecar's plugin, and to the backend and the
 * networks of the request; what the request does not say stays as it is.  Keeps state.json up to
 * date.  On failure, which was reported, the old one goes on.
 * @swapped: out: the one that serves now
 * @text:    the bottle's JSON
 */
enum bottle_result bottle_swap_sidecar(struct bottle *bottle, struct sidecar **swapped,
                                       const struct request *request, const char *text,
                                       const struct directory *directory);

/* As it is written down: start has returned. */
bool sidecar_is_started(const struct sidecar *sidecar);
bool sidecar_is_in_engine(const struct sidecar *sidecar);
/* The other one of a sidecar that comes twice; NULL. */
struct sidecar *bottle_twin(struct bottle *bottle, const struct sidecar *sidecar);
/* Drops of those that come twice what has ended where it was; one of the two stays. */
void bottle_forget_moved(struct bottle *bottle);

/* What a sidecar says of itself.  BOTTLE_NOT_FOUND: it does not run.  Anything else was reported. */
enum bottle_result sidecar_status(const struct sidecar *sidecar, json_object **status);

/* ---- state.c ---- */

/* A directory: of one slug, or the one that holds those. */
struct directory {
    int parent_fd; /* not its own */
    char path[PATH_MAX];
    const char *name; /* in parent_fd; points into path */
    int fd;           /* -1: it is not there, or not open */
};
#define CLEANUP_DIRECTORY __attribute__((cleanup(directory_close)))
#define NO_DIRECTORY      ((struct directory){.fd = -1})

bool state_open(struct directory *root);
/* A new private directory in $TMPDIR or /tmp. */
bool directory_temporary(struct directory *directory);
/* Makes a directory in the directory; path: out: where. */
bool directory_add(const struct directory *directory, const char *name, char path[PATH_MAX]);
/*
 * Waits until nobody else has it locked.  fd is -1 then if it was removed or replaced meanwhile.
 */
bool directory_lock(struct directory *directory);
void directory_unlock(const struct directory *directory);
void directory_close(struct directory *directory);
/* Removes it, the files in it, the directories in it and the files in those.  Nothing else belongs there. */
bool directory_remove(const struct directory *directory);

/* Takes a slug: makes and locks its directory.  What is left of sidecars that are gone is removed. */
bool state_claim(const struct directory *root, const char *slug, const struct request *request,
                 struct directory *directory);
/* A bottle as state.json has it; NULL when memory ran out. */
json_object *state_object(const struct bottle *bottle);
bool state_save(const struct directory *directory, const struct bottle *bottle);
bool state_load(const struct directory *directory, struct bottle *bottle);

/* What to do with a bottle that is written down; its directory is not locked. */
typedef bool (*state_visit)(void *context, struct directory *directory, struct bottle *bottle);

/*
 * Visits the bottles that the request names: BOTTLE and --slug, or all, in the order of their slugs.  False if
 * anything failed.
 */
bool state_walk(const struct directory *root, const struct request *request, state_visit visit,
                void *context);

/* ---- networks.c ---- */

#define NETWORK_NAME_SIZE 64

/* A bottle's own: claude-bottle-net-SLUG, which is internal, and claude-bottle-egress-SLUG. */
void network_name(char name[NETWORK_NAME_SIZE], bool internal, const char *slug);

/*
 * Makes those of the bottle's own networks that the sidecar's plan names and the engine has not, if it is
 * to run there.  Sets in_engine, unless no engine answers: there is nothing to remove then.
 */
bool networks_provide(struct bottle *bottle, const struct sidecar *sidecar);
/* Removes those that networks_provide() made for the slug. */
bool networks_remove(const char *slug);
/* Removes this user's containers and networks of slugs that are not written down; says which. */
bool remove_orphans(const struct directory *root, const struct request *request);

/* ---- the commands: each returns the exit status ---- */

/* Prints the gates of the "bottles" of `status --json` (prometheus.c). */
void print_prometheus(json_object *bottles);
/* Says that the request's bottle is not up, and what is. */
void say_not_up(const struct directory *root, const struct request *request);

int command_plugins(const struct request *request);
int command_plan(const struct request *request);
int command_up(const struct request *request);
int command_status(const struct request *request);
int command_swap(const struct request *request);
int command_down(const struct request *request);
int command_run(const struct request *request);

/* ---- run.c and inside.c ---- */

/* The process inside: takes its steps with the launcher (run.c), then executes the command. */
_Noreturn void inside_bottle(int link, const struct bottle *bottle, char *const *command);

/* Tell the other side that this one has done its step; wait for the other side's.  False: it is gone. */
bool tell_step(int link);
bool await_step(int link);

#endif
