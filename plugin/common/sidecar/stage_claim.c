/* SPDX-License-Identifier: MIT */
/*
 * stage_claim.c: see stage_claim.h.
 *
 * The claim is a file that contains the slug.  It is written under a temporary name and then gets its name with
 * link(2), which fails if the name exists: so nobody sees a partial claim, and of two slugs that claim
 * the directory at once, one is refused.  The file is readable by all, as start may run as another user than
 * prepare.
 */
#include "common/sidecar/stage_claim.h"

#include "common/cleanup.h"
#include "common/process/file_write.h"
#include "common/text/grammar.h"
#include "common/text/limit_error.h"
#include "common/text/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

static enum bottle_result fail_claim(const char *stage_path, const char *what,
                                     struct failure *failure)
{
    char text[LIMIT_ERROR_SIZE];

    return failure_set(failure, result_of_errno(errno), "stage dir %s: cannot %s %s: %s",
                       EXCERPT(stage_path), what, STAGE_CLAIM_FILE, limit_error(errno, text));
}

/* Returns 1: there is a claim; 0: there is none; -1, with errno set: it cannot be read. */
static int read_claim(int stage_fd, char holder[SLUG_SIZE + 1])
{
    CLEANUP_FD int fd =
        openat(stage_fd, STAGE_CLAIM_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    ssize_t length = read(fd, holder, SLUG_SIZE);
    if (length < 0)
        return -1;
    holder[length] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return 1;
}

/* On a file system without hard links it is renamed instead; there the last of two claims wins. */
static int name_claim(int stage_fd, const char *temporary)
{
    if (linkat(stage_fd, temporary, stage_fd, STAGE_CLAIM_FILE, 0) == 0 || errno == EEXIST)
        return 0;
    return errno == EPERM || errno == EOPNOTSUPP
               ? renameat(stage_fd, temporary, stage_fd, STAGE_CLAIM_FILE)
               : -1;
}

/* True also if there is a claim by now, which is kept.  False, with errno set, on failure. */
static bool write_claim(int stage_fd, const char *slug, uint64_t number)
{
    char temporary[64], line[SLUG_SIZE + 1];

    (void)snprintf(temporary, sizeof temporary, "%s.%016" PRIx64, STAGE_CLAIM_FILE, number);
    (void)snprintf(line, sizeof line, "%s\n", slug);
    CLEANUP_FD int fd =
        openat(stage_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool named = file_write(fd, line, strlen(line)) && fchmod(fd, 0644) == 0 &&
                 name_claim(stage_fd, temporary) == 0;
    int error = errno;
    (void)unlinkat(stage_fd, temporary, 0);
    errno = error;
    return named;
}

static enum bottle_result check_holder(const char *stage_path, const char *slug, const char *holder,
                                       struct failure *failure)
{
    if (strcmp(holder, slug) == 0)
        return BOTTLE_OK;
    return failure_set(
        failure, BOTTLE_CONFLICT,
        "stage dir %s is that of slug \"%s\", whose agent uses the files in it: give "
        "slug \"%s\" a directory of its own, or, if nothing of \"%s\" runs any more, "
        "remove %s there",
        EXCERPT(stage_path), holder, slug, holder, STAGE_CLAIM_FILE);
}

/* there: out: whether there is a claim */
static enum bottle_result check_claim(int stage_fd, const char *stage_path, const char *slug,
                                      bool *there, struct failure *failure)
{
    char holder[SLUG_SIZE + 1];
    int found = read_claim(stage_fd, holder);

    *there = found > 0;
    if (found < 0)
        return fail_claim(stage_path, "read", failure);
    return *there ? check_holder(stage_path, slug, holder, failure) : BOTTLE_OK;
}

enum bottle_result stage_claim_take(int stage_fd, const char *stage_path, const char *slug,
                                    bool *made, struct failure *failure)
{
    bool there;
    uint64_t number;
    enum bottle_result result = check_claim(stage_fd, stage_path, slug, &there, failure);

    *made = false;
    if (result != BOTTLE_OK || there)
        return result;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return fail_claim(stage_path, "get a random number for", failure);
    if (!write_claim(stage_fd, slug, number))
        return fail_claim(stage_path, "make", failure);
    result = check_claim(stage_fd, stage_path, slug, &there, failure);
    *made = result == BOTTLE_OK;
    return result;
}

enum bottle_result stage_claim_check(int stage_fd, const char *stage_path, const char *slug,
                                     struct failure *failure)
{
    bool there;

    return check_claim(stage_fd, stage_path, slug, &there, failure);
}

void stage_claim_undo(int stage_fd)
{
    (void)unlinkat(stage_fd, STAGE_CLAIM_FILE,
                   0); /* a claim that cannot be removed is still the slug's own */
}
