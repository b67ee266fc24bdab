#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# fuzz.sh: what was once found by fuzzing, and what the fuzz targets begin with: every input of their
# corpora (tests/fuzz/corpus/TARGET) once more.  `./dev fuzz` looks for new ones.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

corpora=$SOURCE_DIR/tests/fuzz/corpus

replay() {
    local inputs=("$corpora/$1"/*)
    printf '%d inputs\n' "${#inputs[@]}"
    "$BUILD_DIR/tests/fuzz/fuzz_$1" "${inputs[@]}"
}

for target in "$SOURCE_DIR"/tests/fuzz/corpus/*; do
    target=${target##*/}
    check "$target" replay "$target"
done
