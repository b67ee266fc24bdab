/* SPDX-License-Identifier: MIT */
/* message_size.h: the size of a relay's error messages, in replies and in SSH_MSG_DISCONNECT. */
#ifndef WIRE_MESSAGE_SIZE_H
#define WIRE_MESSAGE_SIZE_H

#define RELAY_MESSAGE_SIZE 400

#endif
