/* SPDX-License-Identifier: MIT */
/*
 * histogram.h: counts of durations in a table of fixed size, from which quantiles are computed.
 */
#ifndef RELAY_HISTOGRAM_H
#define RELAY_HISTOGRAM_H

#include <stdint.h>

/* Up to 2^31 microseconds, 36 minutes, in eight buckets for each doubling; the last has all above too. */
#define HISTOGRAM_BUCKETS 240

/* Zeroed: empty. */
struct histogram {
    uint64_t count, sum_us, max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* duration_us: a negative one counts as 0. */
void histogram_add(struct histogram *histogram, int64_t duration_us);

/*
 * The duration that percent of all durations do not exceed; 0: there are none.  Of durations up to 36 minutes it is
 * at most an eighth too high, never too low.
 * @percent: 1 to 100
 */
uint64_t histogram_quantile_us(const struct histogram *histogram, unsigned int percent);

#endif
