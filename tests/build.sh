#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# build.sh: the build as somebody who packages this runs it, on systems that have more, less or something else.
#
# What a system lacks is hidden behind an overlay, in a mount namespace of this script's own.
if [ "${1-}" != inside ]; then
    namespaces=(--mount)
    [ "$EUID" -eq 0 ] || namespaces+=(--map-root-user)
    exec unshare "${namespaces[@]}" bash "$0" inside
fi
set -uo pipefail

# shellcheck source=tests/checks.sh
source "$(dirname "$0")/checks.sh"
trap 'umount --lazy "$dir"; rm -rf "$dir"' EXIT
mount -t tmpfs tmpfs "$dir" # an overlay keeps what is hidden in attributes that not every file system has
unset CFLAGS LDFLAGS
compiler=$(cache CMAKE_C_COMPILER)

# configure [OPTION...]: nothing that ./dev sets.
configure() {
    rm -rf "$dir/build"
    cmake -S "$SOURCE_DIR" -B "$dir/build" -DCMAKE_C_COMPILER="$compiler" -DBUILD_TESTING=OFF "$@"
}

# commands FLAG: how many of the compiler's command lines have it.
commands() {
    grep -c -- "$1" "$dir/build/compile_commands.json"
}

leaves_warnings_alone() {
    configure && [ "$(commands -Werror)" -eq 0 ] && [ "$(commands -D_FORTIFY_SOURCE=2)" -gt 0 ]
}

makes_warnings_errors() {
    configure -DCMAKE_COMPILE_WARNING_AS_ERROR=ON &&
        [ "$(commands -Werror)" -eq "$(commands '"command"')" ]
}

# A source compiled as the build would, with every warning an error: a macro that is defined twice is one.
keeps_the_level() {
    local command
    CFLAGS='-O2 -Wp,-D_FORTIFY_SOURCE=3' configure -DCMAKE_C_COMPILER_LAUNCHER= || return
    [ "$(commands _FORTIFY_SOURCE=2)" -eq 0 ] || return
    command=$(sed -n 's/^ *"command": "\(.*[/]common[/]text[/]utf8\.c\)",$/\1/p' "$dir/build/compile_commands.json" | head -n 1)
    [ -n "$command" ] && sh -c "$command -Werror -o '$dir/object'"
}

# names_the_package FILE PACKAGE: configuring fails without the file and says what to install.
names_the_package() {
    local file=$1 package=$2 directory status=0
    file=$("$compiler" -print-file-name="$file")
    directory=$(realpath "$(dirname "$file")")
    mkdir -p "$dir/upper" "$dir/work"
    mount -t overlay -o "lowerdir=$directory,upperdir=$dir/upper,workdir=$dir/work" overlay "$directory" || return
    rm "$directory/$(basename "$file")" && ! configure || status=1
    umount --lazy "$directory"
    rm -rf "$dir/upper" "$dir/work"
    [ "$status" -eq 0 ] && grep -qF "$package" "$dir/output"
}

check 'warnings are not errors' leaves_warnings_alone
check 'they are where a developer says so' makes_warnings_errors
check '_FORTIFY_SOURCE=3 in CFLAGS: nothing lowers it or is in its way' keeps_the_level
check 'without the static c-ares: cmake names the package' names_the_package libcares.a libc-ares-dev
check 'without the static json-c: cmake names the package' names_the_package libjson-c.a libjson-c-dev
check 'without the static C library: cmake names the package' names_the_package libc.a libc6-dev

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
