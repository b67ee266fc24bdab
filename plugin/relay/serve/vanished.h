/* SPDX-License-Identifier: MIT */
/* vanished.h: ending connections whose peers have vanished without closing them. */
#ifndef RELAY_SERVE_VANISHED_H
#define RELAY_SERVE_VANISHED_H

struct relay;

/* Called when bytes move: starts the periodic check. */
void vanished_watch(struct relay *relay);

#endif
