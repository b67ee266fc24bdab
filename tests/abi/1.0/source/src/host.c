/* SPDX-License-Identifier: MIT */
/*
 * host.c: the loader library of bottle/host.h.
 *
 * Loading goes from the outside in, and each step trusts only what the ones before it have checked:
 *
 *     find    a name becomes a path: $BOTTLE_SIDECAR_PATH, then where sidecars are installed, in the tree
 *             that this code lies in and in the one that it was configured for
 *     file    the resolved path is a regular file which, like its directory, nobody but root and this
 *             user may change: whoever can write a plugin can run code as its launcher
 *     ELF     the header and segments are those of a complete shared object for this machine: the
 *             dynamic linker maps what a file claims to hold, and touching what is not there is SIGBUS
 *     code    dlopen(3); from here on code of the file runs
 *     table   size before version, version before the rest of the size, the size before the fields
 *
 * The table that is kept is a copy, cut or filled up with zeros to the size that this version of
 * the header knows, so that nothing behind it has to think about versions again.
 *
 * The operations fill the argument structs, call, and copy what comes out into memory of the host,
 * so that a caller needs free(3) only and may keep a text longer than the plugin.
 */
#include <bottle/host.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

struct bottle_plugin {
    char *path;
    void *handle; /* dlopen's; NULL until then */
    struct bottle_sidecar table;
};

/* The header of the object that this is in, from the linker. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's name */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* The table of version 1.0 ends with release. */
#define TABLE_1_0_SIZE                                                                             \
    (offsetof(struct bottle_sidecar, release) + sizeof(((struct bottle_sidecar *)NULL)->release))

static void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* only read from: nothing is lost by a failure */
}

static void cleanup_plugin(struct bottle_plugin **plugin)
{
    bottle_plugin_unload(*plugin);
}

#define CLEANUP_FREE   __attribute__((cleanup(cleanup_free)))
#define CLEANUP_FD     __attribute__((cleanup(cleanup_fd)))
#define CLEANUP_PLUGIN __attribute__((cleanup(cleanup_plugin)))

/*
 * Writes the message, if the caller wants one, and returns result.  A path may hold any byte:
 * control characters become '?', so that the message stays one line.
 */
__attribute__((format(printf, 3, 4))) static enum bottle_result
fail(char **message, enum bottle_result result, const char *format, ...)
{
    if (message == NULL)
        return result;

    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(message, format, arguments);
    va_end(arguments);
    if (length < 0) {
        *message = NULL; /* undefined after a failure */
        return result;
    }
    for (char *c = *message; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return result;
}

static enum bottle_result result_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return BOTTLE_UNAVAILABLE;
    case EACCES:
    case EPERM:
        return BOTTLE_DENIED;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return BOTTLE_INTERNAL;
    default:
        return BOTTLE_INVALID;
    }
}

/* What a system call left in errno, about a path. */
static enum bottle_result fail_system(char **message, const char *doing, const char *path)
{
    int error = errno;
    return fail(message, result_of_errno(error),
                "cannot %s %s: %s: check the path and who may read it", doing, path,
                strerrordesc_np(error));
}

/* --- find --- */

/*
 * The path of NAME.so in the colon-separated directories, or NULL with errno ENOENT.  A file that
 * is there but unusable counts as found: the caller's error about it helps more than a later file
 * would.
 */
static char *find_in(const char *directories, const char *name)
{
    for (const char *next = directories; *next != '\0';) {
        const char *directory = next;
        size_t length = strcspn(directory, ":");
        next += length + strspn(next + length, ":"); /* an empty one is not the working directory */

        char *path = NULL;
        if (asprintf(&path, "%.*s/%s.so", (int)length, directory, name) < 0) {
            errno = ENOMEM;
            return NULL;
        }
        if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
            return path;
        free(path);
    }
    errno = ENOENT;
    return NULL;
}

/*
 * The directory of sidecars of the installed tree that this code is in, wherever that was put or moved to;
 * NULL if there is none.  It is found from the shared library, or from the program that the static one is
 * linked into, as bin/sample-host.  Not for a program with more rights than its caller, who may have
 * linked it into a tree of theirs.
 */
static char *installed_beside(void)
{
    Dl_info info;
    struct link_map *object = NULL;

    if (getauxval(AT_SECURE) != 0 ||
        dladdr1(&__ehdr_start, &info, (void **)&object, RTLD_DL_LINKMAP) == 0)
        return NULL;
    bool is_program = *object->l_name == '\0';
    const char *relative = is_program ? BOTTLE_SIDECAR_FROM_BINDIR : BOTTLE_SIDECAR_FROM_LIBDIR;
    /* A relative name was meant for the working directory of then. */
    if (*relative == '\0' || (!is_program && *object->l_name != '/'))
        return NULL;
    CLEANUP_FREE char *file = realpath(is_program ? "/proc/self/exe" : object->l_name, NULL);
    CLEANUP_FREE char *directory = NULL;
    if (file == NULL)
        return NULL;
    if (asprintf(&directory, "%s/%s", dirname(file), relative) < 0) {
        directory = NULL; /* undefined after a failure */
        return NULL;
    }
    return realpath(directory, NULL);
}

/* Where a name is looked for, colon-separated; malloc'ed, NULL if there is no memory. */
static char *search_path(void)
{
    const char *configured = secure_getenv("BOTTLE_SIDECAR_PATH");
    CLEANUP_FREE char *beside = installed_beside();
    char *directories = NULL;

    bool is_other = beside != NULL && strcmp(beside, BOTTLE_SIDECAR_DIR) != 0;
    if (asprintf(&directories, "%s:%s%s%s", configured != NULL ? configured : "",
                 is_other ? beside : "", is_other ? ":" : "", BOTTLE_SIDECAR_DIR) < 0)
        return NULL; /* directories is undefined */
    return directories;
}

/* Resolves name to an absolute path without symlinks; *path is malloc'ed, NULL on failure. */
static enum bottle_result find(const char *name, char **path, char **message)
{
    if (name == NULL || *name == '\0')
        return fail(message, BOTTLE_INVALID,
                    "no plugin given: give the path of a plugin or a name such as ssh_gate");

    CLEANUP_FREE char *candidate = NULL;
    if (strchr(name, '/') != NULL) {
        candidate = strdup(name);
    } else {
        CLEANUP_FREE char *directories = search_path();
        if (directories == NULL)
            return BOTTLE_INTERNAL;
        const char *first = directories + strspn(directories, ":");
        candidate = find_in(first, name);
        if (candidate == NULL && errno == ENOENT)
            return fail(message, BOTTLE_UNAVAILABLE,
                        "no %s.so in %s: install it, set BOTTLE_SIDECAR_PATH to its directory, or "
                        "give a path with a '/'",
                        name, first);
    }
    if (candidate == NULL)
        return BOTTLE_INTERNAL;

    *path = realpath(candidate, NULL);
    return *path != NULL ? BOTTLE_OK : fail_system(message, "find plugin", candidate);
}

/* --- file --- */

/* Only root and this user own it. */
static enum bottle_result check_owner(const char *path, const struct stat *status, char **message)
{
    if (status->st_uid == 0 || status->st_uid == geteuid())
        return BOTTLE_OK;
    return fail(message, BOTTLE_DENIED,
                "refusing plugin: %s belongs to user %u, who could change it: chown %u %s", path,
                status->st_uid, geteuid(), path);
}

/* Only root and this user may replace a file in the directory that path lies in. */
static enum bottle_result check_directory(const char *path, char **message)
{
    CLEANUP_FREE char *copy = strdup(path);
    if (copy == NULL)
        return BOTTLE_INTERNAL;
    const char *directory = dirname(copy);
    struct stat status;
    if (stat(directory, &status) != 0)
        return fail_system(message, "examine directory", directory);
    enum bottle_result result = check_owner(directory, &status, message);
    if (result != BOTTLE_OK)
        return result;
    /* In a sticky directory, such as /tmp, only the owner of a file replaces it. */
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (status.st_mode & S_ISVTX) == 0)
        return fail(message, BOTTLE_DENIED,
                    "refusing plugin %s: others may replace it, its directory has mode %04o: chmod "
                    "go-w %s",
                    path, status.st_mode & 07777, directory);
    return BOTTLE_OK;
}

/* Opens the plugin for the checks; *size is its length in bytes. */
static enum bottle_result open_file(const char *path, int *fd, off_t *size, char **message)
{
    /* O_NONBLOCK: no waiting for the writer of a FIFO.  O_NOFOLLOW: the path is resolved. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return fail_system(message, "open plugin", path);
    struct stat status;
    if (fstat(*fd, &status) != 0)
        return fail_system(message, "examine plugin", path);
    if (!S_ISREG(status.st_mode))
        return fail(message, BOTTLE_INVALID, "%s is %s, not a regular file: give the plugin's .so",
                    path, S_ISDIR(status.st_mode) ? "a directory" : "a device, FIFO or socket");

    enum bottle_result result = check_owner(path, &status, message);
    if (result != BOTTLE_OK)
        return result;
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(message, BOTTLE_DENIED,
                    "refusing plugin: %s may be written by %s, its mode is %04o: chmod go-w %s",
                    path, (status.st_mode & S_IWOTH) != 0 ? "everybody" : "its group",
                    status.st_mode & 07777, path);
    *size = status.st_size;
    return check_directory(path, message);
}

/* --- ELF --- */

/* Every byte that the program headers claim is in the file. */
static bool segments_complete(int fd, const ElfW(Ehdr) * header, off_t size)
{
    if (header->e_phentsize != sizeof(ElfW(Phdr)))
        return false;
    for (unsigned i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        off_t offset = (off_t)(header->e_phoff + i * sizeof(segment)); /* a negative one fails */
        if (pread(fd, &segment, sizeof(segment), offset) != (ssize_t)sizeof(segment))
            return false;
        if (segment.p_type == PT_LOAD && (segment.p_offset > (ElfW(Off))size ||
                                          segment.p_filesz > (ElfW(Off))size - segment.p_offset))
            return false;
    }
    return true;
}

static enum bottle_result check_elf(const char *path, int fd, off_t size, char **message)
{
    ElfW(Ehdr) header;
    ssize_t length = pread(fd, &header, sizeof(header), 0);
    if (length < 0)
        return fail_system(message, "read plugin", path);
    if (length < SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return fail(message, BOTTLE_INVALID, "%s is no ELF file: give the plugin's .so", path);
    if (length < (ssize_t)sizeof(header))
        return fail(message, BOTTLE_INVALID,
                    "%s ends inside its ELF header, after %jd bytes: copy or build it again", path,
                    (intmax_t)size);
    if (memcmp(header.e_ident, __ehdr_start.e_ident, EI_VERSION + 1) != 0 ||
        header.e_machine != __ehdr_start.e_machine)
        return fail(message, BOTTLE_INVALID,
                    "%s is for another kind of machine (class %u, machine %u; this launcher: class "
                    "%u, machine %u): build it for this one",
                    path, header.e_ident[EI_CLASS], header.e_machine,
                    __ehdr_start.e_ident[EI_CLASS], __ehdr_start.e_machine);
    if (header.e_type != ET_DYN)
        return fail(message, BOTTLE_INVALID,
                    "%s is %s, not a shared object: link the plugin with -shared", path,
                    header.e_type == ET_REL    ? "an object file"
                    : header.e_type == ET_EXEC ? "an executable"
                                               : "an ELF file of another type");
    if (!segments_complete(fd, &header, size))
        return fail(message, BOTTLE_INVALID,
                    "%s is cut short: its segments are not all within its %jd bytes: copy or build "
                    "it again",
                    path, (intmax_t)size);
    return BOTTLE_OK;
}

/* --- table --- */

/* The first required field that is missing, or NULL. */
static const char *missing_field(const struct bottle_sidecar *table)
{
    const struct {
        const char *name;
        bool present;
    } required[] = {
        {"name", table->name != NULL},
        {"version", table->version != NULL},
        {"description", table->description != NULL},
        {"backends", table->backends != NULL && table->backends[0] != NULL},
        {"prepare", table->prepare != NULL},
        {"start", table->start != NULL},
        {"stop", table->stop != NULL},
        {"release", table->release != NULL},
    };
    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
        if (!required[i].present)
            return required[i].name;
    return NULL;
}

/* Checks the plugin's table and keeps what this version of the header knows of it. */
static enum bottle_result adopt_table(struct bottle_plugin *plugin,
                                      const struct bottle_sidecar *theirs, char **message)
{
    if (theirs == NULL)
        return fail(message, BOTTLE_INVALID,
                    "%s: " BOTTLE_SIDECAR_ENTRY "() returned NULL: it must return its table",
                    plugin->path);
    if (BOTTLE_HAS(theirs, abi_minor) && theirs->abi_major != BOTTLE_SIDECAR_ABI_MAJOR)
        return fail(
            message, BOTTLE_INVALID,
            "%s speaks sidecar ABI %u.%u, this launcher speaks %u.x: use a plugin built for "
            "%u.x, or %s launcher",
            plugin->path, theirs->abi_major, theirs->abi_minor, BOTTLE_SIDECAR_ABI_MAJOR,
            BOTTLE_SIDECAR_ABI_MAJOR,
            theirs->abi_major > BOTTLE_SIDECAR_ABI_MAJOR ? "a newer" : "an older");
    if (!BOTTLE_HAS(theirs, release))
        return fail(message, BOTTLE_INVALID,
                    "%s has a table of %zu bytes, sidecar ABI 1.0 has %zu: set struct_size to "
                    "sizeof(struct bottle_sidecar)",
                    plugin->path, theirs->struct_size, TABLE_1_0_SIZE);

    size_t size = theirs->struct_size;
    if (size > sizeof(plugin->table))
        size = sizeof(plugin->table);
    memcpy(&plugin->table, theirs, size);
    plugin->table.struct_size = sizeof(plugin->table);

    const char *missing = missing_field(&plugin->table);
    if (missing != NULL)
        return fail(message, BOTTLE_INVALID, "%s has a table without %s, which every sidecar needs",
                    plugin->path, missing);
    return BOTTLE_OK;
}

static enum bottle_result open_plugin(struct bottle_plugin *plugin, char **message)
{
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (plugin->handle == NULL) {
        const char *reason = dlerror();
        return fail(message, BOTTLE_INVALID, "cannot load plugin %s: %s", plugin->path,
                    reason != NULL ? reason : "the dynamic linker gives no reason");
    }
    void *symbol = dlsym(plugin->handle, BOTTLE_SIDECAR_ENTRY);
    if (symbol == NULL)
        return fail(message, BOTTLE_INVALID,
                    "%s is no sidecar plugin: it does not export " BOTTLE_SIDECAR_ENTRY,
                    plugin->path);

    /* POSIX has functions and objects share one kind of pointer; ISO C has no conversion. */
    bottle_sidecar_entry_function entry;
    _Static_assert(sizeof(entry) == sizeof(symbol), "as POSIX has it");
    memcpy(&entry, &symbol, sizeof(entry));
    return adopt_table(plugin, entry(), message);
}

enum bottle_result bottle_plugin_load(const char *name, struct bottle_plugin **plugin,
                                      char **message)
{
    *plugin = NULL;
    if (message != NULL)
        *message = NULL;

    CLEANUP_PLUGIN struct bottle_plugin *loading = calloc(1, sizeof(*loading));
    if (loading == NULL)
        return BOTTLE_INTERNAL;
    enum bottle_result result = find(name, &loading->path, message);
    if (loading->path == NULL)
        return result;

    CLEANUP_FD int fd = -1;
    off_t size = 0;
    result = open_file(loading->path, &fd, &size, message);
    if (result == BOTTLE_OK)
        result = check_elf(loading->path, fd, size, message);
    if (result == BOTTLE_OK)
        result = open_plugin(loading, message);
    if (result != BOTTLE_OK)
        return result;

    *plugin = loading;
    loading = NULL;
    return BOTTLE_OK;
}

void bottle_plugin_unload(struct bottle_plugin *plugin)
{
    if (plugin == NULL)
        return;
    if (plugin->handle != NULL)
        (void)dlclose(plugin->handle); /* a failure leaves it mapped, and nobody could do better */
    free(plugin->path);
    free(plugin);
}

const struct bottle_sidecar *bottle_plugin_table(const struct bottle_plugin *plugin)
{
    return &plugin->table;
}

const char *bottle_plugin_path(const struct bottle_plugin *plugin)
{
    return plugin->path;
}

/* --- operations --- */

static void begin(char **output, char **message)
{
    if (output != NULL)
        *output = NULL;
    if (message != NULL)
        *message = NULL;
}

static enum bottle_result unsupported(const struct bottle_plugin *plugin, const char *operation,
                                      char **message)
{
    return fail(message, BOTTLE_UNSUPPORTED, "%s %s has no operation %s", plugin->table.name,
                plugin->table.version, operation);
}

/*
 * What the plugin returned and put out becomes what the caller gets.
 * @output: the plugin's; copy: the caller's, NULL for an operation that has none
 * @reason: the plugin's message; message: the caller's, which may be NULL
 */
static enum bottle_result translate(const struct bottle_plugin *plugin, const char *operation,
                                    enum bottle_result result, const char *output, char **copy,
                                    const char *reason, char **message)
{
    const char *name = plugin->table.name;
    if ((int)result < BOTTLE_OK || (int)result > BOTTLE_INTERNAL)
        return fail(message, BOTTLE_INTERNAL,
                    "%s: %s returned %d, which this launcher does not know: %s", name, operation,
                    (int)result, reason != NULL ? reason : "no reason given");
    if (result != BOTTLE_OK && reason == NULL)
        return fail(message, result, "%s: %s failed (%s) and gave no reason", name, operation,
                    bottle_result_name(result));
    if (result != BOTTLE_OK)
        return fail(message, result, "%s", reason);
    if (copy == NULL)
        return BOTTLE_OK;
    if (output == NULL)
        return fail(message, BOTTLE_INTERNAL, "%s: %s returned ok without its output", name,
                    operation);
    *copy = strdup(output);
    return *copy != NULL ? BOTTLE_OK : BOTTLE_INTERNAL;
}

/* Translates, and gives back to the plugin what is the plugin's. */
static enum bottle_result finish(const struct bottle_plugin *plugin, const char *operation,
                                 enum bottle_result result, char *output, char **copy, char *reason,
                                 char **message)
{
    result = translate(plugin, operation, result, output, copy, reason, message);
    if (output != NULL)
        plugin->table.release(output);
    if (reason != NULL)
        plugin->table.release(reason);
    return result;
}

enum bottle_result bottle_plugin_prepare(const struct bottle_plugin *plugin,
                                         const struct bottle_host *host, const char *bottle,
                                         const char *slug, const char *stage_dir, char **plan,
                                         char **message)
{
    begin(plan, message);
    struct bottle_prepare arguments = {.struct_size = sizeof(arguments),
                                       .host = host,
                                       .bottle = bottle,
                                       .slug = slug,
                                       .stage_dir = stage_dir};
    enum bottle_result result = plugin->table.prepare(&arguments);
    return finish(plugin, "prepare", result, arguments.plan, plan, arguments.message, message);
}

enum bottle_result bottle_plugin_start(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *plan,
                                       const char *backend, const char *options,
                                       const char *takeover, char **target, char **message)
{
    begin(target, message);
    struct bottle_start arguments = {.struct_size = sizeof(arguments),
                                     .host = host,
                                     .plan = plan,
                                     .backend = backend,
                                     .options = options,
                                     .takeover = takeover};
    enum bottle_result result = plugin->table.start(&arguments);
    return finish(plugin, "start", result, arguments.target, target, arguments.message, message);
}

enum bottle_result bottle_plugin_stop(const struct bottle_plugin *plugin,
                                      const struct bottle_host *host, const char *target,
                                      char **message)
{
    begin(NULL, message);
    struct bottle_stop arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target};
    enum bottle_result result = plugin->table.stop(&arguments);
    return finish(plugin, "stop", result, NULL, NULL, arguments.message, message);
}

enum bottle_result bottle_plugin_drain(const struct bottle_plugin *plugin,
                                       const struct bottle_host *host, const char *target,
                                       int64_t grace_ms, char **message)
{
    begin(NULL, message);
    if (plugin->table.drain == NULL)
        return unsupported(plugin, "drain", message);
    struct bottle_drain arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target, .grace_ms = grace_ms};
    enum bottle_result result = plugin->table.drain(&arguments);
    return finish(plugin, "drain", result, NULL, NULL, arguments.message, message);
}

enum bottle_result bottle_plugin_status(const struct bottle_plugin *plugin,
                                        const struct bottle_host *host, const char *target,
                                        char **status, char **message)
{
    begin(status, message);
    if (plugin->table.status == NULL)
        return unsupported(plugin, "status", message);
    struct bottle_status arguments = {
        .struct_size = sizeof(arguments), .host = host, .target = target};
    enum bottle_result result = plugin->table.status(&arguments);
    return finish(plugin, "status", result, arguments.status, status, arguments.message, message);
}

const char *bottle_result_name(enum bottle_result result)
{
    static const char *const names[] = {
        [BOTTLE_OK] = "ok",
        [BOTTLE_INVALID] = "invalid",
        [BOTTLE_CONFLICT] = "conflict",
        [BOTTLE_UNAVAILABLE] = "unavailable",
        [BOTTLE_TIMEOUT] = "timeout",
        [BOTTLE_DENIED] = "denied",
        [BOTTLE_NOT_FOUND] = "not found",
        [BOTTLE_UNSUPPORTED] = "unsupported",
        [BOTTLE_INTERNAL] = "internal",
    };
    size_t index = (size_t)result; /* a negative one is out of range as well */
    return index < sizeof(names) / sizeof(names[0]) ? names[index] : "unknown";
}
