/* SPDX-License-Identifier: MIT */
/* sanitized.h: whether this is a build with AddressSanitizer, whose runtime needs more than the relay, and looks into
   it as it ends. */
#ifndef RELAY_SANITIZED_H
#define RELAY_SANITIZED_H

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

#endif
