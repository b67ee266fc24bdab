/* SPDX-License-Identifier: MIT */
/*
 * state.c: what runs, in a directory of this user's.
 *
 *     $XDG_RUNTIME_DIR/sample-host/SLUG/state.json   {"bottle": …, "slug": …, "sidecars": [{…}]}
 *                                      /SIDECAR/…    the sidecar's stage dir
 *
 * Without a private $XDG_RUNTIME_DIR: in /run/sample-host for root, in /tmp/sample-host-UID for others;
 * made with mode 0700, and refused if it is anybody else's.
 *
 * Whoever changes what a slug has running keeps the slug's directory locked (flock(2)) meanwhile.  Others
 * may wait for the lock of a directory that is being removed: who gets a lock looks whether the name still
 * leads to the directory that is locked.  A directory without state.json was left by a launcher that was
 * killed before it started anything: it counts as a bottle of the slug's name, without sidecars.
 */
#include "sample_host.h"

#include "common/cleanup.h"
#include "common/sidecar/stage_dir.h"
#include "common/text/grammar.h"
#include "common/text/json_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define STATE_FILE "state.json"

static const char *const record_keys[] = {"sidecar", "plugin", "backend", "target", "state"};

static void cleanup_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}
#define CLEANUP_DIR __attribute__((cleanup(cleanup_dir)))

/* ---- directories ---- */

static bool fail_errno(const char *what, const char *path)
{
    return fail("cannot %s %s: %s", what, path, strerror(errno));
}

/* Opens what directory->path names; no error if it is not there. */
static bool open_directory(struct directory *directory, int parent_fd, const char *name)
{
    directory->parent_fd = parent_fd;
    directory->name = name;
    directory->fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return directory->fd >= 0 || errno == ENOENT || fail_errno("open", directory->path);
}

static bool open_slug(const struct directory *root, const char *slug, struct directory *directory)
{
    return make_path(directory->path, "%s/%s", root->path, slug) &&
           open_directory(directory, root->fd, strrchr(directory->path, '/') + 1);
}

static bool is_private(const struct stat *file)
{
    return S_ISDIR(file->st_mode) && file->st_uid == geteuid() && (file->st_mode & 0777) == 0700;
}

bool state_open(struct directory *root)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat file;
    bool made;

    if (runtime != NULL && runtime[0] == '/' && lstat(runtime, &file) == 0 && is_private(&file))
        made = make_path(root->path, "%s/sample-host", runtime);
    else if (geteuid() == 0)
        made = make_path(root->path, "/run/sample-host");
    else
        made = make_path(root->path, "/tmp/sample-host-%ju", (uintmax_t)geteuid());
    if (!made)
        return false;
    if (mkdir(root->path, 0700) != 0 && errno != EEXIST)
        return fail_errno("make", root->path);
    if (lstat(root->path, &file) != 0)
        return fail_errno("look at", root->path);
    if (!is_private(&file))
        return fail(
            "%s must be a directory of user %ju with mode 0700, not user %ju's with mode %#o: "
            "remove it, or set XDG_RUNTIME_DIR to a directory that is only yours",
            root->path, (uintmax_t)geteuid(), (uintmax_t)file.st_uid, file.st_mode);
    if (!open_directory(root, AT_FDCWD, root->path))
        return false;
    return root->fd >= 0 || fail("%s was removed: try again", root->path);
}

bool directory_temporary(struct directory *directory)
{
    const char *parent = getenv("TMPDIR");
    char template[PATH_MAX];

    if (!make_path(template, "%s/sample-host-XXXXXX", parent != NULL ? parent : "/tmp"))
        return false;
    if (mkdtemp(template) == NULL || realpath(template, directory->path) == NULL)
        return fail_errno("make the temporary directory", template);
    return open_directory(directory, AT_FDCWD, directory->path);
}

bool directory_add(const struct directory *directory, const char *name, char path[PATH_MAX])
{
    if (!make_path(path, "%s/%s", directory->path, name))
        return false;
    return mkdirat(directory->fd, name, 0700) == 0 || fail_errno("make", path);
}

bool directory_lock(struct directory *directory)
{
    struct stat locked;
    struct stat named;

    if (flock(directory->fd, LOCK_EX) != 0 || fstat(directory->fd, &locked) != 0)
        return fail_errno("lock", directory->path);
    if (fstatat(directory->parent_fd, directory->name, &named, AT_SYMLINK_NOFOLLOW) != 0 ||
        named.st_dev != locked.st_dev || named.st_ino != locked.st_ino)
        directory_close(directory);
    return true;
}

/* Explicitly: a process that was forked and has not executed anything yet has the descriptor too. */
void directory_unlock(const struct directory *directory)
{
    (void)flock(directory->fd, LOCK_UN);
}

void directory_close(struct directory *directory)
{
    if (directory->fd >= 0)
        directory_unlock(directory);
    cleanup_fd(&directory->fd);
    directory->fd = -1;
}

/* A stream over a directory, from its start. */
static DIR *list_directory(int fd)
{
    CLEANUP_FD int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    if (dir != NULL)
        (void)steal_fd(&copy);
    return dir;
}

/* The next name but "." and ".."; NULL at the end or, with errno set, on failure. */
static const char *next_name(DIR *dir)
{
    const struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry != NULL &&
             (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry != NULL ? entry->d_name : NULL;
}

/* Empties a directory of its files and, levels deep, its directories. */
static bool empty_directory(int fd, const char *path, unsigned levels)
{
    CLEANUP_DIR DIR *dir = list_directory(fd);
    char child[PATH_MAX];
    struct stat file;
    const char *name;

    if (dir == NULL)
        return fail_errno("list", path);
    while ((name = next_name(dir)) != NULL) {
        if (!make_path(child, "%s/%s", path, name))
            return false;
        if (fstatat(fd, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
            return fail_errno("look at", child);
        if (!S_ISREG(file.st_mode) && (!S_ISDIR(file.st_mode) || levels == 0))
            return fail("%s is not one of the files that belong there: remove it yourself", child);
        if (S_ISDIR(file.st_mode)) {
            CLEANUP_FD int child_fd =
                openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (child_fd < 0)
                return fail_errno("open", child);
            if (!empty_directory(child_fd, child, levels - 1))
                return false;
        }
        if (unlinkat(fd, name, S_ISDIR(file.st_mode) ? AT_REMOVEDIR : 0) != 0)
            return fail_errno("remove", child);
    }
    return errno == 0 || fail_errno("list", path);
}

bool directory_remove(const struct directory *directory)
{
    if (!empty_directory(directory->fd, directory->path, 1))
        return false;
    return unlinkat(directory->parent_fd, directory->name, AT_REMOVEDIR) == 0 ||
           fail_errno("remove", directory->path);
}

/* ---- state.json ---- */

json_object *state_object(const struct bottle *bottle)
{
    CLEANUP_JSON json_object *object = json_object_new_object();
    json_object *sidecars;

    if (!set_text(object, "bottle", bottle->name) || !set_text(object, "slug", bottle->slug) ||
        !set_member(object, "sidecars", json_object_new_array()))
        return NULL;
    sidecars = json_object_object_get(object, "sidecars");
    for (size_t i = 0; i < bottle->count; i++) {
        if (json_object_array_add(sidecars, json_object_get(bottle->sidecars[i].record)) != 0)
            return NULL;
    }
    return steal_pointer(&object);
}

bool state_save(const struct directory *directory, const struct bottle *bottle)
{
    CLEANUP_JSON json_object *object = state_object(bottle);
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
                                                                  JSON_C_TO_STRING_NOSLASHESCAPE);
    const struct stage_file file = {STATE_FILE, 0600, text};
    struct failure failure;

    if (object == NULL || text == NULL)
        return fail("%s: out of memory", directory->path);
    return stage_dir_write(directory->fd, directory->path, &file, 1, &failure) == BOTTLE_OK ||
           fail("%s", failure.message);
}

static bool read_bottle(json_object *object, struct bottle *bottle)
{
    const char *name = text_member(object, "bottle");
    json_object *sidecars = json_object_object_get(object, "sidecars");

    if (name == NULL || !json_object_is_type(sidecars, json_type_array) ||
        json_object_array_length(sidecars) > sizeof bottle->sidecars / sizeof bottle->sidecars[0])
        return false;
    free(bottle->name);
    bottle->name = strdup(name);
    for (size_t i = 0; i < json_object_array_length(sidecars); i++) {
        json_object *record = json_object_array_get_idx(sidecars, i);
        for (size_t j = 0; j < sizeof record_keys / sizeof record_keys[0]; j++) {
            if (text_member(record, record_keys[j]) == NULL)
                return false;
        }
        bottle->sidecars[bottle->count++] = (struct sidecar){.record = json_object_get(record)};
    }
    return bottle->name != NULL;
}

bool state_load(const struct directory *directory, struct bottle *bottle)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_JSON json_object *object = NULL;
    struct failure failure;

    bottle->name = strdup(directory->name);
    bottle->slug = strdup(directory->name);
    if (bottle->name == NULL || bottle->slug == NULL)
        return fail("out of memory");
    if (!read_text_file(directory->fd, STATE_FILE, JSON_TEXT_MAX_BYTES, true, &text))
        return fail("%s: cannot tell what runs there", directory->path);
    if (text == NULL)
        return true;
    return (json_text_parse(STATE_FILE, text, &object, &failure) == BOTTLE_OK &&
            read_bottle(object, bottle)) ||
           fail("%s/" STATE_FILE " is damaged: stop what runs there by hand, then remove %s",
                directory->path, directory->path);
}

/* ---- slugs ---- */

/* Ends what is left of a bottle whose sidecars are gone; fails if one runs, or if that cannot be told. */
static bool remove_remains(const struct directory *directory, const struct request *request)
{
    CLEANUP_PLUGINS struct plugins plugins = {0};
    CLEANUP_BOTTLE struct bottle bottle = {0};

    if (!state_load(directory, &bottle) || !bottle_attach(&bottle, request, &plugins))
        return false;
    for (size_t i = 0; i < bottle.count; i++) {
        CLEANUP_JSON json_object *status = NULL;
        if (sidecar_status(&bottle.sidecars[i], &status) != BOTTLE_NOT_FOUND)
            return fail(
                "conflict: slug %s runs already (bottle %s, %s): \"sample-host down %s\" stops "
                "it, --slug chooses another name",
                bottle.slug, bottle.name, text_member(bottle.sidecars[i].record, "target"),
                bottle.name);
    }
    return bottle_end(&bottle, directory);
}

/* An error is for who goes on with it to find. */
static bool is_empty(const struct directory *directory)
{
    CLEANUP_DIR DIR *dir = list_directory(directory->fd);

    return dir != NULL && next_name(dir) == NULL && errno == 0;
}

/*
 * Who made the directory does not matter: before its maker has it locked, another launcher may have it,
 * or may have removed it and made it again.
 */
bool state_claim(const struct directory *root, const char *slug, const struct request *request,
                 struct directory *directory)
{
    for (;;) {
        if (mkdirat(root->fd, slug, 0700) != 0 && errno != EEXIST)
            return fail_errno("make a directory in", root->path);
        if (!open_slug(root, slug, directory))
            return false;
        if (directory->fd >= 0 && !directory_lock(directory)) {
            directory_close(directory);
            return false;
        }
        if (directory->fd < 0) /* removed by another launcher meanwhile */
            continue;
        if (is_empty(directory))
            return true;
        bool removed = remove_remains(directory, request);
        directory_close(directory);
        if (!removed)
            return false;
    }
}

static bool visit_slug(const struct directory *root, const char *slug,
                       const struct request *request, state_visit visit, void *context)
{
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_BOTTLE struct bottle bottle = {0};
    const char *wanted_slug = request->value[OPTION_SLUG];

    if (wanted_slug != NULL && strcmp(slug, wanted_slug) != 0)
        return true;
    if (!open_slug(root, slug, &directory))
        return false;
    if (directory.fd < 0) /* it went down meanwhile */
        return true;
    if (!state_load(&directory, &bottle))
        return false;
    if (request->bottle != NULL && strcmp(bottle.name, request->bottle) != 0)
        return true;
    return visit(context, &directory, &bottle);
}

/* For scandir(3). */
static int is_slug(const struct dirent *entry)
{
    return grammar_slug(entry->d_name) ? 1 : 0;
}

bool state_walk(const struct directory *root, const struct request *request, state_visit visit,
                void *context)
{
    struct dirent **slugs;
    bool visited = true;
    int count = scandirat(root->fd, ".", &slugs, is_slug, alphasort);

    if (count < 0)
        return fail_errno("list", root->path);
    for (int i = 0; i < count; i++) {
        visited &= visit_slug(root, slugs[i]->d_name, request, visit, context);
        free(slugs[i]);
    }
    free(slugs);
    return visited;
}
