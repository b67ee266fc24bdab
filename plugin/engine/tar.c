/* SPDX-License-Identifier: MIT */
/*
 * tar.c: tar archives in the form that engines take.
 *
 * The format is ustar; owner and times are zero.  SHA-256 comes from libarchive too, so that no
 * cryptographic library is needed: its mtree writer puts the hash of a file's contents into a line of
 * text (mtree(5)).
 */
#include "engine/tar.h"

#include "common/cleanup.h"
#include "engine/libraries.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define TAR_BLOCK     ((size_t)512)
#define TAR_RECORD    ((size_t)10240) /* an archive is a whole number of these */
#define MTREE_SIZE    4096
#define MTREE_KEYWORD "sha256digest="

static bool write_file(const struct archive_library *library, struct archive *archive,
                       const struct engine_file *file)
{
    struct archive_entry *entry = library->entry_new();

    if (!entry)
        return false;
    library->entry_set_pathname(entry, file->path);
    library->entry_set_size(entry, (la_int64_t)file->length);
    library->entry_set_mode(entry, S_IFREG | file->mode);
    library->entry_set_mtime(entry, 0, 0);
    bool written =
        library->write_header(archive, entry) == ARCHIVE_OK &&
        library->write_data(archive, file->bytes, file->length) == (la_ssize_t)file->length;
    library->entry_free(entry);
    return written;
}

static bool write_files(const struct archive_library *library, struct archive *archive,
                        const struct engine_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!write_file(library, archive, &files[i]))
            return false;
    return library->write_close(archive) == ARCHIVE_OK;
}

static enum bottle_result fail(const struct archive_library *library, struct archive *archive,
                               struct failure *failure)
{
    const char *reason = archive ? library->error_string(archive) : NULL;

    return failure_set(failure, BOTTLE_INTERNAL, "libarchive: %s",
                       reason ? reason : "out of memory");
}

enum bottle_result tar_write(const struct engine_file *files, size_t count, char **bytes,
                             size_t *length, struct failure *failure)
{
    struct archive_library library;
    size_t size = 2 * TAR_RECORD;
    enum bottle_result result = archive_library_load(&library, failure);

    if (result != BOTTLE_OK)
        return result;
    for (size_t i = 0; i < count; i++)
        size += files[i].length + 2 * TAR_BLOCK;
    CLEANUP_FREE char *buffer = malloc(size);
    struct archive *archive = buffer ? library.write_new() : NULL;
    if (!archive || library.write_set_format_ustar(archive) != ARCHIVE_OK ||
        library.write_open_memory(archive, buffer, size, length) != ARCHIVE_OK ||
        !write_files(&library, archive, files, count))
        result = fail(&library, archive, failure);
    if (archive && library.write_free(archive) != ARCHIVE_OK && result == BOTTLE_OK)
        result = failure_set(failure, BOTTLE_INTERNAL, "libarchive: cannot finish the archive");
    if (result == BOTTLE_OK)
        *bytes = steal_pointer(&buffer);
    return result;
}

enum bottle_result tar_sha256(const void *bytes, size_t length, char text[SHA256_TEXT_SIZE],
                              struct failure *failure)
{
    const struct engine_file file = {
        .path = "bytes", .mode = 0444, .bytes = bytes, .length = length};
    struct archive_library library;
    char mtree[MTREE_SIZE];
    size_t used = 0;
    enum bottle_result result = archive_library_load(&library, failure);

    if (result != BOTTLE_OK)
        return result;
    struct archive *archive = library.write_new();
    if (!archive || library.write_set_format_mtree(archive) != ARCHIVE_OK ||
        library.write_set_options(archive, "mtree:!all,mtree:sha256") != ARCHIVE_OK ||
        library.write_open_memory(archive, mtree, sizeof mtree - 1, &used) != ARCHIVE_OK ||
        !write_files(&library, archive, &file, 1))
        result = fail(&library, archive, failure);
    if (archive && library.write_free(archive) != ARCHIVE_OK && result == BOTTLE_OK)
        result = failure_set(failure, BOTTLE_INTERNAL, "libarchive: cannot finish the hash");
    if (result != BOTTLE_OK)
        return result;
    mtree[used] = '\0';
    const char *digest = strstr(mtree, MTREE_KEYWORD);
    digest = digest ? digest + strlen(MTREE_KEYWORD) : "";
    if (strspn(digest, "0123456789abcdef") != SHA256_TEXT_SIZE - 1)
        return failure_set(failure, BOTTLE_UNAVAILABLE,
                           "libarchive was built without SHA-256; install Debian's libarchive13");
    memcpy(text, digest, SHA256_TEXT_SIZE - 1);
    text[SHA256_TEXT_SIZE - 1] = '\0';
    return BOTTLE_OK;
}
