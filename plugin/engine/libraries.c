/* SPDX-License-Identifier: MIT */
/* libraries.c: see libraries.h. */
#include "engine/libraries.h"

#include <dlfcn.h>
#include <gnu/lib-names.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct symbol {
    const char *name;
    size_t offset; /* of the pointer, in the library's struct */
};

#define CURL_SYMBOL(name)                                                                          \
    {                                                                                              \
        "curl_" #name, offsetof(struct curl_library, name)                                         \
    }
#define ARCHIVE_SYMBOL(name)                                                                       \
    {                                                                                              \
        "archive_" #name, offsetof(struct archive_library, name)                                   \
    }

static const struct symbol CURL_SYMBOLS[] = {
    CURL_SYMBOL(easy_init),    CURL_SYMBOL(easy_setopt),    CURL_SYMBOL(easy_perform),
    CURL_SYMBOL(easy_getinfo), CURL_SYMBOL(easy_strerror),  CURL_SYMBOL(easy_cleanup),
    CURL_SYMBOL(slist_append), CURL_SYMBOL(slist_free_all),
};

static const struct symbol ARCHIVE_SYMBOLS[] = {
    ARCHIVE_SYMBOL(write_new),
    ARCHIVE_SYMBOL(write_set_format_ustar),
    ARCHIVE_SYMBOL(write_set_format_mtree),
    ARCHIVE_SYMBOL(write_set_options),
    ARCHIVE_SYMBOL(write_open_memory),
    ARCHIVE_SYMBOL(write_header),
    ARCHIVE_SYMBOL(write_data),
    ARCHIVE_SYMBOL(write_close),
    ARCHIVE_SYMBOL(write_free),
    ARCHIVE_SYMBOL(error_string),
    ARCHIVE_SYMBOL(entry_new),
    ARCHIVE_SYMBOL(entry_free),
    ARCHIVE_SYMBOL(entry_set_pathname),
    ARCHIVE_SYMBOL(entry_set_size),
    ARCHIVE_SYMBOL(entry_set_mode),
    ARCHIVE_SYMBOL(entry_set_mtime),
};

/* Whether the process uses the C library's malloc, not one from the program, a preloaded library or a sanitizer. */
static bool malloc_is_of_libc(void)
{
    void *libc = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
    bool is_of_libc = libc && dlsym(libc, "malloc") == dlsym(RTLD_DEFAULT, "malloc");

    if (libc)
        (void)dlclose(libc); /* drops only the reference from RTLD_NOLOAD */
    return is_of_libc;
}

/* With RTLD_DEEPBIND unless that would mix two allocators (libraries.h). */
static void *open_library(const char *file)
{
    const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;

    return dlopen(file, malloc_is_of_libc() ? flags | RTLD_DEEPBIND : flags);
}

/* pointers: the library's struct, all pointers to functions. */
static enum bottle_result load(const char *file, const char *package, const struct symbol *symbols,
                               size_t count, void *pointers, struct failure *failure)
{
    void *library = open_library(file);

    if (!library)
        return failure_set(
            failure, BOTTLE_UNAVAILABLE,
            "an engine cannot be reached without %s: %s; install the Debian package %s", file,
            dlerror(), package);
    for (size_t i = 0; i < count; i++) {
        void *found = dlsym(library, symbols[i].name);
        if (!found)
            return failure_set(failure, BOTTLE_UNAVAILABLE,
                               "%s is too old: it has no %s; upgrade the Debian package %s", file,
                               symbols[i].name, package);
        memcpy((char *)pointers + symbols[i].offset, &found, sizeof found);
    }
    return BOTTLE_OK;
}

enum bottle_result curl_library_load(struct curl_library *library, struct failure *failure)
{
    return load("libcurl.so.4", "libcurl4", CURL_SYMBOLS,
                sizeof CURL_SYMBOLS / sizeof CURL_SYMBOLS[0], library, failure);
}

enum bottle_result archive_library_load(struct archive_library *library, struct failure *failure)
{
    return load("libarchive.so.13", "libarchive13", ARCHIVE_SYMBOLS,
                sizeof ARCHIVE_SYMBOLS / sizeof ARCHIVE_SYMBOLS[0], library, failure);
}
