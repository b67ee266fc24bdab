/* SPDX-License-Identifier: MIT */
/*
 * test_histogram.c: quantiles out of the relay's histogram, against the durations themselves.
 */
#include "relay/base/histogram.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

#define MAX_EXACT_US ((uint64_t)1 << 31)

static const unsigned int PERCENTS[] = {1, 25, 50, 75, 90, 99, 100};
#define PERCENT_COUNT (sizeof PERCENTS / sizeof PERCENTS[0])

static int compare(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

/* Never below the true one, and at most an eighth above. */
static void expect_quantiles(int64_t *durations, size_t count)
{
    struct histogram histogram = {0};

    for (size_t i = 0; i < count; i++)
        histogram_add(&histogram, durations[i]);
    qsort(durations, count, sizeof *durations, compare);
    cr_expect_eq(histogram.count, count);
    cr_expect_eq(histogram.max_us, (uint64_t)durations[count - 1]);
    for (size_t i = 0; i < PERCENT_COUNT; i++) {
        uint64_t exact = (uint64_t)durations[(count * PERCENTS[i] + 99) / 100 - 1];
        uint64_t told = histogram_quantile_us(&histogram, PERCENTS[i]);
        cr_expect(told >= exact && told <= exact + exact / 8,
                  "%u %% of %zu are %" PRIu64 " us at most, not %" PRIu64, PERCENTS[i], count,
                  exact, told);
    }
}

Test(histogram, empty)
{
    const struct histogram histogram = {0};

    for (size_t i = 0; i < PERCENT_COUNT; i++)
        cr_expect_eq(histogram_quantile_us(&histogram, PERCENTS[i]), 0);
}

/* Each edge of a bucket is near a power of two or a multiple of an eighth of one. */
Test(histogram, one_duration_is_told_exactly)
{
    for (uint64_t power = 1; power <= MAX_EXACT_US; power *= 2) {
        for (uint64_t part = 0; part < 8; part++) {
            for (int64_t near = -1; near <= 1; near++) {
                int64_t duration = (int64_t)(power + power / 8 * part) + near;
                struct histogram histogram = {0};
                histogram_add(&histogram, duration);
                for (size_t i = 0; i < PERCENT_COUNT; i++)
                    cr_expect_eq(histogram_quantile_us(&histogram, PERCENTS[i]),
                                 (uint64_t)duration);
            }
        }
    }
}

Test(histogram, an_edge_belongs_to_one_side)
{
    for (uint64_t power = 1; power < MAX_EXACT_US; power *= 2) {
        for (uint64_t part = 0; part < 8; part++) {
            int64_t edge = (int64_t)(power + power / 8 * part);
            int64_t durations[] = {edge - 1, edge, edge + 1, 2 * edge};
            expect_quantiles(durations, sizeof durations / sizeof durations[0]);
        }
    }
}

Test(histogram, any_number_of_any_durations)
{
    enum { MOST = 5000 };
    static int64_t durations[MOST];
    unsigned int seed = 1;

    for (size_t count = 1; count <= MOST; count = count * 3 / 2 + 1) {
        for (size_t i = 0; i < count; i++)
            durations[i] = rand_r(&seed) >> rand_r(&seed) % 31;
        expect_quantiles(durations, count);
    }
}

Test(histogram, one_of_a_hundred_is_beyond_the_99th)
{
    struct histogram histogram = {0};

    for (int i = 0; i < 99; i++)
        histogram_add(&histogram, 5);
    histogram_add(&histogram, 1000000);
    cr_expect_eq(histogram_quantile_us(&histogram, 99), 5);
    cr_expect_eq(histogram_quantile_us(&histogram, 100), 1000000);
    cr_expect_eq(histogram.sum_us, 1000495);
}

Test(histogram, what_is_out_of_range_is_counted)
{
    struct histogram histogram = {0};

    histogram_add(&histogram, -1);
    cr_expect_eq(histogram_quantile_us(&histogram, 100), 0);
    histogram_add(&histogram, INT64_MAX);
    cr_expect_eq(histogram_quantile_us(&histogram, 50), 0);
    cr_expect_eq(histogram_quantile_us(&histogram, 99), INT64_MAX);
    cr_expect_eq(histogram.count, 2);
}
