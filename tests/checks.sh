# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# checks.sh: what the scripts share that build against the installed tree, on the machine as it is.  (A
# script that drives real programs sources lib.sh, which gives it a machine of its own.)
#
# Sets dir, a directory that the script removes; passed and failed; sanitize, what a program needs that
# links or loads what was built.

dir=$(mktemp -d)
passed=0
failed=0

# check NAME COMMAND...: counts the command; its output, $dir/output, is shown when it fails.
check() {
    local name=$1
    shift
    if "$@" >"$dir/output" 2>&1; then
        printf 'ok      %s\n' "$name"
        passed=$((passed + 1))
    else
        printf 'FAILED  %s\n' "$name"
        sed 's/^/        /' "$dir/output"
        failed=$((failed + 1))
    fi
}

# cache NAME: a value of the build's configuration.
cache() {
    sed -n "s/^$1:[A-Z]*=//p" "$BUILD_DIR/CMakeCache.txt"
}

# A library built with sanitizers wants them in the program, too.
sanitize=()
# shellcheck disable=SC2034 # the scripts use it
if [ "$(cache SANITIZE)" = address ]; then
    sanitize=(-fsanitize=address -fsanitize=undefined)
fi
