/* SPDX-License-Identifier: MIT */
/*
 * libraries.h: libcurl and libarchive, loaded when they are first needed.
 *
 * They depend on some thirty other libraries, and a program that never talks to an engine should not pay
 * for loading those.  Once loaded they stay (RTLD_NODELETE), because what they register with the C library
 * would outlive them.
 *
 * The program may export functions of the same names, for example if it is linked with -rdynamic and contains
 * its own zlib, OpenSSL or libcurl.  The dynamic linker would bind the libraries to those, whatever
 * their version.  So they are loaded with RTLD_DEEPBIND, which prefers the libraries' own symbols and those of
 * their dependencies.  The exception is a process whose malloc is not the C library's (jemalloc, a
 * sanitizer): there RTLD_DEEPBIND would mix two allocators, as a library would pass to the C library's
 * free() what strdup(3) took from the other malloc().
 */
#ifndef ENGINE_LIBRARIES_H
#define ENGINE_LIBRARIES_H

#include "common/text/failure.h"

#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>

struct curl_library {
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
};

struct archive_library {
    __typeof__(&archive_write_new) write_new;
    __typeof__(&archive_write_set_format_ustar) write_set_format_ustar;
    __typeof__(&archive_write_set_format_mtree) write_set_format_mtree;
    __typeof__(&archive_write_set_options) write_set_options;
    __typeof__(&archive_write_open_memory) write_open_memory;
    __typeof__(&archive_write_header) write_header;
    __typeof__(&archive_write_data) write_data;
    __typeof__(&archive_write_close) write_close;
    __typeof__(&archive_write_free) write_free;
    __typeof__(&archive_error_string) error_string;
    __typeof__(&archive_entry_new) entry_new;
    __typeof__(&archive_entry_free) entry_free;
    __typeof__(&archive_entry_set_pathname) entry_set_pathname;
    __typeof__(&archive_entry_set_size) entry_set_size;
    __typeof__(&archive_entry_set_mode) entry_set_mode;
    __typeof__(&archive_entry_set_mtime) entry_set_mtime;
};

/* BOTTLE_UNAVAILABLE, naming the package to install, where the library is missing. */
enum bottle_result curl_library_load(struct curl_library *library, struct failure *failure);
enum bottle_result archive_library_load(struct archive_library *library, struct failure *failure);

#endif
