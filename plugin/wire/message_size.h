/* SPDX-License-Identifier: MIT */
/* message_size.h: room for what a relay tells people of one fault, in a reply or in the words of SSH. */
#ifndef WIRE_MESSAGE_SIZE_H
#define WIRE_MESSAGE_SIZE_H

#define RELAY_MESSAGE_SIZE 400

#endif
