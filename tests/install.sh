#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# install.sh: what `cmake --install` puts somewhere is what a launcher outside this tree needs.
#
# Installs the build into a directory, builds a launcher against it with pkg-config (in C and in C++) and
# with find_package, and has each load ssh_gate by name.
set -uo pipefail

# shellcheck source=tests/checks.sh
source "$(dirname "$0")/checks.sh"

prefix=$dir
trap 'rm -rf "$dir"' EXIT
launcher=$SOURCE_DIR/tests/fixtures/launcher

# is_there FILE...: relative to the prefix.
is_there() {
    local file
    for file; do
        [ -e "$prefix/$file" ] || {
            echo "$file was not installed; there are:"
            find "$prefix"
            return 1
        }
    done
}

# prints_table LAUNCHER: it finds ssh_gate.so by name and prints what is in its table.
prints_table() {
    local printed
    printed=$(BOTTLE_SIDECAR_PATH=$sidecar_dir "$1" ssh_gate) || return
    echo "$printed"
    grep -q '^ssh_gate [^ ]*, ABI 1\.1: .' <<<"$printed" &&
        grep -qx 'backend native' <<<"$printed" &&
        grep -qx "path $prefix/.*/bottle/ssh_gate.so" <<<"$printed"
}

# names_installed_dir LAUNCHER: without $BOTTLE_SIDECAR_PATH it looks where the build is to be installed.
names_installed_dir() {
    local said
    said=$(env -u BOTTLE_SIDECAR_PATH "$1" no_such_sidecar 2>&1) && return 1
    echo "$said"
    grep -qF "no no_such_sidecar.so in $(cache CMAKE_INSTALL_PREFIX)/$libdir/bottle:" <<<"$said"
}

# finds_its_own PREFIX PROGRAM [ARGUMENT...]: it prints that it has PREFIX's ssh_gate.
finds_its_own() {
    local printed
    printed=$(env -u BOTTLE_SIDECAR_PATH "${@:2}") || return
    echo "$printed"
    grep -qF "$(realpath "$1")/$libdir/bottle/ssh_gate.so" <<<"$printed"
}

# The loader as a shared library, which finds what lies beside itself for a launcher from anywhere.
builds_shared_loader() {
    gcc -shared -fPIC -D_GNU_SOURCE -DBOTTLE_SIDECAR_DIR='"/nonexistent"' -DBOTTLE_SIDECAR_FROM_BINDIR='"/nonexistent"' \
        -DBOTTLE_SIDECAR_FROM_LIBDIR='"bottle"' "-I$prefix/include" "${sanitize[@]}" \
        -o "$moved/$libdir/libbottle-host.so" "$SOURCE_DIR"/host-api/src/*.c &&
        mkdir "$prefix/elsewhere" &&
        gcc "-I$prefix/include" "${sanitize[@]}" "$launcher/launcher.c" -o "$prefix/elsewhere/launcher" \
            "-L$moved/$libdir" -lbottle-host "-Wl,-rpath,$moved/$libdir"
}

# compile COMPILER... -o OUTPUT: with the flags that pkg-config gives.
compile() {
    local flags
    flags=$(pkg-config --cflags --libs bottle-host) || return
    # shellcheck disable=SC2086 # several words
    "$@" -Wall -Wextra -pedantic -Werror "${sanitize[@]}" "$launcher/launcher.c" $flags
}

# header_alone COMPILER...: sidecar.h needs nothing before it, and no library.
header_alone() {
    echo '#include <bottle/sidecar.h>' | "$@" -Wall -Wextra -pedantic -Werror "-I$prefix/include" \
        -fsyntax-only -
}

build_with_cmake() {
    cmake -S "$launcher" -B "$prefix/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="${sanitize[*]}" &&
        cmake --build "$prefix/build"
}

cmake_names_sidecar_dir() {
    [ "$(sed -n 's/^-- sidecars: //p' "$prefix/configured")" = "$sidecar_dir, ABI 1.1" ]
}

check 'cmake --install' cmake --install "$BUILD_DIR" --prefix "$prefix"

libdir=$(cache CMAKE_INSTALL_LIBDIR)
check 'headers, library, package files, plugins and sample-host are installed' is_there \
    include/bottle/sidecar.h include/bottle/host.h \
    "$libdir/pkgconfig/bottle-host.pc" "$libdir/cmake/bottle-host/bottle-hostConfig.cmake" \
    "$libdir/bottle/ssh_gate.so" "$libdir/bottle/pipelock.so" bin/sample-host
check 'and a man page of each' is_there share/man/man1/sample-host.1 share/man/man3/bottle-sidecar.3 \
    share/man/man5/claude-bottle.json.5 share/man/man7/ssh_gate.7

check 'sample-host finds the plugins that were installed with it' \
    finds_its_own "$prefix" "$prefix/bin/sample-host" plugins
moved=$prefix/moved/tree
mkdir -p "$(dirname "$moved/$libdir")"
cp -a "$prefix/bin" "$moved/bin"
cp -a "$prefix/$libdir" "$moved/$libdir"
check 'and those of the tree that it was moved in' finds_its_own "$moved" "$moved/bin/sample-host" plugins
check 'a shared loader library builds, and a launcher elsewhere' builds_shared_loader
check 'it finds the plugins beside the library' finds_its_own "$moved" "$prefix/elsewhere/launcher" ssh_gate

export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
sidecar_dir=$(realpath "$(pkg-config --variable=sidecardir bottle-host)")
check 'pkg-config: sidecardir is where ssh_gate.so was installed' \
    [ "$sidecar_dir" = "$(realpath "$prefix")/$libdir/bottle" ]
check 'pkg-config: the ABI version' [ "$(pkg-config --variable=abi_version bottle-host)" = 1.1 ]

check 'sidecar.h alone, as C11' header_alone gcc -std=c11 -x c
check 'sidecar.h alone, as C++11' header_alone g++ -std=c++11 -x c++

check 'pkg-config: a launcher in C11 builds' compile gcc -std=c11 -o "$prefix/launcher_c"
check 'it loads ssh_gate by name and prints its table' prints_table "$prefix/launcher_c"
check 'it looks in the installed directory by itself' names_installed_dir "$prefix/launcher_c"

check 'pkg-config: a launcher in C++ builds' compile g++ -std=c++11 -x c++ -o "$prefix/launcher_cxx"
check 'it loads ssh_gate by name and prints its table' prints_table "$prefix/launcher_cxx"

check 'find_package: a launcher builds' build_with_cmake
cp "$prefix/output" "$prefix/configured"
check 'find_package: the sidecar directory and the ABI version' cmake_names_sidecar_dir
check 'it loads ssh_gate by name and prints its table' prints_table "$prefix/build/launcher"

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
