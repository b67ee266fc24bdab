#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# baseline.sh: the binary interface of what is built, and what was recorded of each version of the ABI.
#
#     baseline.sh check  BASELINES INCLUDE LIBRARY...
#     baseline.sh record BASELINES INCLUDE LIBRARY...
#
# BASELINES has a directory for each version, MAJOR.MINOR, and in it NAME.abi for each library NAME.so: its
# functions, and the types that they lead to, as abidw(1) finds them in the debug information.  The version
# that a library has is the one of bottle/sidecar.h in INCLUDE.
#
#     check    passes if each library is exactly what was recorded for its version, and, for every lower
#              minor version of the same major, what was recorded there with nothing but additions: fields
#              at the end of structs, results, functions.  Other majors are not looked at.
#     record   writes what each library is to the directory of its version.
set -euo pipefail
shopt -s inherit_errexit

die() {
    printf 'baseline.sh: %s\n' "$*" >&2
    exit 1
}

[ $# -ge 4 ] || die 'usage: baseline.sh check|record BASELINES INCLUDE LIBRARY...'
command=$1 baselines=$2 include=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the version of the header: "MAJOR MINOR".
header_version() {
    local source='#include <bottle/sidecar.h>
BOTTLE_SIDECAR_ABI_MAJOR BOTTLE_SIDECAR_ABI_MINOR'
    "${CC:-gcc}" -E -P -I "$include" -x c - <<<"$source" | tail -n 1 | tr -d u
}

# What a library takes from others is not its interface.  Versions of abidw before 2.5 leave it out by themselves.
not_undefined=()
for option in --drop-undefined-syms --no-load-undefined-interfaces; do
    [[ $(abidw --help 2>&1) != *"$option "* ]] || not_undefined+=("$option")
done

# dump LIBRARY OUTPUT: without anything that depends on where it was built.
dump() {
    abidw "${not_undefined[@]}" --exported-interfaces-only --headers-dir "$include" --drop-private-types \
        --type-id-style hash --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed \
        --no-parameter-names --out-file "$2" "$1"
    # Files are told apart by these, so their own names stay.
    sed -i "s|\( path='\)[^']*/|\1|" "$2"
    grep -q "name='bottle_sidecar' .*size-in-bits" "$2" ||
        die "$1 has no debug information about struct bottle_sidecar: build it with -g"
}

# compare OLD NEW: sets changed to whether there is a difference, and writes all to $work/changes.
# abidiff refuses two formats by their numbers.  It reads either all the same: format 3 differs in what the
# hashes of types are made of, which serve to find out sooner that two are equal.
compare() {
    local status=0 format
    format=$(sed -n "1s/.* version='\([^']*\)'.*/\1/p" "$2")
    sed "1s/ version='[^']*'/ version='$format'/" "$1" >"$work/old.abi"
    abidiff --leaf-changes-only --harmless --no-show-locs "$work/old.abi" "$2" >"$work/changes" || status=$?
    [ $((status & 3)) -eq 0 ] || die "abidiff $1 $2 fails with status $status" # abidiff(1): its own errors
    changed=$((status != 0))
}

# Prints of $work/changes what is more than an addition.
incompatible_changes() {
    awk '
        /^$/ || / summary: / { next }
        /^\047(struct bottle_[a-z]+|enum bottle_result)\047 changed:$/ {
            heading = $0 "\n"
            size = 0
            next
        }
        /^  type size hasn\047t changed$/ { next }
        /^  type size changed from [0-9]+ to [0-9]+ \(in bits\)$/ {
            size = $5 + 0
            next
        }
        /^  [0-9]+ (data member|enumerator) insertions?:$/ { next }
        # Not in what was padding: behind the old size.
        /^    \047.*\047, at offset [0-9]+ \(in bits\)$/ && size > 0 && $(NF - 2) + 0 >= size { next }
        /^    \047bottle_result::[A-Z0-9_]+\047 value \047[0-9]+\047$/ { next }
        /^[0-9]+ Added functions?:$/ || /^  \[A\] \047function / { next }
        {
            printf "%s%s\n", heading, $0
            heading = ""
        }
    ' "$work/changes"
}

# architecture DUMP
architecture() {
    sed -n "1s/.* architecture='\([^']*\)'.*/\1/p" "$1"
}

# check_one NAME DUMP
check_one() {
    local name=$1 dump=$2 directory minor breaks
    local recorded=$baselines/$major.$minor_now/$name.abi
    if [ ! -e "$recorded" ]; then
        printf '%s: nothing is recorded for ABI %s.%s: ./dev abi does it\n' "$name" "$major" "$minor_now"
        return 1
    fi
    if [ "$(architecture "$recorded")" != "$(architecture "$dump")" ]; then
        printf '%s: not compared: what was recorded is for %s\n' "$name" "$(architecture "$recorded")"
        return
    fi
    compare "$recorded" "$dump"
    if [ "$changed" -ne 0 ]; then
        printf '%s: this is not ABI %s.%s as it was recorded: raise BOTTLE_SIDECAR_ABI_MINOR for what is\n' \
            "$name" "$major" "$minor_now"
        printf 'new, BOTTLE_SIDECAR_ABI_MAJOR for all else, then ./dev abi\n'
        cat "$work/changes"
        return 1
    fi
    for directory in "$baselines/$major".*; do
        minor=${directory##*.}
        if [ "$minor" -ge "$minor_now" ] || [ ! -e "$directory/$name.abi" ]; then
            continue
        fi
        compare "$directory/$name.abi" "$dump"
        breaks=$(incompatible_changes) || die "awk fails"
        if [ -n "$breaks" ]; then
            printf '%s: breaks ABI %s.%s: undo this, or raise BOTTLE_SIDECAR_ABI_MAJOR\n%s\n' \
                "$name" "$major" "$minor" "$breaks"
            return 1
        fi
    done
    printf '%s: ABI %s.%s as it was recorded\n' "$name" "$major" "$minor_now"
}

version=$(header_version)
[[ $version =~ ^[0-9]+\ [0-9]+$ ]] || die "$include/bottle/sidecar.h: no version, but: $version"
major=${version% *}
minor_now=${version#* }

status=0
for library; do
    name=$(basename "$library" .so)
    dump "$library" "$work/$name.abi"
    case $command in
    check) check_one "$name" "$work/$name.abi" || status=1 ;;
    record)
        mkdir -p "$baselines/$major.$minor_now"
        cp "$work/$name.abi" "$baselines/$major.$minor_now/$name.abi"
        printf 'recorded %s\n' "$baselines/$major.$minor_now/$name.abi"
        ;;
    *) die "no such command: $command" ;;
    esac
done
exit "$status"
