#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# valgrind.sh: a host that is developed under valgrind can start and stop a gate; nothing of its memory is
# misused or lost.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

gate() {
    valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
        "$BUILD_DIR/tests/gate_tool" "$BUILD_DIR/plugin/ssh_gate.so" "$@"
}

starts_and_stops() {
    mkdir "$test_dir/stage"
    gate start '{"ssh": [{"Host": "a", "Hostname": "127.0.0.9", "Port": 2200}]}' a "$test_dir/stage" \
        127.0.0.5 host native '{}'
    [ "$(ss -Hltn src 127.0.0.5:2200 | wc -l)" -eq 1 ]
    gate stop native:a
    [ -z "$(ss -Hltn)" ]
}

check starts_and_stops
