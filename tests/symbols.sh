#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# symbols.sh: what ssh_gate.so and pipelock.so show to the program that loads them, what they take from it, and
# what the first carries.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

plugin=$BUILD_DIR/plugin/ssh_gate.so
relay=$test_dir/relay

exports_only_the_entry() {
    local symbols
    symbols=$(nm -D --defined-only "$1")
    printf '%s\n' "$symbols"
    [ "$(wc -l <<<"$symbols")" -eq 1 ]
    [[ $symbols == *' T bottle_sidecar_entry' ]]
}

# What the C library has, and weak symbols that may be missing; nothing that a host could have in its place.
needs_only_libc() {
    nm -D --undefined-only "$1" | tee "$test_dir/needed"
    grep -q @GLIBC_ "$test_dir/needed"
    status_is 1 grep -Ev '@GLIBC_|^ +w ' "$test_dir/needed"
}

# crowded PLUGIN BACKEND INTERNAL EGRESS: a gate of a host that exports what others are to have for themselves.
crowded() {
    rm -rf "$test_dir/stage"
    mkdir "$test_dir/stage"
    "$BUILD_DIR/tests/crowded_host" "$1" "$test_dir/stage" "${@:2}"
}

serves_a_crowded_host() {
    crowded "$plugin" native ::1 host | grep '"state":"serving"'
    [ -z "$(ss -Hltn)" ]
}

# Through libcurl and libarchive, and theirs.
asks_an_engine() {
    /usr/bin/python3 "$SOURCE_DIR/tests/fixtures/fake_engine.py" "$test_dir/engine" &
    local engine=$! status=0
    local -x DOCKER_HOST=unix://$test_dir/engine
    wait_until test -S "$test_dir/engine"
    fails_with 'the image has ' crowded "$plugin" docker inside outside || status=$?
    kill "$engine"
    return "$status"
}

# address SYMBOL: where it is in the plugin, in decimal.
address() {
    nm "$plugin" | awk -v symbol="$1" '$3 == symbol { print "0x" $1 }' | xargs printf '%d\n'
}

# What is only read lies in the file where it lies in memory.
extract_relay() {
    local start end
    start=$(address relay_image)
    end=$(address relay_image_end)
    dd status=none iflag=skip_bytes,count_bytes "skip=$start" "count=$((end - start))" \
        "if=$plugin" "of=$relay"
    readelf --file-header "$relay"
}

is_static() {
    readelf --wide --program-headers --dynamic "$relay" >"$relay.elf"
    cat "$relay.elf"
    [ "$(grep -c LOAD "$relay.elf")" -gt 0 ]
    [ "$(grep -c 'INTERP\|NEEDED' "$relay.elf")" -eq 0 ]
}

# Its result is undefined where it fails: text_format() (plugin/common/text/text.h) stands for it.
leaves_asprintf_alone() {
    local symbols
    symbols=$(nm -D --undefined-only "$1")
    status_is 1 grep -E ' (__)?asprintf(_chk)?(@|$)' <<<"$symbols"
}

# json-c's own seed prints on the host's standard error where getrandom(2) is denied.
has_a_silent_seed() {
    status_is 1 grep -c 'error from getrandom' "$1"
}

# In a root directory that holds nothing else.
runs_alone() {
    mkdir "$test_dir/empty"
    install "$relay" "$test_dir/empty/relay"
    fails_with 'this program is started by ssh_gate.so' chroot "$test_dir/empty" /relay
}

check 'one symbol is exported, the entry' exports_only_the_entry "$plugin"
check 'the same of pipelock.so' exports_only_the_entry "$BUILD_DIR/sample-host/pipelock.so"
check 'it serves a host that exports the same names' serves_a_crowded_host
check 'nothing in the plugin calls asprintf(3)' leaves_asprintf_alone "$plugin"
check 'the same of pipelock.so' leaves_asprintf_alone "$BUILD_DIR/sample-host/pipelock.so"
check 'a host without random numbers reads nothing of it' has_a_silent_seed "$plugin"
check 'the same of pipelock.so' has_a_silent_seed "$BUILD_DIR/sample-host/pipelock.so"
check 'the plugin holds the relay' extract_relay
if nm -D "$plugin" | grep __asan_init >/dev/null; then # -q would leave early, and nm would fail
    printf 'skipped: with AddressSanitizer the relay cannot be static\n'
else
    check 'it takes from the host what is of the C library, and no more' needs_only_libc "$plugin"
    check 'the same of pipelock.so, here' needs_only_libc "$BUILD_DIR/sample-host/pipelock.so"
    check 'it asks an engine for a host that exports what libcurl and libarchive have' asks_an_engine
    check 'the relay is a static executable' is_static
    check 'the relay runs where there is no other file' runs_alone
fi
printf 'FIGURE size of ssh_gate.so: %d bytes\n' "$(stat -c %s "$plugin")"
