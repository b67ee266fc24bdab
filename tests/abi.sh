#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# abi.sh: the ABI can age: launchers and plugins of several versions run together as bottle/sidecar.h
# promises, and a change that would break this does not pass unnoticed: what is built is compared with what
# was recorded of each released version (abi/baseline.sh), and runs with the plugin and the launcher that are
# kept of it as binaries (abi/programs.sh).
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

: "${SOURCE_DIR:?set it to the directory of the sources}"
fixtures=$BUILD_DIR/tests/fixtures
launcher=$BUILD_DIR/tests/gate_tool
newer_launcher=$BUILD_DIR/tests/gate_tool_newer_minor
gate=$BUILD_DIR/plugin/ssh_gate.so
newer_gate=$fixtures/ssh_gate_newer_minor.so
header=include/bottle/sidecar.h

# version_of MAJOR|MINOR
version_of() {
    sed -n "s/^#define BOTTLE_SIDECAR_ABI_$1 \([0-9]*\)u$/\1/p" "$SOURCE_DIR/host-api/$header"
}

major=$(version_of MAJOR)
minor=$(version_of MINOR)
next_major=$((major + 1)) # as abi/newer_major.sed has it
next_minor=$((minor + 1))
oldest_minor=$(printf "%s\n" "$SOURCE_DIR/tests/abi/$major".* | sed "s/.*\.//" | sort -n | head -n 1)

# Results: enum bottle_result.
INVALID=1 NOT_FOUND=6 UNSUPPORTED=7

# ---- launchers and plugins of several versions ----

# start LAUNCHER PLUGIN SLUG [BACKEND]: prints the target.
start() {
    mkdir -p "$test_dir/$3"
    "$1" "$2" start '{"ssh": [{"Host": "example", "Hostname": "127.0.0.1", "Port": 2200}]}' "$3" \
        "$test_dir/$3" 127.0.0.2 host "${4:-native}" '{}'
}

# is_serving LAUNCHER PLUGIN TARGET
is_serving() {
    local status
    status=$("$1" "$2" status "$3")
    printf '%s\n' "$status"
    [[ $status == *'"state":"serving"'* && $status == *"\"target\":\"$3\""* ]]
}

# whole_life LAUNCHER PLUGIN SLUG
whole_life() {
    local target
    target=$(start "$@")
    is_serving "$1" "$2" "$target"
    "$1" "$2" stop "$target"
    "$1" "$2" stop "$target"
    status_is "$NOT_FOUND" "$1" "$2" status "$target"
    status_is "$NOT_FOUND" "$1" "$2" drain "$target" 0
    # A backend that only another version has.
    status_is "$INVALID" start "$1" "$2" "$3" teleport
    status_is "$INVALID" "$1" "$2" stop "teleport:$3"
}

# What one pair starts, the other finds and stops.
across_versions() {
    local target older=("$launcher" "$gate") newer=("$newer_launcher" "$newer_gate")
    target=$(start "${older[@]}" across)
    is_serving "${newer[@]}" "$target"
    "${newer[@]}" stop "$target"
    status_is "$NOT_FOUND" "${older[@]}" status "$target"

    target=$(start "${newer[@]}" across)
    is_serving "${older[@]}" "$target"
    "${older[@]}" drain "$target" 1000
    "${older[@]}" stop "$target"
    status_is "$NOT_FOUND" "${newer[@]}" status "$target"
}

# refuses LAUNCHER PLUGIN PART: loading fails, and the message has PART in it.
refuses() {
    local said
    said=$(status_is "$INVALID" "$1" "$2" status native:x 2>&1)
    printf '%s\n' "$said"
    [[ $said == *"$3"* ]]
}

lacks_operations() {
    status_is "$UNSUPPORTED" "$1" "$fixtures/fake_without_drain.so" drain native:x 0
    status_is "$UNSUPPORTED" "$1" "$fixtures/fake_without_status.so" status native:x
}

for host in "$launcher" "$newer_launcher"; do
    for plugin in "$gate" "$newer_gate"; do
        check "$(basename "$host") and $(basename "$plugin"): a whole life" whole_life "$host" "$plugin" life
    done
    check "$(basename "$host"): a plugin without optional operations" lacks_operations "$host"
done
check 'what an older pair started a newer one finds and stops, and the other way round' across_versions
check 'a launcher of the next major version refuses the present plugin' refuses \
    "$BUILD_DIR/tests/gate_tool_newer_major" "$gate" \
    "speaks sidecar ABI $major.$minor, this launcher speaks $next_major.x: use a plugin built for $next_major.x, or an older launcher"
check 'the present launcher refuses a plugin of the next major version' refuses \
    "$launcher" "$fixtures/fake_newer_major.so" \
    "speaks sidecar ABI $next_major.$minor, this launcher speaks $major.x: use a plugin built for $major.x, or a newer launcher"

# ---- the binaries that are kept of each released version ----

# A binary without AddressSanitizer loads a plugin with it only when the runtime is there first.
with_sanitizer=()
if is_sanitized; then
    with_sanitizer=(env LD_PRELOAD="$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0)
fi

# every_version_has_binaries: the present one gets its own when it is released, at the latest.
every_version_has_binaries() {
    local directory
    for directory in "$SOURCE_DIR"/tests/abi/*.*/; do
        [ "$(basename "$directory")" = "$major.$minor" ] || [ -e "$directory/plugin.so" ] || {
            printf 'no binaries are kept of ABI %s: build them of its sources (tests/abi/programs.sh record)\n' \
                "$(basename "$directory")"
            return 1
        }
    done
}

# unpack VERSION: puts its plugin.so and its host, as a launcher that takes them, into $test_dir/VERSION.
unpack() {
    local kept=$SOURCE_DIR/tests/abi/$1 directory=$test_dir/kept-$1
    mkdir -p "$directory" "$directory/state"
    if [ "$(uname -m)" = x86_64 ]; then
        # A working copy may be one that a group may write, from which the loader takes nothing.
        install "$kept/plugin.so" "$kept/host" "$directory"
    else
        printf 'NOT RUN: the binaries of ABI %s, which are for x86-64; in their place run what this machine (%s) builds of %s/source\n' \
            "$1" "$(uname -m)" "$kept"
        bash "$SOURCE_DIR/tests/abi/programs.sh" build "$kept/source" "$directory"
    fi
    mv "$directory/host" "$directory/host.bin"
    # shellcheck disable=SC2016 # the script expands these
    printf '#!/bin/sh\nexec %s "$0.bin" "$@"\n' "${with_sanitizer[*]}" >"$directory/host"
    chmod 755 "$directory/host"
}

# logs LINE COMMAND...: the command logs the line, as a warning.
logs() {
    local line="log 2: $1" said
    shift
    said=$(VERBOSE=1 "$@" 2>&1 >"$test_dir/printed")
    printf '%s\n' "$said"
    [ "$said" = "$line" ]
}

# has_state LAUNCHER PLUGIN TEXT: status has the text in it.
has_state() {
    local status
    status=$("$1" "$2" status native:kept)
    printf '%s\n' "$status"
    [[ $status == *"$3"* ]]
}

# passes_every_field LAUNCHER PLUGIN: what a plugin logs, and puts out, is what it was given.
passes_every_field() {
    local bottle='{"a": "bottle"}' prepared
    prepared="kept: prepare kept $test_dir/stage $bottle"
    logs "$prepared
log 2: kept: start native {} (null) $(plan_of kept)" \
        "$@" start "$bottle" kept "$test_dir/stage" inner outer native '{}'
    [ "$(<"$test_dir/printed")" = native:kept:1 ]
    logs "$prepared
log 2: kept: start native {} native:kept:1 $(plan_of kept)" \
        "$@" start "$bottle" kept "$test_dir/stage" inner outer native '{}' native:kept:1
    [ "$(<"$test_dir/printed")" = native:kept:2 ]
    logs 'kept: status native:kept:2' "$@" status native:kept:2
    has_state "$@" '"target":"native:kept:2","state":"serving"'
    status_is "$NOT_FOUND" "$@" status native:kept:1
    logs 'kept: drain native:kept:2 123456789012' "$@" drain native:kept:2 123456789012
    has_state "$@" '"state":"draining"'
    has_state "$@" '"grace_ms":123456789012'
    logs 'kept: stop native:kept:2' "$@" stop native:kept:2
    status_is "$NOT_FOUND" "$@" status native:kept
    status_is "$INVALID" "$@" start '[]' kept "$test_dir/stage" inner outer native '{}'
}

# plan_of SLUG: as the launchers hand it to start.
plan_of() {
    printf '{"sidecar":"kept","slug":"%s","upstreams":[{}],"internal_network":"inner","egress_network":"outer"}' "$1"
}

# is_taken_by_sample_host PLUGIN VERSION: the plugin beside today's gate in today's launcher.
is_taken_by_sample_host() {
    local state=$test_dir/bottle/state
    host_with "$1" plugins | grep -Ex "kept +1 +$2 +native +$1"
    host_with "$1" plan web --slug web | grep '"sidecar": *"kept"'
    as bottle mkdir "$state"
    # That of 1.0 does not say what networks it has.
    host_with "$1" up web --internal-network 127.0.0.2 --egress-network host 2>&1 | tee "$test_dir/said"
    grep -F 'kept: start native { } (null) {' "$test_dir/said"
    [ "$(cut -d ' ' -f 1,3 "$state"/web)" = '1 serving' ]
    host_with "$1" status --json | grep -F '"target":"native:web:1"'
    # The plugin of the gate takes over as well.
    host_with "$1" swap web --grace 5 2>&1 | tee "$test_dir/said"
    grep -F 'kept: start native { } native:web:1 {' "$test_dir/said"
    [ "$(cut -d ' ' -f 1,3 "$state"/web)" = '2 serving' ]
    host_with "$1" down web
    [ -z "$(ls -A "$state")" ]
    as bottle rmdir "$state"
}

# host_with PLUGIN ARGUMENT...
host_with() {
    sample_host bottle KEPT_SIDECAR_STATE="$test_dir/bottle/state" "${@:2}" \
        --plugin "$test_dir/build/plugin/ssh_gate.so" --plugin "$1"
}

# compile_changed NAME SED: $test_dir/NAME/host and plugin.so, of the present sources with SED's change to the header.
compile_changed() {
    local directory=$test_dir/$1
    change "$1" ssh_gate "$2"
    cp "$SOURCE_DIR/tests/abi/plugin.c" "$directory/plugin.c"
    cp "$SOURCE_DIR/tests/fixtures/gate_tool.c" "$directory/host.c"
    bash "$SOURCE_DIR/tests/abi/programs.sh" build "$directory" "$directory"
}

# does_not_pass_every_field LAUNCHER PLUGIN
does_not_pass_every_field() {
    local status
    rm -f "$KEPT_SIDECAR_STATE"/*
    set +e # which `!` would do for all of the function
    (
        set -e
        passes_every_field "$@"
    )
    status=$?
    set -e
    [ "$status" -ne 0 ]
}

# a_change_shows NAME SED KEPT: neither of the binaries in KEPT runs with what is built of a changed header.
a_change_shows() {
    compile_changed "$1" "$2"
    does_not_pass_every_field "$test_dir/$1/host" "$3/plugin.so"
    does_not_pass_every_field "$3/host" "$test_dir/$1/plugin.so"
}

# ---- what was recorded ----

baseline() {
    bash "$SOURCE_DIR/tests/abi/baseline.sh" "$@"
}

holds_no_path() {
    ! grep -n "='/" "$SOURCE_DIR"/tests/abi/*/*.abi
}

# change NAME LIBRARY SED [FILE]: makes $test_dir/NAME, a copy of host-api with SED's change to FILE.
change() {
    local directory=$test_dir/$1 file=${4:-$header}
    cp -r "$SOURCE_DIR/host-api" "$directory"
    sed -i "$3" "$directory/$file"
    if cmp -s "$SOURCE_DIR/host-api/$file" "$directory/$file"; then
        printf 'this changes nothing in %s: %s\n' "$file" "$3"
        return 1
    fi
    cp -r "$SOURCE_DIR/tests/abi" "$directory/abi"
}

# build DIRECTORY LIBRARY MAJOR MINOR: LIBRARY, of the header there with this version; it is ssh_gate, of
# which the entry is enough here, or bottle-host.
build() {
    local sources=("$1"/src/*.c)
    sed -i "s/^\(#define BOTTLE_SIDECAR_ABI_MAJOR\) .*/\1 $3u/; s/^\(#define BOTTLE_SIDECAR_ABI_MINOR\) .*/\1 $4u/" \
        "$1/$header"
    if [ "$2" = ssh_gate ]; then
        sources=("$1/entry.c")
        cat >"${sources[0]}" <<'END'
#include <bottle/sidecar.h>
const struct bottle_sidecar *bottle_sidecar_entry(void)
{
    return (const struct bottle_sidecar *)0;
}
END
    fi
    gcc -g -shared -fPIC -D_GNU_SOURCE -DBOTTLE_SIDECAR_DIR='"/"' -DBOTTLE_SIDECAR_FROM_BINDIR='""' \
        -DBOTTLE_SIDECAR_FROM_LIBDIR='""' -I "$1/include" -o "$1/$2.so" "${sources[@]}"
}

# record DIRECTORY LIBRARY: as a developer does after raising the version.
record() {
    baseline record "$1/abi" "$1/include" "$1/$2.so"
}

# accepts DIRECTORY LIBRARY
accepts() {
    baseline check "$1/abi" "$1/include" "$1/$2.so"
}

# rejects PART DIRECTORY LIBRARY: and says PART.
rejects() {
    local said
    said=$(status_is 1 accepts "$2" "$3" 2>&1)
    printf '%s\n' "$said"
    [[ $said == *"$1"* ]]
}

# breaks NAME LIBRARY SED [FILE]: the change is no minor version, even if it is recorded as one.
breaks() {
    local directory=$test_dir/$1
    change "$@"
    build "$directory" "$2" "$major" "$next_minor"
    record "$directory" "$2"
    rejects "$2: breaks ABI $major.$oldest_minor" "$directory" "$2" # which is looked at first
}

# adds NAME LIBRARY SED [FILE]: the change is a minor version, once it is recorded as one.
adds() {
    local directory=$test_dir/$1
    change "$@"
    build "$directory" "$2" "$major" "$minor"
    rejects "$2: this is not ABI $major.$minor as it was recorded" "$directory" "$2"
    build "$directory" "$2" "$major" "$next_minor"
    rejects "$2: nothing is recorded for ABI $major.$next_minor" "$directory" "$2"
    record "$directory" "$2"
    accepts "$directory" "$2"
}

# becomes_major NAME LIBRARY SED [FILE]: the change is a major version, once it is recorded as one.
becomes_major() {
    local directory=$test_dir/$1
    change "$@"
    build "$directory" "$2" "$major" "$minor"
    rejects "$2: this is not ABI $major.$minor as it was recorded" "$directory" "$2"
    build "$directory" "$2" "$next_major" 0
    rejects "$2: nothing is recorded for ABI $next_major.0" "$directory" "$2"
    record "$directory" "$2"
    accepts "$directory" "$2"
}

# One minor version adds half a word, and the next puts a field into the other half: by struct_size, a reader
# cannot tell one from the other.
fills_padding() {
    local directory=$test_dir/padding
    change padding ssh_gate "$(of_struct bottle_stop 's/^};$/    uint32_t half;\n&/')"
    build "$directory" ssh_gate "$major" "$next_minor"
    record "$directory" ssh_gate
    accepts "$directory" ssh_gate
    sed -i 's/^    uint32_t half;$/&\n    uint32_t other_half;/' "$directory/$header"
    build "$directory" ssh_gate "$major" "$((next_minor + 1))"
    record "$directory" ssh_gate
    rejects "ssh_gate: breaks ABI $major.$next_minor" "$directory" ssh_gate
}

# of_struct NAME SED: SED within a struct.
of_struct() {
    printf '/^struct %s {$/,/^};$/{%s}' "$1" "$2"
}

check 'binaries are kept of every version before the present one' every_version_has_binaries
export KEPT_SIDECAR_STATE=$test_dir/state
mkdir "$KEPT_SIDECAR_STATE" "$test_dir/stage"
new_home bottle
install_build
write_manifest bottle web "$(entry gitea gitea.example 30009 git '')"
check 'the launcher and the plugin that the next version will record: every field' \
    passes_every_field "$launcher" "$fixtures/kept_sidecar.so"
versions=()
for directory in "$SOURCE_DIR"/tests/abi/"$major".*/; do
    [ ! -e "$directory/plugin.so" ] || versions+=("$(basename "$directory")")
done
for version in "${versions[@]}"; do
    kept=$test_dir/kept-$version
    unpack "$version"
    for plugin in "$gate" "$newer_gate" "$kept/plugin.so"; do
        check "the launcher of $version and $(basename "$plugin"): a whole life" whole_life "$kept/host" "$plugin" life
    done
    for host in "$launcher" "$newer_launcher" "$kept/host"; do
        rm -f "$KEPT_SIDECAR_STATE"/* # of a pair that failed
        check "$(basename "$host") and the plugin of $version: a whole life" whole_life "$host" "$kept/plugin.so" life
        check "$(basename "$host") and the plugin of $version: every field" passes_every_field "$host" "$kept/plugin.so"
    done
    # So these checks can fail.
    check "a field that moves in a request shows to the binaries of $version" a_change_shows moved-request \
        "$(of_struct bottle_prepare '/const char \*slug;/d; s/.*const char \*stage_dir;.*/&\nconst char *slug;/')" \
        "$kept"
    check "a field that moves in the table shows to the binaries of $version" a_change_shows moved-table \
        "$(of_struct bottle_sidecar '/(\*stop)/d; s/.*(\*drain).*/&\nenum bottle_result (*stop)(struct bottle_stop *arguments);/')" \
        "$kept"
    check "sample-host runs the plugin of $version" is_taken_by_sample_host "$kept/plugin.so" "$version"
done

check 'what is built is what was recorded' baseline check "$SOURCE_DIR/tests/abi" \
    "$SOURCE_DIR/host-api/include" "$gate" "$fixtures/bottle-host.so"
check 'what was recorded names no place of this machine' holds_no_path

if nm -D "$gate" | grep __asan_init >/dev/null; then # -q would leave early, and nm would fail
    printf 'skipped: what a change of the header leads to does not depend on the sanitizers\n'
    exit
fi
check 'a field less is a major version' becomes_major major ssh_gate '/const char \*takeover;/d'
check 'a field less is noticed' breaks removed ssh_gate '/const char \*takeover;/d'
check 'the last field less is noticed' breaks last ssh_gate "$(of_struct bottle_host '/void \*log_context;/d')"
check 'a field in the middle is noticed' breaks middle ssh_gate 's/^    char \*target;.*/    uint64_t x;\n&/'
check 'two fields that change places are noticed' breaks places ssh_gate \
    "$(of_struct bottle_prepare '/const char \*bottle;/d; s/.*const char \*slug;.*/&\nconst char *bottle;/')"
check 'a field of another type is noticed' breaks type ssh_gate 's/int64_t grace_ms;/int32_t grace_ms;/'
check 'a field of another meaning is noticed' breaks renamed ssh_gate 's/const char \*backend;/const char *engine;/'
check 'another signature is noticed' breaks signature ssh_gate 's/void (\*release)/int (*release)/'
check 'another value of a result is noticed' breaks value ssh_gate 's/BOTTLE_DENIED = 5/BOTTLE_DENIED = 50/'
check 'a change behind an addition is noticed' breaks behind ssh_gate \
    "s/void (\\*release)/int (*release)/; $(of_struct bottle_sidecar 's/^};$/uint64_t x;\n&/')"
check 'a level of the log more is noticed' breaks level ssh_gate 's/BOTTLE_LOG_ERROR = 3,/&BOTTLE_LOG_FATAL = 4,/'
check 'a field in the padding of a struct is noticed' fills_padding
check 'a function of the loader less is noticed' breaks function bottle-host \
    's/^const char \*bottle_result_name(/__attribute__((visibility("hidden"))) &/' src/fail.c

check 'a field at the end, and a result, are a minor version' adds field ssh_gate \
    "$(sed '/^#/d; /MINOR/d' "$SOURCE_DIR/tests/abi/newer_minor.sed")"
check 'an operation at the end is a minor version' adds operation ssh_gate \
    "$(of_struct bottle_sidecar 's/^};$/enum bottle_result (*swap)(struct bottle_start *arguments);\n&/')"
check 'a function of the loader more is a minor version' adds more bottle-host \
    '$ a int bottle_more(void); int bottle_more(void) { return 0; }' src/fail.c
