#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# programs.sh: the plugin and the launcher that are kept, as binaries, of each released version of the ABI.
#
#     programs.sh record BASELINES HOST_API
#     programs.sh build SOURCE OUTPUT
#
# BASELINES has a directory for each version, MAJOR.MINOR, and in it
#
#     plugin.so   plugin.c as it was, built with that version's header
#     host        ../fixtures/gate_tool.c as it was, built with that version's header and loader library
#     source/     what the two were built from: plugin.c, host.c, and of HOST_API include/ and src/
#
#     record    makes these of the present sources, for the version of bottle/sidecar.h in HOST_API.  Binaries
#               that are there remain as they are: to record a version anew that was never released, remove its
#               source directory first.
#     build     makes OUTPUT/plugin.so and OUTPUT/host of a source directory, for a machine on which the
#               binaries do not run.
#
# The binaries are for x86-64 and run on Debian 12 and whatever is newer.
set -euo pipefail
shopt -s inherit_errexit

die() {
    printf 'programs.sh: %s\n' "$*" >&2
    exit 1
}

newest_glibc=2.36 # of Debian 12

# build SOURCE OUTPUT
build() {
    local flags=(-std=c17 -Os -D_GNU_SOURCE -I "$1/include" -fvisibility=hidden -s '-Wl,--build-id=none'
        '-Wl,-z,noseparate-code')
    mkdir -p "$2"
    "${CC:-gcc}" "${flags[@]}" -shared -fPIC -o "$2/plugin.so" "$1/plugin.c"
    "${CC:-gcc}" "${flags[@]}" -pie -fPIE -DBOTTLE_SIDECAR_DIR='"/nonexistent"' \
        -DBOTTLE_SIDECAR_FROM_BINDIR='""' -DBOTTLE_SIDECAR_FROM_LIBDIR='""' \
        -o "$2/host" "$1/host.c" "$1"/src/*.c
    strip -R .comment "$2/plugin.so" "$2/host"
}

# is_portable FILE: it needs no newer C library than Debian 12's, and no other library.
is_portable() {
    local needed newest
    needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    [ "$needed" = libc.so.6 ] || die "$1 needs libraries besides libc.so.6: ${needed//$'\n'/ }"
    newest=$(readelf -V "$1" | grep -o 'GLIBC_[0-9.]*' | cut -d _ -f 2 | sort -uV | tail -n 1)
    [ "$(printf '%s\n' "$newest" "$newest_glibc" | sort -V | tail -n 1)" = "$newest_glibc" ] ||
        die "$1 needs glibc $newest, and Debian 12 has $newest_glibc: record it in Debian 12"
}

# record BASELINES HOST_API
record() {
    local major minor directory here
    major=$(sed -n 's/^#define BOTTLE_SIDECAR_ABI_MAJOR \([0-9]*\)u$/\1/p' "$2/include/bottle/sidecar.h")
    minor=$(sed -n 's/^#define BOTTLE_SIDECAR_ABI_MINOR \([0-9]*\)u$/\1/p' "$2/include/bottle/sidecar.h")
    [[ $major.$minor =~ ^[0-9]+\.[0-9]+$ ]] || die "$2/include/bottle/sidecar.h names no version"
    directory=$1/$major.$minor
    if [ -e "$directory/source" ]; then
        printf 'kept %s: it is recorded (remove it to record a version anew that was never released)\n' \
            "$directory/source"
        return
    fi
    [ "$(uname -m)" = x86_64 ] || die "the binaries are for x86-64: record them on such a machine"
    here=$(dirname "${BASH_SOURCE[0]}")
    mkdir "$work/source"
    cp -r "$2/include" "$2/src" "$work/source"
    cp "$here/plugin.c" "$work/source/plugin.c"
    cp "$here/../fixtures/gate_tool.c" "$work/source/host.c"
    build "$work/source" "$work"
    is_portable "$work/plugin.so"
    is_portable "$work/host"
    mkdir -p "$directory"
    cp -r "$work/source" "$work/plugin.so" "$work/host" "$directory"
    printf 'recorded %s, %s\n' "$directory/plugin.so" "$directory/host"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ $# -eq 3 ] || die 'usage: programs.sh record BASELINES HOST_API | programs.sh build SOURCE OUTPUT'
case $1 in
record | build) "$@" ;;
*) die "no such command: $1" ;;
esac
