/* SPDX-License-Identifier: MIT */
/*
 * test_threads.c: the plugin in many threads at once, two copies of it in one process, and gates that
 * outlive the plugin that started them.  Also built and run with ThreadSanitizer (SANITIZE=thread).
 *
 * A program of its own, because Criterion's does not start under ThreadSanitizer, which leaves no room
 * at the addresses where Criterion wants its shared memory.
 *
 * Each scenario gives its 16 workers a slug, a port and a stage directory, lets all threads begin at one
 * moment, and passes when no worker has a failure to tell.
 */
#include "common/cleanup.h"
#include "common/text/json_object.h"
#include "directory.h"

#include <bottle/host.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS    16
#define FIRST_PORT 2200
#ifdef __SANITIZE_ADDRESS__ /* a relay with LeakSanitizer takes long to end */
#define ROUNDS 1
#else
#define ROUNDS 5
#endif

/* The gates end with this program however it ends. */
#define OPTIONS "{\"exit_with_launcher\": true}"

struct worker {
    pthread_t thread;
    pthread_t self;                    /* as the thread itself knows it */
    const struct bottle_plugin *mine;  /* prepares and starts */
    const struct bottle_plugin *other; /* asks and stops */
    char slug[41];
    char stage_dir[64];
    uint16_t port;
    char *plan;
    char *target;
    enum bottle_result started;
    char failure[512]; /* "": none */
};

static struct worker workers[WORKERS];
static pthread_barrier_t begin;
static char scratch[] = "/tmp/test_threads.XXXXXX";
static char plugin_path[4096], copy_path[64];
static char address[INET_ADDRSTRLEN]; /* of 127.0.0.0/8, by the process id: nobody else's */

/* ---- what a worker does; in its thread ---- */

/* Keeps the first failure.  Returns false. */
__attribute__((format(printf, 2, 3))) static bool fail(struct worker *worker, const char *format,
                                                       ...)
{
    va_list arguments;

    if (worker->failure[0])
        return false;
    va_start(arguments, format);
    (void)vsnprintf(worker->failure, sizeof worker->failure, format, arguments);
    va_end(arguments);
    return false;
}

static bool expect(struct worker *worker, const char *operation, enum bottle_result result,
                   enum bottle_result expected, const char *message)
{
    return result == expected ||
           fail(worker, "%s: %s, not %s: %s", operation, bottle_result_name(result),
                bottle_result_name(expected), message ? message : "no message");
}

/* The header's promise: on the thread that called the operation. */
static void take_log(void *log_context, enum bottle_log_level level, const char *text)
{
    struct worker *worker = log_context;

    (void)level;
    if (!pthread_equal(worker->self, pthread_self()))
        (void)fail(worker, "logged from another thread: %s", text);
}

static struct bottle_host host_of(struct worker *worker)
{
    return (struct bottle_host){
        .struct_size = sizeof(struct bottle_host), .log = take_log, .log_context = worker};
}

static bool set_networks(struct worker *worker)
{
    CLEANUP_JSON json_object *plan = json_tokener_parse(worker->plan);

    if (!plan || !object_add_text(plan, "internal_network", address) ||
        !object_add_text(plan, "egress_network", "host"))
        return fail(worker, "the plan takes no networks: %s", worker->plan);
    free(worker->plan);
    worker->plan = strdup(json_object_to_json_string(plan));
    return worker->plan || fail(worker, "out of memory");
}

static bool prepare(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    char bottle[128];
    CLEANUP_FREE char *message = NULL;

    (void)snprintf(
        bottle, sizeof bottle,
        "{\"ssh\": [{\"Host\": \"example\", \"Hostname\": \"127.0.0.1\", \"Port\": %u}]}",
        worker->port);
    free(worker->plan);
    enum bottle_result result = bottle_plugin_prepare(worker->mine, &host, bottle, worker->slug,
                                                      worker->stage_dir, &worker->plan, &message);
    return expect(worker, "prepare", result, BOTTLE_OK, message) && set_networks(worker);
}

static bool start(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *message = NULL;

    worker->started = bottle_plugin_start(worker->mine, &host, worker->plan, "native", OPTIONS,
                                          NULL, &worker->target, &message);
    return expect(worker, "start", worker->started, BOTTLE_OK, message);
}

static bool status(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *message = NULL;
    enum bottle_result result =
        bottle_plugin_status(worker->other, &host, worker->target, &text, &message);

    if (!expect(worker, "status", result, BOTTLE_OK, message))
        return false;
    CLEANUP_JSON json_object *object = json_tokener_parse(text);
    return (strcmp(object_text(object, "target"), worker->target) == 0 &&
            strcmp(object_text(object, "slug"), worker->slug) == 0 &&
            strcmp(object_text(object, "state"), "serving") == 0) ||
           fail(worker, "the status of %s is another's: %s", worker->target, text);
}

/* Nothing runs under the target. */
static bool is_gone(struct worker *worker)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *message = NULL;
    enum bottle_result result =
        bottle_plugin_status(worker->other, NULL, worker->target, &text, &message);

    return expect(worker, "status after stop", result, BOTTLE_NOT_FOUND, message);
}

static bool drain(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *message = NULL;

    return expect(worker, "drain",
                  bottle_plugin_drain(worker->other, &host, worker->target, 1000, &message),
                  BOTTLE_OK, message);
}

static bool stop(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *message = NULL;

    return expect(worker, "stop",
                  bottle_plugin_stop(worker->other, &host, worker->target, &message), BOTTLE_OK,
                  message);
}

/* The gate's port, which connects or refuses. */
static bool expect_connect(struct worker *worker, int expected)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(worker->port)};
    CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        return fail(worker, "socket: %s", strerror(errno));
    int error = connect(fd, (struct sockaddr *)&peer, sizeof peer) ? errno : 0;
    return error == expected || fail(worker, "connecting to %s:%u: %s, not %s", address,
                                     worker->port, strerror(error), strerror(expected));
}

static bool stop_and_see(struct worker *worker)
{
    bool stopped = stop(worker);

    stopped = stop(worker) && stopped; /* what is not there is stopped */
    stopped = is_gone(worker) && stopped;
    free(worker->target);
    worker->target = NULL;
    return stopped && expect_connect(worker, ECONNREFUSED);
}

static bool whole_life(struct worker *worker)
{
    return prepare(worker) && start(worker) && status(worker) && expect_connect(worker, 0) &&
           status(worker) && stop_and_see(worker);
}

static bool many_lives(struct worker *worker)
{
    for (int round = 0; round < ROUNDS; round++)
        if (!whole_life(worker))
            return false;
    /* Once without a stop: a drained gate without a connection goes by itself. */
    if (!prepare(worker) || !start(worker) || !drain(worker))
        return false;
    return stop_and_see(worker);
}

static bool prepare_and_start(struct worker *worker)
{
    return prepare(worker) && start(worker) && status(worker);
}

/* One of all has the slug; the others are told so. */
static bool start_the_same(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *message = NULL;

    if (!prepare(worker))
        return false;
    worker->started = bottle_plugin_start(worker->mine, &host, worker->plan, NULL, OPTIONS, NULL,
                                          &worker->target, &message);
    return worker->started == BOTTLE_OK ||
           expect(worker, "start", worker->started, BOTTLE_CONFLICT, message);
}

static bool load_use_and_unload(struct worker *worker)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct bottle_plugin *plugin = NULL;
        CLEANUP_FREE char *message = NULL;
        enum bottle_result result = bottle_plugin_load(plugin_path, &plugin, &message);
        worker->mine = worker->other = plugin;
        bool lived = expect(worker, "load", result, BOTTLE_OK, message) && whole_life(worker);
        bottle_plugin_unload(plugin);
        if (!lived)
            return false;
    }
    return true;
}

static bool start_without_engine(struct worker *worker)
{
    const struct bottle_host host = host_of(worker);
    CLEANUP_FREE char *message = NULL;
    CLEANUP_FREE char *target = NULL;

    if (!prepare(worker))
        return false;
    enum bottle_result result = bottle_plugin_start(worker->mine, &host, worker->plan, "docker",
                                                    "{}", NULL, &target, &message);
    return expect(worker, "start without an engine", result, BOTTLE_UNAVAILABLE, message);
}

/* ---- all of them ---- */

struct task {
    struct worker *worker;
    bool (*body)(struct worker *worker);
};

static void *run_task(void *context)
{
    const struct task *task = context;

    task->worker->self = pthread_self();
    (void)pthread_barrier_wait(&begin);
    (void)task->body(task->worker);
    return NULL;
}

/* Runs body in as many threads as there are workers; prints what failed. */
static bool run_workers(bool (*body)(struct worker *worker))
{
    struct task tasks[WORKERS];
    bool passed = true;

    if (pthread_barrier_init(&begin, NULL, WORKERS))
        abort();
    for (size_t i = 0; i < WORKERS; i++) {
        tasks[i] = (struct task){&workers[i], body};
        if (pthread_create(&workers[i].thread, NULL, run_task, &tasks[i]))
            abort(); /* the others would wait for it */
    }
    for (size_t i = 0; i < WORKERS; i++) {
        if (pthread_join(workers[i].thread, NULL))
            abort();
        if (workers[i].failure[0] == '\0')
            continue;
        printf("        %s: %s\n", workers[i].slug, workers[i].failure);
        passed = false;
    }
    if (pthread_barrier_destroy(&begin))
        abort();
    return passed;
}

/* Workers with nothing in common but the plugin, each with a stage directory that no slug has had. */
static void make_workers(const struct bottle_plugin *plugin)
{
    static unsigned scenario;

    scenario++;
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker *worker = &workers[i];
        free(worker->plan);
        free(worker->target);
        *worker =
            (struct worker){.mine = plugin, .other = plugin, .port = (uint16_t)(FIRST_PORT + i)};
        (void)snprintf(worker->slug, sizeof worker->slug, "threads-%d-%u", getpid(), i);
        (void)snprintf(worker->stage_dir, sizeof worker->stage_dir, "%s/%u-%u", scratch, scenario,
                       i);
        if (mkdir(worker->stage_dir, 0700)) {
            perror(worker->stage_dir);
            exit(1);
        }
    }
}

static struct bottle_plugin *load(const char *path)
{
    struct bottle_plugin *plugin = NULL;
    CLEANUP_FREE char *message = NULL;

    if (bottle_plugin_load(path, &plugin, &message) != BOTTLE_OK) {
        printf("%s\n", message ? message : "out of memory");
        exit(1);
    }
    return plugin;
}

/* ---- scenarios ---- */

static bool one_plugin(void)
{
    struct bottle_plugin *plugin = load(plugin_path);

    make_workers(plugin);
    bool passed = run_workers(many_lives);
    bottle_plugin_unload(plugin);
    return passed;
}

/* What one copy starts, the other finds; and each works for half of the threads. */
static bool two_copies(void)
{
    struct bottle_plugin *first = load(plugin_path);
    struct bottle_plugin *second = load(copy_path);

    make_workers(first);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].mine = i % 2 ? first : second;
        workers[i].other = i % 4 < 2 ? first : second;
    }
    bool passed = bottle_plugin_table(first)->prepare != bottle_plugin_table(second)->prepare;
    passed = run_workers(many_lives) && passed;
    bottle_plugin_unload(first);
    bottle_plugin_unload(second);
    return passed;
}

static bool one_slug(void)
{
    struct bottle_plugin *plugin = load(plugin_path);
    size_t winners = 0;

    make_workers(plugin);
    for (size_t i = 1; i < WORKERS; i++) {
        memcpy(workers[i].slug, workers[0].slug, sizeof workers[i].slug);
        workers[i].port = workers[0].port;
    }
    bool passed = run_workers(start_the_same);
    const char *target = NULL;
    for (size_t i = 0; i < WORKERS; i++)
        if (workers[i].started == BOTTLE_OK) {
            winners++;
            target = workers[i].target;
        }
    if (winners != 1) {
        printf("        %zu of %d have started %s\n", winners, WORKERS, workers[0].slug);
        return false;
    }
    for (size_t i = 0; i < WORKERS; i++)
        if (!workers[i].target)
            workers[i].target = strdup(target);
    passed = run_workers(status) && passed;
    passed = run_workers(stop_and_see) && passed;
    bottle_plugin_unload(plugin);
    return passed;
}

static bool loading(void)
{
    make_workers(NULL);
    return run_workers(load_use_and_unload);
}

static bool no_engine(void)
{
    struct bottle_plugin *plugin = load(plugin_path);
    char engine[sizeof scratch + 32];

    (void)snprintf(engine, sizeof engine, "unix://%s/no-engine", scratch);
    if (setenv("DOCKER_HOST", engine, 1))
        abort();
    make_workers(plugin);
    bool passed = run_workers(start_without_engine);
    bottle_plugin_unload(plugin);
    return passed;
}

static bool is_mapped(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[8192];
    bool found = false;

    if (!maps)
        abort();
    while (fgets(line, sizeof line, maps))
        found = found || strstr(line, path);
    (void)fclose(maps);
    return found;
}

static bool connects(struct worker *worker)
{
    return expect_connect(worker, 0);
}

static bool unloaded_while_gates_run(void)
{
    struct bottle_plugin *plugin = load(plugin_path);

    make_workers(plugin);
    bool passed = run_workers(prepare_and_start) && is_mapped(plugin_path);
    bottle_plugin_unload(plugin);
    if (is_mapped(plugin_path)) {
        printf("        %s is still mapped\n", plugin_path);
        passed = false;
    }
    passed = run_workers(connects) && passed;

    /* The same file, and another: both know the old targets. */
    plugin = load(plugin_path);
    struct bottle_plugin *copy = load(copy_path);
    for (size_t i = 0; i < WORKERS; i++)
        workers[i].mine = workers[i].other = i % 2 ? plugin : copy;
    passed = run_workers(status) && passed;
    passed = run_workers(stop_and_see) && passed;
    bottle_plugin_unload(plugin);
    bottle_plugin_unload(copy);
    return passed;
}

static bool no_child_is_left(void)
{
    return waitpid(-1, NULL, WNOHANG | (int)__WALL) == -1 && errno == ECHILD;
}

/* ---- the program ---- */

static bool copy_file(const char *from, const char *to)
{
    CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    struct stat file;

    return in >= 0 && out >= 0 && fstat(in, &file) == 0 &&
           sendfile(out, in, NULL, (size_t)file.st_size) == file.st_size;
}

static bool set_up(void)
{
    const char *build = getenv("BUILD_DIR");
    unsigned int pid = (unsigned int)getpid();

    if (!build || !mkdtemp(scratch)) {
        printf("BUILD_DIR is not set, or there can be no %s: run the tests with ctest\n", scratch);
        return false;
    }
    (void)snprintf(plugin_path, sizeof plugin_path, "%s/plugin/ssh_gate.so", build);
    (void)snprintf(copy_path, sizeof copy_path, "%s/copy.so", scratch);
    (void)snprintf(address, sizeof address, "127.%u.%u.%u", 64 + (pid >> 16 & 63), pid >> 8 & 255,
                   pid & 255);
    if (copy_file(plugin_path, copy_path))
        return true;
    printf("%s cannot be copied to %s: %s\n", plugin_path, copy_path, strerror(errno));
    return false;
}

int main(void)
{
    static const struct {
        const char *name;
        bool (*passes)(void);
    } scenarios[] = {
        {"16 threads, 16 slugs, one plugin", one_plugin},
        {"16 threads, two copies of the plugin", two_copies},
        {"16 threads start one slug: one wins, all may ask and stop", one_slug},
        {"16 threads load, use and unload", loading},
        {"16 threads look for an engine that is not there", no_engine},
        {"gates outlive the plugin, and are found by another by their old targets",
         unloaded_while_gates_run},
        {"no child is left to reap", no_child_is_left},
    };
    unsigned int passed = 0, failed = 0;

    if (!set_up())
        return 1;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        bool ok = scenarios[i].passes();
        printf("%s  %s\n", ok ? "ok    " : "FAILED", scenarios[i].name);
        (void)fflush(stdout);
        *(ok ? &passed : &failed) += 1;
    }
    make_workers(NULL);
    if (!directory_remove(scratch))
        printf("%s: %s\n", scratch, strerror(errno));
    printf("%u passed, %u failed\n", passed, failed);
    return failed > 0;
}
