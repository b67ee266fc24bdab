/* SPDX-License-Identifier: MIT */
/* takeover_offer.h: the old relay's part of a takeover (takeover_offer.c). */
#ifndef RELAY_SERVE_TAKEOVER_OFFER_H
#define RELAY_SERVE_TAKEOVER_OFFER_H

#include <stdbool.h>

struct relay;

/* Sends the claim and the listening sockets; false: they could not all be sent. */
bool takeover_offer(struct relay *relay, int client_fd);
/* Ends an offer: either others hold the network from now on, or the offer failed. */
bool takeover_yield_network(struct relay *relay);
void takeover_withdraw(struct relay *relay);

#endif
