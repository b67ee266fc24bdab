#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# package.sh: the Debian packages: the same bytes from two folders, each file in the package where one looks for
# it, and what they depend on.  ./dev package SUITE installs and purges them.
set -uo pipefail

# shellcheck source=tests/checks.sh
source "$(dirname "$0")/checks.sh"
trap 'rm -rf "$dir"' EXIT
# A cache could give to one build what it has from the other.
unset CMAKE_C_COMPILER_LAUNCHER CFLAGS LDFLAGS SOURCE_DATE_EPOCH
first=$dir/first second=$dir/another/folder root=$dir/root

# build DIRECTORY: of a copy of the sources in there, with files as new as this copy.
build() {
    mkdir -p "$1/checkout" &&
        tar -C "$SOURCE_DIR" --exclude './build*' --exclude ./.git -cf - . | tar -C "$1/checkout" --touch -xf - &&
        "$1/checkout/.ci/package" build "$1/packages"
}

# With another time zone, language and order of what is compiled.
build_otherwise() {
    TZ=Asia/Tokyo LC_ALL=C.UTF-8 DEB_BUILD_OPTIONS=parallel=1 build "$1"
}

unpack() {
    local package
    for package in "$1"/packages/*.deb; do
        dpkg-deb -x "$package" "$2" || return
    done
}

# same NAME: that file of the packages.
same() {
    local file
    file=$(find "$root/usr" -type f -name "$1" -not -path '*/share/*')
    [ -f "$file" ] && cmp "$file" "$dir/other_root/${file#"$root"/}"
}

same_packages() {
    local package count=0
    for package in "$first"/packages/*.deb; do
        cmp "$package" "$second/packages/${package##*/}" || return
        count=$((count + 1))
    done
    [ "$count" -eq 5 ]
}

# contents PACKAGE: paths of what is no directory, with `*` for the machine type.
contents() {
    dpkg-deb -c "$first/packages/$1"_*.deb | awk '!/^d/ { print $6 }' | sed "s|/lib/[^/]*-linux-gnu/|/lib/*/|" | sort
}

has_plugins() {
    contents ssh-gate | diff - <(
        cat <<'END'
./usr/lib/*/bottle/pipelock.so
./usr/lib/*/bottle/ssh_gate.so
./usr/lib/*/libbottle-host.so.1
./usr/lib/*/libbottle-host.so.1.0.0
./usr/share/doc/ssh-gate/README.md.gz
./usr/share/doc/ssh-gate/SECURITY.md.gz
./usr/share/doc/ssh-gate/changelog.Debian.gz
./usr/share/doc/ssh-gate/changelog.gz
./usr/share/doc/ssh-gate/copyright
./usr/share/lintian/overrides/ssh-gate
./usr/share/man/man7/ssh_gate.7.gz
END
    )
}

has_launcher() {
    contents sample-host | diff - <(
        cat <<'END'
./usr/bin/sample-host
./usr/share/bash-completion/completions/sample-host
./usr/share/doc/sample-host/changelog.Debian.gz
./usr/share/doc/sample-host/changelog.gz
./usr/share/doc/sample-host/copyright
./usr/share/man/man1/sample-host.1.gz
./usr/share/man/man5/claude-bottle.json.5.gz
END
    )
}

has_development_files() {
    contents libbottle-host-dev | diff - <(
        cat <<'END'
./usr/include/bottle/host.h
./usr/include/bottle/sidecar.h
./usr/lib/*/cmake/bottle-host/bottle-hostConfig.cmake
./usr/lib/*/cmake/bottle-host/bottle-hostConfigVersion.cmake
./usr/lib/*/cmake/bottle-host/bottle-hostTargets-none.cmake
./usr/lib/*/cmake/bottle-host/bottle-hostTargets.cmake
./usr/lib/*/libbottle-host.a
./usr/lib/*/libbottle-host.so
./usr/lib/*/pkgconfig/bottle-host.pc
./usr/share/doc/libbottle-host-dev/changelog.Debian.gz
./usr/share/doc/libbottle-host-dev/changelog.gz
./usr/share/doc/libbottle-host-dev/copyright
./usr/share/man/man3/bottle-sidecar.3.gz
END
    )
}

# depends PACKAGE NAME...: on these alone; versions do not count.
depends() {
    local package=$1
    shift
    dpkg-deb -f "$first/packages/$package"_*.deb Depends | tr ',' '\n' | awk '{ print $1 }' | sort |
        diff - <(printf '%s\n' "$@" | sort)
}

# elf_files: those of the packages, debug symbols aside.
elf_files() {
    find "$root/usr/bin" "$root/usr/lib" -type f \( -path '*/bin/*' -o -name '*.so*' \) -not -path '*/debug/*'
}

is_stripped_with_symbols_apart() {
    local file id count=0
    while read -r file; do
        readelf -SW "$file" | grep -E ' \.(symtab|debug_info) ' && return 1
        id=$(readelf -n "$file" | sed -n 's/^ *Build ID: //p')
        [ -f "$root/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug" ] || {
            printf 'no debug symbols for %s, build ID %s\n' "$file" "$id"
            return 1
        }
        count=$((count + 1))
    done < <(elf_files)
    # And those of the relay, which is in the plugin.
    [ "$count" -eq 4 ] && [ "$(find "$root/usr/lib/debug/.build-id" -name '*.debug' | wc -l)" -eq 5 ]
}

is_hardened() {
    local file
    while read -r file; do
        readelf -dW "$file" | grep -E '\((RPATH|RUNPATH)\)' && return 1
        readelf -ldW "$file" >"$dir/elf"
        grep -q 'BIND_NOW' "$dir/elf" && grep -q 'GNU_RELRO' "$dir/elf" && grep -q 'GNU_STACK .* RW ' "$dir/elf" || return
    done < <(elf_files)
}

# What the library exports, and what its header declares.
exports_its_header() {
    nm -D --defined-only "$library_dir/libbottle-host.so" | awk '{ print $3 }' | sort >"$dir/exported" &&
        grep -oE 'bottle_(plugin|result)_[a-z_]+\(' "$root/usr/include/bottle/host.h" | tr -d '(' | sort -u | diff "$dir/exported" -
}

names_no_folder() {
    ! grep -rF "$first" "$root"
}

# loads_plugin LAUNCHER: it takes the unpacked libraries.
loads_plugin() {
    LD_LIBRARY_PATH=$library_dir BOTTLE_SIDECAR_PATH=$library_dir/bottle "$1" ssh_gate >"$dir/table" &&
        grep -qx "path $(realpath "$library_dir")/bottle/ssh_gate.so" "$dir/table"
}

# link LIBRARY: a launcher with what pkg-config says, but for the library.
link() {
    local flags
    flags=$(PKG_CONFIG_PATH=$library_dir/pkgconfig pkg-config --cflags --libs-only-L bottle-host) || return
    # shellcheck disable=SC2086 # several words
    gcc -o "$dir/launcher" "$SOURCE_DIR/tests/fixtures/launcher/launcher.c" $flags "$1" &&
        readelf -dW "$dir/launcher" >"$dir/dynamic"
}

links_shared() {
    link -lbottle-host && grep -qF 'Shared library: [libbottle-host.so.1]' "$dir/dynamic" && loads_plugin "$dir/launcher"
}

links_static() {
    link -l:libbottle-host.a && ! grep -F 'libbottle-host' "$dir/dynamic" && loads_plugin "$dir/launcher"
}

find_package_works() {
    cmake -S "$SOURCE_DIR/tests/fixtures/launcher" -B "$dir/build" -DCMAKE_PREFIX_PATH="$root/usr" &&
        cmake --build "$dir/build" && loads_plugin "$dir/build/launcher"
}

check 'packages build' build "$first"
check 'packages build in another folder' build_otherwise "$second"
check 'they unpack' unpack "$first" "$root"
check 'so do the others' unpack "$second" "$dir/other_root"
for file in ssh_gate.so pipelock.so libbottle-host.so.1.0.0 libbottle-host.a sample-host; do
    check "the same bytes: $file" same "$file"
done
check 'the same bytes: the packages' same_packages
check 'lintian finds neither an error nor a warning' "$SOURCE_DIR/.ci/package" check "$first/packages"
check 'ssh-gate: the plugins, the loader library' has_plugins
check 'sample-host: the launcher, its manual, completion' has_launcher
check 'libbottle-host-dev: what a launcher is built with' has_development_files
check 'ssh-gate needs the C library alone' depends ssh-gate libc6
check 'sample-host needs the loader, the plugins and ssh' \
    depends sample-host libbottle-host1 libc6 openssh-client ssh-gate
check 'libbottle-host-dev needs the shared library' depends libbottle-host-dev ssh-gate
check 'no symbols but in the packages for them' is_stripped_with_symbols_apart
check 'no RPATH; RELRO, BIND_NOW, no executable stack' is_hardened
check 'no path of the build' names_no_folder
library_dir=$(dirname "$(find "$root/usr/lib" -name libbottle-host.so)")
check 'the shared library exports what its header declares' exports_its_header
check 'a launcher with the shared library loads the plugin' links_shared
check 'so does one with the static library' links_static
check 'so does one that CMake builds' find_package_works

printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
