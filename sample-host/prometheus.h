/* SPDX-License-Identifier: MIT */
/*
 * prometheus.h: the output of `status --prometheus`.
 */
#ifndef SAMPLE_HOST_PROMETHEUS_H
#define SAMPLE_HOST_PROMETHEUS_H

#include <json-c/json.h>

/* Prints the gates in the array "bottles" of `status --json`. */
void print_prometheus(json_object *bottles);

#endif
