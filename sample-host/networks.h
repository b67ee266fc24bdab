/* SPDX-License-Identifier: MIT */
/*
 * networks.h: the networks of a slug that runs in an engine.
 */
#ifndef SAMPLE_HOST_NETWORKS_H
#define SAMPLE_HOST_NETWORKS_H

#include <stdbool.h>

#define NETWORK_NAME_SIZE 64

/* A slug's own: claude-bottle-net-SLUG, which is internal, and claude-bottle-egress-SLUG. */
void network_name(char name[NETWORK_NAME_SIZE], bool internal, const char *slug);

/*
 * Makes those of the two networks that are the slug's own and that the engine lacks.
 * @may_exist: out: set, also on failure, unless there is no engine to make a network in
 */
bool networks_provide(const char *slug, const char *internal_network, const char *egress_network,
                      bool *may_exist);

/* Removes those that networks_provide() made for the slug. */
bool networks_remove(const char *slug);

#endif
