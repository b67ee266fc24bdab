# SPDX-License-Identifier: MIT
# bottle/sidecar.h as a later minor version may have it: each struct has one field more, and there is one
# result more.  BOTTLE_LATER shows a source which header it has got.
s/^#define BOTTLE_SIDECAR_ABI_MINOR .*/#define BOTTLE_SIDECAR_ABI_MINOR 99u\n#define BOTTLE_LATER/
/^struct bottle_[a-z]* {$/,/^};$/ s/^};$/    uint64_t later;\n&/
/^enum bottle_result {$/,/^};$/ s/^};$/    BOTTLE_LATER_RESULT = 99,\n&/
