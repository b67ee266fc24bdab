/* SPDX-License-Identifier: MIT */
/* test_file_write.c: a file that may not grow any more is an error, not a signal. */
#include "common/process/file_write.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define LIMIT 100

static FILE *file;

static void set_up(void)
{
    static const struct rlimit SMALL = {.rlim_cur = LIMIT, .rlim_max = LIMIT};

    file = tmpfile();
    cr_assert_not_null(file);
    cr_assert_neq(signal(SIGXFSZ, SIG_DFL), SIG_ERR);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &SMALL), 0);
}

TestSuite(file_write, .init = set_up, .timeout = 30);

static bool is_pending(void)
{
    sigset_t pending;

    cr_assert_eq(sigpending(&pending), 0);
    return sigismember(&pending, SIGXFSZ) == 1;
}

Test(file_write, is_an_error_alone)
{
    static const char bytes[LIMIT + 1];
    sigset_t before, after;

    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &before), 0);
    cr_expect(file_write(fileno(file), bytes, LIMIT));
    cr_expect_not(file_write(fileno(file), bytes, 1));
    cr_expect_eq(errno, EFBIG, "%m");
    cr_assert_eq(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    cr_expect_eq(sigismember(&after, SIGXFSZ), sigismember(&before, SIGXFSZ));
    cr_expect_not(is_pending());
}

/* What was pending before is the host's. */
Test(file_write, leaves_the_signal_of_another)
{
    static const char bytes[LIMIT + 1];
    sigset_t file_size;

    cr_assert(sigemptyset(&file_size) == 0 && sigaddset(&file_size, SIGXFSZ) == 0);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &file_size, NULL), 0);
    cr_assert_eq(raise(SIGXFSZ), 0);
    cr_expect_not(file_write(fileno(file), bytes, sizeof bytes));
    cr_expect(is_pending());
}
