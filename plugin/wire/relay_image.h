/* SPDX-License-Identifier: MIT */
/* relay_image.h: the relay, a static executable, as bytes inside the plugin (relay_image.S). */
#ifndef SSH_GATE_RELAY_IMAGE_H
#define SSH_GATE_RELAY_IMAGE_H

extern const unsigned char relay_image[], relay_image_end[];
extern const char relay_image_sha256[]; /* of those bytes, hexadecimal */

#endif
