/* SPDX-License-Identifier: MIT */
/*
 * sample_host.h: what the parts of sample-host share.
 *
 * main.c      the command line, and one function for each command
 * manifest.c  the manifest: which bottle, under which slug
 * plugins.c   the plugins that are loaded
 * bottle.c    a bottle's sidecars: prepare, start, stop
 * state.c     what runs, in a directory of this user's: another shell's `status` and `down` find it there
 * status.c    the commands `status` and `plugins`: tables for people, JSON for programs
 * run.c       the command `run`, outside the bottle
 * inside.c    the command `run`, inside the bottle
 * text.c      reading files, printing tables
 */
#ifndef SAMPLE_HOST_H
#define SAMPLE_HOST_H

#include "failure.h"

#include <bottle/host.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit statuses; --help has them too. */
enum {
    STATUS_OK = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_NOT_RUNNING = 3,    /* status: not everything that was asked for runs */
    STATUS_RUN_FAILED = 125,   /* run: as env(1), from here on */
    STATUS_CANNOT_EXEC = 126,
    STATUS_NO_COMMAND = 127,
    STATUS_SIGNAL = 128,       /* plus the number of the signal */
};

/* The command line.  Texts are NULL where they were not given. */
struct request {
    const char *manifest;
    const char *bottle;
    const char *slug;
    const char *backend;
    const char *internal_network;
    const char *egress_network;
    const char *events;
    bool json;
    const char **plugins; /* what --plugin named */
    size_t plugin_count;
    json_object *options; /* what --options gave: SIDECAR → object */
    char **command;       /* what follows "--"; NULL-terminated */
};

/* Prints "sample-host: MESSAGE" on standard error. */
void report(const struct failure *failure);

/* ---- text.c ---- */

/*
 * Reads a regular file that holds text.
 * @dir_fd: the directory that a relative name starts from, or AT_FDCWD
 * @text:   out: malloc'ed
 * An error if the file is longer than max_bytes or holds a NUL.  BOTTLE_NOT_FOUND: there is none.
 */
enum bottle_result read_text_file(int dir_fd, const char *name, size_t max_bytes, char **text,
                                  struct failure *failure);

/* object[key] if it is a string, else NULL; lives as long as object. */
const char *text_member(json_object *object, const char *key);

/* object[key] if it is an array, else NULL. */
json_object *array_member(json_object *object, const char *key);

struct table {
    size_t columns;
    size_t count; /* of cells: a multiple of columns */
    char **cells;
    bool incomplete; /* memory ran out */
};
#define CLEANUP_TABLE __attribute__((cleanup(table_clear)))

/* Adds a cell, row after row. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints all rows, columns aligned; false when memory had run out. */
bool table_print(const struct table *table);
void table_clear(struct table *table);

/* ---- plugins.c ---- */

struct plugins {
    struct bottle_plugin **loaded;
    size_t count;
};
#define CLEANUP_PLUGINS __attribute__((cleanup(plugins_unload)))

/* Loads a plugin; refuses a second one of the same name. */
enum bottle_result plugins_add(struct plugins *plugins, const char *name, struct failure *failure);
/* Loads those that --plugin named. */
enum bottle_result plugins_load(struct plugins *plugins, const struct request *request,
                                struct failure *failure);
/* The same; where --plugin named none, the gate that came with this program. */
enum bottle_result plugins_load_or_default(struct plugins *plugins, const struct request *request,
                                           struct failure *failure);
/* The plugin of that name, or NULL. */
const struct bottle_plugin *plugins_find(const struct plugins *plugins, const char *name);
void plugins_unload(struct plugins *plugins);

/* What plugins are called with: their warnings and errors go to standard error. */
extern const struct bottle_host sample_host;

/* Takes a message of bottle/host.h's over, and frees it. */
enum bottle_result plugin_failure(struct failure *failure, enum bottle_result result,
                                  const char *sidecar, char *message);

/* ---- bottle.c ---- */

struct sidecar {
    char *name;
    char *plugin_path;
    char *backend;
    char *target; /* the short one (bottle/sidecar.h) until it is started */
    bool started;
    json_object *plan;                  /* NULL for one that was read from the state */
    const struct bottle_plugin *plugin; /* NULL for one that was read from the state, until attached */
};

struct bottle {
    char *name;
    char *slug;
    struct sidecar *sidecars;
    size_t count;
};
#define CLEANUP_BOTTLE __attribute__((cleanup(bottle_clear)))

void bottle_clear(struct bottle *bottle);

struct directory;

/*
 * Prepares every plugin's sidecar, each with a stage dir of its own in the directory.
 * @text: the bottle's JSON
 */
enum bottle_result bottle_prepare(struct bottle *bottle, const char *text, const struct plugins *plugins,
                                  const struct directory *directory, struct failure *failure);

/* Drops the sidecars that the bottle asks nothing of: their plans have no upstreams. */
void bottle_drop_idle(struct bottle *bottle);

/*
 * Chooses the backend and the networks of every sidecar: those of the request, else the plugin's first
 * backend and, for a native one, the egress network "host".
 */
enum bottle_result bottle_configure(struct bottle *bottle, const struct request *request,
                                    const char *internal_network, struct failure *failure);

/*
 * Starts every sidecar, in order, and writes down in the directory what runs.  If one fails, those that
 * are started are stopped.
 * @exit_with_launcher: ask the sidecars to end with this process, whatever ends it
 */
enum bottle_result bottle_start(struct bottle *bottle, const struct request *request,
                                bool exit_with_launcher, const struct directory *directory,
                                struct failure *failure);

/* Stops every sidecar, last one first.  Reports each error; false if there was one. */
bool bottle_stop(struct bottle *bottle);

/* Finds the plugin of every sidecar that was read from the state: of the same name, else of the same path. */
enum bottle_result bottle_attach(struct bottle *bottle, struct plugins *plugins, struct failure *failure);

/*
 * Takes the slug: locks a new directory for it.  What is left of a run whose sidecars are all gone is
 * removed.  BOTTLE_CONFLICT: it runs.
 */
struct state_root;
enum bottle_result bottle_claim(const char *slug, struct plugins *plugins, const struct state_root *root,
                                struct directory *directory, struct failure *failure);

/* ---- state.c ---- */

/* The directory that has one directory for each slug. */
struct state_root {
    char *path;
    int fd;
};

/* A directory of one bottle: state.json, and a stage dir for each sidecar. */
struct directory {
    int parent_fd; /* not its own */
    char *name;
    char *path; /* absolute */
    int fd;     /* -1: none is open */
};
#define CLEANUP_STATE_ROOT __attribute__((cleanup(state_root_close)))
#define CLEANUP_DIRECTORY  __attribute__((cleanup(directory_close)))

enum bottle_result state_root_open(struct state_root *root, struct failure *failure);
void state_root_close(struct state_root *root);

/* The slugs that have a directory, as a JSON array of strings. */
enum bottle_result state_slugs(const struct state_root *root, json_object **slugs, struct failure *failure);

/* Opens a slug's directory without a lock.  BOTTLE_NOT_FOUND: there is none. */
enum bottle_result directory_open(const struct state_root *root, const char *slug,
                                  struct directory *directory, struct failure *failure);
/*
 * Opens and locks a slug's directory, after whoever has it locked.
 * @created: out: it was not there, and is new; NULL: do not make one, BOTTLE_NOT_FOUND
 */
enum bottle_result directory_lock(const struct state_root *root, const char *slug, bool *created,
                                  struct directory *directory, struct failure *failure);
/* Lets others lock it, and keeps it open. */
void directory_unlock(const struct directory *directory);
/* Locks an open directory again.  BOTTLE_NOT_FOUND: it was removed or replaced meanwhile. */
enum bottle_result directory_relock(const struct directory *directory, struct failure *failure);
/* Closes and unlocks.  A directory with fd -1 is a valid argument. */
void directory_close(struct directory *directory);

/* Makes a directory in the directory. */
enum bottle_result directory_add(const struct directory *directory, const char *name, char **path,
                                 struct failure *failure);
/*
 * Removes the directory, the files in it, the directories in it and the files in those.  Anything else is
 * not ours: an error that names it.
 */
enum bottle_result directory_remove(const struct directory *directory, struct failure *failure);

/* A new private directory for a plan that is only looked at, in $TMPDIR or /tmp. */
enum bottle_result directory_temporary(struct directory *directory, struct failure *failure);

/*
 * state.json.  A directory without one was left by a launcher that was killed before it started anything:
 * that reads as a bottle of the slug's name without sidecars.
 */
enum bottle_result state_load(const struct directory *directory, struct bottle *bottle,
                              struct failure *failure);
enum bottle_result state_save(const struct directory *directory, const struct bottle *bottle,
                              struct failure *failure);

/* ---- manifest.c ---- */

#define SLUG_SIZE 41 /* with NUL */

bool is_slug(const char *text);

/*
 * Reads the manifest and finds the bottle that the request names.
 * @text:   out: its JSON
 * @bottle: out: its name, and the slug: the request's, else the name
 */
enum bottle_result manifest_find(const struct request *request, char **text, struct bottle *bottle,
                                 struct failure *failure);

/* ---- status.c ---- */

int command_plugins(const struct request *request);
int command_status(const struct request *request);

/*
 * What a sidecar says of itself.
 * @status: out: the object; NULL on failure
 * BOTTLE_NOT_FOUND: it does not run.
 */
enum bottle_result sidecar_status(const struct sidecar *sidecar, json_object **status,
                                  struct failure *failure);

/* ---- run.c, inside.c ---- */

int command_run(const struct request *request);

/* The signals' state that the command is to have, as the launcher found it. */
struct signals;

/*
 * The bottle's side of `run`, in a process of its own.
 * @link:    a socket to the launcher, which follows the same steps: one byte each, one end of file when
 *           the other side gave up
 * @bottle:  its plans, after start
 */
_Noreturn void inside_bottle(int link, const struct bottle *bottle, char *const *command);

/* One step of inside_bottle's, on either side: false when the other side is gone. */
bool step_done(int link);
bool await_step(int link);

#endif
