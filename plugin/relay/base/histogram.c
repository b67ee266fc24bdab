/* SPDX-License-Identifier: MIT */
/*
 * histogram.c: see histogram.h.  The width of the buckets grows with the durations in them.
 *
 * Below 8 microseconds there is a bucket for each.  From there on each doubling is divided into eight
 * buckets of one width: the highest bit of a duration says which doubling, the three bits after it which
 * bucket.  So the error is an eighth wherever the durations lie, and adding one costs a few instructions.
 */
#include "relay/base/histogram.h"

#define EXACT   8 /* buckets of one microsecond, and buckets of a doubling */
#define EXACT_2 3 /* as a power of two */

static unsigned int bucket_of(uint64_t duration_us)
{
    if (duration_us < EXACT)
        return (unsigned int)duration_us;
    unsigned int shift = 63 - (unsigned int)__builtin_clzll(duration_us) - EXACT_2;
    unsigned int bucket = (shift + 1) * EXACT + (unsigned int)(duration_us >> shift) % EXACT;
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The longest duration that belongs into the bucket. */
static uint64_t longest_of(unsigned int bucket)
{
    if (bucket < EXACT)
        return bucket;
    unsigned int shift = bucket / EXACT - 1;
    return ((uint64_t)(EXACT + bucket % EXACT + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, int64_t duration_us)
{
    uint64_t duration = duration_us > 0 ? (uint64_t)duration_us : 0;

    histogram->count++;
    histogram->sum_us += duration;
    if (duration > histogram->max_us)
        histogram->max_us = duration;
    histogram->buckets[bucket_of(duration)]++;
}

uint64_t histogram_quantile_us(const struct histogram *histogram, unsigned int percent)
{
    /* Without multiplying count, which could overflow; rounded up. */
    uint64_t wanted =
        histogram->count / 100 * percent + (histogram->count % 100 * percent + 99) / 100;
    uint64_t seen = 0;
    unsigned int bucket = 0;

    for (; bucket < HISTOGRAM_BUCKETS - 1; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted)
            break;
    }
    uint64_t longest = longest_of(bucket);
    /* The last bucket has no upper bound but the maximum. */
    return bucket == HISTOGRAM_BUCKETS - 1 || longest > histogram->max_us ? histogram->max_us
                                                                          : longest;
}
