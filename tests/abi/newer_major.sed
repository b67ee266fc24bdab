# SPDX-License-Identifier: MIT
# bottle/sidecar.h as the next major version may have it: nothing of the table is where it was, but its
# size and its version.
s/^#define BOTTLE_SIDECAR_ABI_MAJOR .*/#define BOTTLE_SIDECAR_ABI_MAJOR 2u/
/^struct bottle_sidecar {$/,/^};$/ s/^    const char \*name; /    uint64_t flags;\n&/
