# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # it is sourced by ./dev, which sets what is not set here
#
# dev_tests.sh: the part of ./dev that runs tests and sums up how they went.

# run_tests CONFIGURATION DIRECTORY CTEST_OPTION...: failures show in full, and the summary at the end of
# `test` is made of the log that this keeps.
run_tests() {
    local configuration=$1 directory=$2
    shift 2
    printf '\n== %s\n' "$configuration"
    rm -f "$directory/Testing/Temporary/LastTest.log"
    # Most of them wait most of the time.
    ctest --test-dir "$directory" -j $((2 * jobs)) --output-on-failure --no-tests=error --no-label-summary \
        --test-output-size-passed 1048576 --test-output-size-failed 1048576 "$@" || true
    cp "$directory/Testing/Temporary/LastTest.log" "$log_dir/$configuration" ||
        die "$configuration: no test was run"
    logs+=("$log_dir/$configuration")
}

# Prints, of each log: the closing line of every test and the figures it measured; then the count of test
# programs over all.  Fails unless every one passed.
summary() {
    awk '
        function configuration(    parts, count) {
            count = split(FILENAME, parts, "/")
            return parts[count]
        }
        function end_test() {
            if (name == "")
                return
            printf "%-10s %-24s %s%s\n", configuration_of_test, name, passed ? "" : "FAILED: ", closing
            if (passed)
                total_passed++
            else
                total_failed++
        }
        /^[0-9]+\/[0-9]+ Testing: / {
            end_test()
            name = $3
            configuration_of_test = configuration()
            passed = 0
            closing = "(no closing line)"
        }
        /Synthesis: / { closing = substr($0, index($0, "Synthesis: ")) }
        /^[0-9]+ passed, [0-9]+ failed/ { closing = $0 }
        /^fuzz: / {
            end_test()
            name = ""
            print substr($0, 1, 4) "       " substr($0, 7)
            if (/: passed$/)
                total_passed++
            else
                total_failed++
        }
        /^FIGURE / { figures = figures sprintf("%-10s %s\n", configuration(), $0) }
        /^Test Passed\.$/ { passed = 1 }
        END {
            end_test()
            printf "%s%d passed, %d failed\n", figures, total_passed, total_failed
            exit total_failed > 0 || total_passed == 0
        }
    ' "${logs[@]}"
}

# test_name NAME: as ctest knows it.
test_name() {
    local name=${1##*/}
    name=${name%.*}
    [ "$name" = unit ] || compgen -G "tests/$name.*" >/dev/null || die "no such test: tests/$name"
    printf '%s\n' "$name"
}

# run_named_tests NAME...
run_named_tests() {
    local name pattern=
    for name; do
        name=$(test_name "$name")
        pattern+="|$name"
    done
    build_gcc
    if [[ "$pattern|" == *'|unit|'* ]]; then
        pattern+=$(ctest --test-dir build -N -L unit | awk '/ Test +#/ { printf "|%s", $NF }')
    fi
    run_tests gcc build -R "^(${pattern#|})\$"
}

run_all_tests() {
    build_gcc
    run_tests gcc build
    build_clang
    run_tests clang build-clang -L unit
    build_sanitize
    run_tests sanitize build-sanitize
    # A Criterion program runs each test in a process of its own, hence the children; but not those that
    # are of the system, such as ssh.
    TEST_WRAPPER='valgrind -q --leak-check=full --trace-children=yes --trace-children-skip=/bin/*,/usr/*' \
        run_tests valgrind build -L unit
    build_thread
    run_tests thread build-thread -L threads
    printf '\n== fuzz\n'
    fuzz | tee "$log_dir/fuzz" || true # the summary counts
    logs+=("$log_dir/fuzz")
}

install_for_tests() {
    install "${test_packages[@]}"
    # Since Debian 13, docker.io comes without its client.
    command -v docker >/dev/null || install docker-cli
}

run_test_command() {
    install_for_tests
    logs=()
    log_dir=$(mktemp -d)
    trap 'rm -rf "$log_dir"' EXIT
    if [ $# -gt 0 ]; then
        run_named_tests "$@"
    else
        run_all_tests
    fi
    printf '\n== summary\n'
    summary
}
