/* SPDX-License-Identifier: MIT */
/* vanished.h: ends connections whose peers are gone without a word. */
#ifndef RELAY_SERVE_VANISHED_H
#define RELAY_SERVE_VANISHED_H

struct relay;

/* Bytes move: those whose peers have vanished are looked for. */
void vanished_watch(struct relay *relay);

#endif
