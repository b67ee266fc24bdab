/* SPDX-License-Identifier: MIT */
/*
 * bottle/sidecar.h: the contract between a launcher (host) and a sidecar plugin.
 *
 * A bottle is the sandbox of one agent.  A sidecar is what a bottle may have beside it: a gate for SSH,
 * a proxy for HTTP.  A sidecar comes as one shared object, a plugin.  A launcher loads any number of
 * plugins with dlopen(3) and takes each through the same life:
 *
 *     entry     bottle_sidecar_entry() returns the table of operations
 *     prepare   the bottle's part of the manifest becomes a plan, and files in a stage directory
 *     start     the plan becomes something that runs; the target names it from here on
 *     status    what it is doing
 *     drain     it accepts nothing new, and goes when what it has is done
 *     stop      it is gone
 *
 * Nothing here needs more than the C library: C11, C++ and any foreign-function interface can use it.
 * bottle/host.h is a loader for launchers written in C; tests/python_launcher.py is one without it.
 *
 * Text.  Every string is NUL-terminated UTF-8.  Structured data (bottle, plan, options, status) crosses
 * as the text of one JSON value (RFC 8259), never as a library's object.
 *
 * Ownership.  What the host passes in stays the host's and is not used after the call returns.  What a
 * plugin passes out (plan, target, status, message) is the host's until it gives it back with the
 * table's release(), which it does exactly once for each.
 *
 * Errors.  Every operation returns a bottle_result.  On BOTTLE_OK the operation's output is set and
 * message is NULL.  On anything else the output is NULL and message says, in one line without a newline
 * at its end, which thing is at fault, with what value, and what to do about it; it is NULL only when
 * memory ran out.  A failed operation leaves nothing behind that it made.
 *
 * Threads.  Every operation may be called from any thread at any time, also for the same slug or target.
 * A plugin keeps no mutable state of its own between calls, so dlclose(3) is safe whenever no call is
 * under way, also while sidecars run; they are reached again by their targets.  A second copy of a plugin may
 * be loaded beside the first.
 *
 * Reach.  What runs in an engine is reached by whoever the engine lets in.  What runs as a process is reached
 * by its user, from every process in the same PID namespace that has its /proc: there stop always ends it.
 * Its status, and a drain, may be BOTTLE_UNAVAILABLE from another network namespace than that of the thread
 * that started it, and a takeover is.  A short target is the caller's own.  ssh_gate lets root reach what
 * other users run, by the long target, but take none of it over, and says BOTTLE_DENIED, never BOTTLE_OK,
 * to whoever may not reach what there is; another plugin may see nothing of other users' processes.
 * Where /proc hides processes (hidepid), only root, and the network namespace of the thread
 * that started it, see that something runs; a thread that has left its process's namespace is told
 * BOTTLE_UNAVAILABLE there, also by stop, and another process that nothing runs.
 *
 * Manners.  A plugin never exits, aborts or prints, installs no signal handler, leaves no thread and no
 * child for its host to reap, and changes neither the working directory nor the environment, the umask,
 * the locale or the signal dispositions of its host.  It raises no SIGCHLD in its host, with the exception
 * below.  It logs through the host's callback.
 *
 * A host that is the first process of its container (its process id there is 1), or a subreaper
 * (PR_SET_CHILD_SUBREAPER), is the parent of every process that has no other, as soon as the one that made it
 * has ended; so also of a sidecar that runs as a process, whichever plugin or host started it.  When that ends,
 * such a host gets a SIGCHLD, as for any child.  stop, and a start that fails, reap it, so nothing is left when
 * they return, unless the host reaps all of its children anyway (waitpid(-1, …), or SIGCHLD ignored), which
 * does no harm.  A sidecar that ends in any other way (after a drain, after a takeover, with its launcher,
 * killed) is the host's to reap: until then its process id is not free.  A sidecar may be more than one
 * process: where it is killed, those that it made end at once, and are the host's to reap as well.
 *
 * Versions.  The major number changes when an old plugin or host could no longer work; a host refuses a
 * plugin of another major than its own.  The minor number changes when something is added: a result, or a
 * field at the end of a struct, behind its old size.  A field of a later minor version is always optional,
 * and zero means that the struct is as it was without the field.
 *
 * Every struct starts with its own size as its writer knows it; the writer sets to zero what it does not
 * use.  A reader looks only at fields that lie wholly inside that size (BOTTLE_HAS), and takes the rest as
 * zero, so that an older host runs a newer plugin and the other way round.  It refuses a struct that is
 * smaller than it was in version 1.0: an argument struct with BOTTLE_INVALID and no message, for which
 * there may be no place.
 *
 * A reader may also know less than the writer.  In the table and in bottle_host, what it does not know is
 * an offer, which it leaves alone.  In an argument struct it is a request, so a plugin that finds anything
 * but zero behind the fields that it knows does nothing and returns BOTTLE_UNSUPPORTED.
 */
#ifndef BOTTLE_SIDECAR_H
#define BOTTLE_SIDECAR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BOTTLE_SIDECAR_ABI_MAJOR 1u
#define BOTTLE_SIDECAR_ABI_MINOR 1u

/* Whether a struct, by its struct_size, is long enough to hold the field. */
#define BOTTLE_HAS(pointer, field)                                                                 \
    ((size_t)((const char *)(&(pointer)->field + 1) - (const char *)(pointer)) <=                  \
     (pointer)->struct_size)

/* The one symbol a plugin exports; see bottle_sidecar_entry_function. */
#define BOTTLE_SIDECAR_ENTRY "bottle_sidecar_entry"

/*
 * What an operation returns.  An int in every binding.  Later minor versions may add values: a host
 * treats one it does not know as BOTTLE_INTERNAL.
 */
enum bottle_result {
    BOTTLE_OK = 0,
    BOTTLE_INVALID = 1,     /* an argument is wrong: JSON, grammar, range, unknown key or backend */
    BOTTLE_CONFLICT = 2,    /* it runs already, or something else holds the port or name */
    BOTTLE_UNAVAILABLE = 3, /* something needed is not there: namespace, address, engine, image */
    BOTTLE_TIMEOUT = 4,     /* it did not answer in time */
    BOTTLE_DENIED = 5,      /* the operating system or the engine does not permit it */
    BOTTLE_NOT_FOUND = 6,   /* status, drain, start's takeover: nothing runs under this target */
    BOTTLE_UNSUPPORTED = 7, /* this plugin or backend has no such operation or argument */
    BOTTLE_INTERNAL = 8,    /* a fault of the plugin, or memory or descriptors ran out */
};

/* Complete: no minor version adds to these. */
enum bottle_log_level {
    BOTTLE_LOG_DEBUG = 0,
    BOTTLE_LOG_INFO = 1,
    BOTTLE_LOG_WARNING = 2,
    BOTTLE_LOG_ERROR = 3,
};

/* What a host offers to a plugin for the time of one call. */
struct bottle_host {
    size_t struct_size; /* sizeof(struct bottle_host) */

    /*
     * Takes one line of UTF-8 without a newline.  Called on the thread that called the operation, only
     * before the operation returns.  The text is the plugin's: copy what is to be kept.  May be NULL:
     * the plugin then says nothing.
     */
    void (*log)(void *log_context, enum bottle_log_level level, const char *text);
    void *log_context; /* handed to log as it is; the plugin does not look at it */
};

/*
 * prepare: what the bottle asks for becomes a plan.  Touches no network, engine or process: it reads the
 * bottle and writes files into the stage directory, all of them or none.  A sidecar of that stage
 * directory may be running: what its agent uses stays as it is until start.
 *
 * A stage directory belongs to the slug that was first prepared in it, for all sidecars: prepare and start of
 * another slug there are BOTTLE_CONFLICT, also when nothing of the first one runs any more.  The same slug may
 * come again, for a takeover or another run.  To give the directory to another slug, remove what is in it, or
 * the file ".slug" alone.
 */
struct bottle_prepare {
    size_t struct_size;             /* in: sizeof(struct bottle_prepare) */
    const struct bottle_host *host; /* in: may be NULL */
    const char *bottle;    /* in: JSON object, the bottle as the manifest has it; 1 MiB at most */
    const char *slug;      /* in: the short name of this run: [a-z0-9][a-z0-9-]{0,39} */
    const char *stage_dir; /* in: a directory that the host made, writable, not a symlink */
    char *plan;            /* out: JSON object, everything start needs */
    char *message;         /* out: on failure */
};

/*
 * The plan's members that every sidecar has:
 *   "sidecar"           string: the plugin's name; start refuses the plan of another sidecar
 *   "slug"              string
 *   "upstreams"         array: what this sidecar opens; empty means that there is nothing to start
 *   "internal_network"  string: empty after prepare; the host fills it in before start
 *   "egress_network"    string: the same
 * The rest is the sidecar's own; a host may read it and must hand it on unchanged.
 */

/*
 * start: the plan becomes a running sidecar.  Returns when it accepts connections on every port.  Refuses
 * a plan without upstreams or with an empty network.  BOTTLE_UNSUPPORTED for a kind of network on which
 * the backend cannot serve at all: a host may go on without the sidecar.
 *
 * With takeover it takes the place of a running sidecar of the same slug, which another build of the
 * plugin may have started.  Where both listen on an address, no connection to it is refused or
 * reset.  From then on the old one drains without a bound; drain(its long target, grace_ms) sets one.
 * If start fails, the old one serves as before.  If the host dies before start returns, one of the two
 * serves: the status of the short target tells which.  The old one may be of another backend: the new one
 * has another address then, what the plan names for the agent leads there before the old one stops
 * accepting, and if the host dies half-way both may serve.  A takeover fails with
 *     BOTTLE_NOT_FOUND    nothing runs under the target
 *     BOTTLE_CONFLICT     what runs drains already, or another host is just taking it over
 *     BOTTLE_UNSUPPORTED  the two, as they were started, cannot do it: stop the old one first
 *     BOTTLE_INVALID      the slugs differ
 */
struct bottle_start {
    size_t struct_size;             /* in: sizeof(struct bottle_start) */
    const struct bottle_host *host; /* in: may be NULL */
    const char *plan;               /* in: prepare's plan with the networks filled in */
    const char *backend;            /* in: one of the table's backends, any other is
                                       BOTTLE_INVALID; NULL means the first */
    const char *options;  /* in: JSON object, what this backend lets the host choose; NULL means {}.
                                       A key that the backend does not know is an error. */
    const char *takeover; /* in: the target of a running sidecar to take over from, or NULL */
    char *target;         /* out: names what runs, for whoever can reach it */
    char *message;        /* out: on failure */
};

/*
 * A target is BACKEND:SLUG, or BACKEND:SLUG:INSTANCE to mean that one run and no later one of the same
 * slug; start returns the long form.  The operations below take both, so a launcher that was killed
 * between start and writing the target down can still find what it started.  The short form means
 * the one that serves, for status one that drains if none does; for stop, also those that were taken over
 * and still drain.  A target whose backend
 * this plugin does not have is BOTTLE_INVALID, also for stop: a plugin that has it started what runs there.
 */

/* stop: it is gone when this returns.  A target under which nothing runs is BOTTLE_OK. */
struct bottle_stop {
    size_t struct_size;             /* in: sizeof(struct bottle_stop) */
    const struct bottle_host *host; /* in: may be NULL */
    const char *target;             /* in */
    char *message;                  /* out: on failure */
};

/*
 * drain: it accepts no more; what is established goes on until it ends, then the sidecar goes by itself.
 * Returns at once.  grace_ms bounds the wait: what is still open then is cut.  Negative: no bound.
 */
struct bottle_drain {
    size_t struct_size;             /* in: sizeof(struct bottle_drain) */
    const struct bottle_host *host; /* in: may be NULL */
    const char *target;             /* in */
    int64_t grace_ms;               /* in: milliseconds */
    char *message;                  /* out: on failure */
};

/* status: what it is doing now. */
struct bottle_status {
    size_t struct_size;             /* in: sizeof(struct bottle_status) */
    const struct bottle_host *host; /* in: may be NULL */
    const char *target;             /* in */
    char *status;                   /* out: JSON object; its members are below */
    char *message;                  /* out: on failure */
};

/*
 * The status object's members that every sidecar has:
 *   "sidecar", "backend", "slug", "target"  strings
 *   "state"      "serving" or "draining"
 *   "address"    string: the host name or IP address at which the agent reaches it
 *   "uptime_ms"  integer
 *   "upstreams"  array of objects
 * The rest is the sidecar's own.
 *
 * An upstream's members are the sidecar's own too, but these mean the same wherever they are, so that a host
 * can show them.  Counters begin with this run: a sidecar that took over has its own, from zero.
 *   "connections_now"      integer: open, or being dialled or refused
 *   "connections_total"    integer: all that were accepted, those included
 *   "connections_refused"  integer: of them, those whose client got no upstream
 *   "bytes_up", "bytes_down"  integers: away from the agent, and towards it
 *   "dial_time"   how long clients waited for their upstream; null, or an object of integers: "count",
 *                 "sum_us", and "p50_us" and "p99_us", which half and 99 of 100 did not exceed; microseconds
 *   "last_error"  null, or an object: "message", a string, and "ago_ms", milliseconds since then by
 *                 CLOCK_MONOTONIC, which no change of the date moves
 */

/*
 * Where a backend has the two networks of a plan, so that a host can fill them in without knowing the backend by
 * its name.  Later minor versions may add values: a host treats one it does not know as BOTTLE_NETWORKS_UNKNOWN.
 */
enum bottle_networks {
    /* The backend's own affair: whoever starts it has to name both. */
    BOTTLE_NETWORKS_UNKNOWN = 0,
    /* This machine's: an address or a network namespace.  The egress network "host" is where the caller dials from. */
    BOTTLE_NETWORKS_MACHINE = 1,
    /* A container engine's, by name.  A host may make both, the internal one without a way out. */
    BOTTLE_NETWORKS_ENGINE = 2,
};

/* The table of operations: constant, alive until dlclose. */
struct bottle_sidecar {
    size_t struct_size;          /* sizeof(struct bottle_sidecar) */
    uint32_t abi_major;          /* BOTTLE_SIDECAR_ABI_MAJOR */
    uint32_t abi_minor;          /* BOTTLE_SIDECAR_ABI_MINOR */
    const char *name;            /* [a-z0-9_]{1,32}, for example "ssh_gate" */
    const char *version;         /* the plugin's own, for people */
    const char *description;     /* one line, for people */
    const char *const *backends; /* NULL-terminated, at least one; the first is the default */

    enum bottle_result (*prepare)(struct bottle_prepare *arguments);
    enum bottle_result (*start)(struct bottle_start *arguments);
    enum bottle_result (*stop)(struct bottle_stop *arguments);
    enum bottle_result (*drain)(struct bottle_drain *arguments);   /* optional: may be NULL */
    enum bottle_result (*status)(struct bottle_status *arguments); /* optional: may be NULL */

    /* Frees what an operation of this same plugin put out.  NULL is allowed. */
    void (*release)(char *text);

    /*
     * Since 1.1.  An enum bottle_networks for each of backends, in the same order.  Optional: where it is NULL, as in
     * a plugin of version 1.0, all are BOTTLE_NETWORKS_UNKNOWN.
     */
    const uint32_t *backend_networks;
};

/* bottle_sidecar_entry: returns the table, the same each time.  Does nothing else. */
typedef const struct bottle_sidecar *(*bottle_sidecar_entry_function)(void);

#ifdef __cplusplus
}
#endif

#endif
