/* SPDX-License-Identifier: MIT */
/*
 * slugs.c: the slugs of this user: claims one, and visits those that are taken.
 *
 *     $XDG_RUNTIME_DIR/sample-host/SLUG/state.json   {"bottle": …, "slug": …, "sidecars": [{…}]}
 *                                      /SIDECAR/…    the sidecar's stage dir
 *
 * Without a private $XDG_RUNTIME_DIR, the directories are in /run/sample-host for root and in
 * /tmp/sample-host-UID for others, which is made with mode 0700, and refused if it is anybody else's.
 *
 * Whoever changes what runs under a slug holds the lock of the slug's directory (flock(2)).  A process may
 * wait for the lock of a directory that is being removed, so whoever gets a lock checks that the name still
 * leads to the directory that is locked.
 */
#include "slugs.h"

#include "bottle.h"
#include "directory.h"
#include "fail.h"
#include "members.h"
#include "path.h"
#include "plugins.h"
#include "print.h"
#include "request.h"
#include "sidecar.h"
#include "state.h"

#include "common/cleanup.h"
#include "common/text/grammar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_private(const struct stat *file)
{
    return S_ISDIR(file->st_mode) && file->st_uid == geteuid() && (file->st_mode & 0777) == 0700;
}

bool slugs_open(struct directory *root)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct stat file;
    bool made;

    if (runtime && runtime[0] == '/' && lstat(runtime, &file) == 0 && is_private(&file))
        made = make_path(root->path, "%s/sample-host", runtime);
    else if (geteuid() == 0)
        made = make_path(root->path, "/run/sample-host");
    else
        made = make_path(root->path, "/tmp/sample-host-%ju", (uintmax_t)geteuid());
    if (!made)
        return false;
    if (mkdir(root->path, 0700) != 0 && errno != EEXIST)
        return fail("cannot make %s: %s", root->path, strerror(errno));
    if (lstat(root->path, &file) != 0)
        return fail("cannot examine %s: %s", root->path, strerror(errno));
    if (!is_private(&file))
        return fail(
            "%s must be a directory of user %ju with mode 0700, not user %ju's with mode %#o: "
            "remove it, or set XDG_RUNTIME_DIR to a directory of your own with that mode",
            root->path, (uintmax_t)geteuid(), (uintmax_t)file.st_uid, file.st_mode);
    if (!directory_open(root))
        return false;
    return root->fd >= 0 || fail("%s was removed: try again", root->path);
}

/* ---- claiming ---- */

/* Removes what is left of a bottle whose sidecars have ended; fails if one runs, or might run. */
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

/*
 * It does not matter who made the directory: before this process has it locked, another launcher may lock it,
 * or remove it and make it again.
 */
bool slugs_claim(const struct directory *root, const char *slug, const struct request *request,
                 struct directory *directory)
{
    for (;;) {
        if (mkdirat(root->fd, slug, 0700) != 0 && errno != EEXIST)
            return fail("cannot make a directory in %s: %s", root->path, strerror(errno));
        if (!directory_open_in(root, slug, directory))
            return false;
        if (directory->fd >= 0 && !directory_lock(directory)) {
            directory_close(directory);
            return false;
        }
        if (directory->fd < 0) /* removed by another launcher meanwhile */
            continue;
        if (directory_is_empty(directory))
            return true;
        bool removed = remove_remains(directory, request);
        directory_close(directory);
        if (!removed)
            return false;
    }
}

/* ---- visiting ---- */

static bool visit_slug(const struct directory *root, const char *slug,
                       const struct request *request, slug_visit visit, void *context)
{
    CLEANUP_DIRECTORY struct directory directory = NO_DIRECTORY;
    CLEANUP_BOTTLE struct bottle bottle = {0};
    const char *wanted_slug = request->value[OPTION_SLUG];

    if (wanted_slug && strcmp(slug, wanted_slug) != 0)
        return true;
    if (!directory_open_in(root, slug, &directory))
        return false;
    if (directory.fd < 0) /* another process took it down meanwhile */
        return true;
    if (!state_load(&directory, &bottle))
        return false;
    if (request->bottle && strcmp(bottle.name, request->bottle) != 0)
        return true;
    return visit(context, &directory, &bottle);
}

/* A filter for scandir(3). */
static int is_slug(const struct dirent *entry)
{
    return grammar_slug(entry->d_name) ? 1 : 0;
}

bool slugs_walk(const struct directory *root, const struct request *request, slug_visit visit,
                void *context)
{
    struct dirent **slugs;
    bool visited = true;
    int count = scandirat(root->fd, ".", &slugs, is_slug, alphasort);

    if (count < 0)
        return fail("cannot list %s: %s", root->path, strerror(errno));
    for (int i = 0; i < count; i++) {
        visited &= visit_slug(root, slugs[i]->d_name, request, visit, context);
        free(slugs[i]);
    }
    free(slugs);
    return visited;
}

/* ---- what is not up ---- */

/* A slug_visit. */
static bool add_name(void *context, struct directory *directory, struct bottle *bottle)
{
    const char **separator = context;

    print_part(stderr, "%s%s (slug %s)", *separator, bottle->name, directory->name);
    *separator = ", ";
    return true;
}

void slugs_say_not_up(const struct directory *root, const struct request *request)
{
    static const struct request all = {0};
    const char *separator = "; up: ";

    print_part(stderr, "sample-host: bottle %s is not up", request->bottle);
    (void)slugs_walk(root, &all, add_name, &separator); /* has reported what it cannot read */
    (void)fputc('\n', stderr);
}
