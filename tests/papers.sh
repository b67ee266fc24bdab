#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# papers.sh: what the papers say is what the code has.
#
# The man pages are compared with the programs, the headers and the sources, list by list and in both
# directions: what is in the code and not in the page fails, and the other way round.  A page's list is read
# from its mdoc(7) source: the items (".It MACRO NAME") of a section.  And: each file, command and page that a
# paper names is there, and the example of CONTRIBUTING.md is a passing test.  (What README.md shows is tried by
# readme.sh.)
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

cd "$SOURCE_DIR"
papers=(README.md ARCHITECTURE.md SECURITY.md CONTRIBUTING.md CHANGELOG.md)
pages=(sample-host/man/sample-host.1 host-api/man/bottle-sidecar.3 sample-host/man/claude-bottle.json.5
    plugin/man/ssh_gate.7)
launcher_page=${pages[0]} abi_page=${pages[1]} manifest_page=${pages[2]} gate_page=${pages[3]}

# ---- reading ----

# section PAGE SECTION [SUBSECTION]: its source; without SUBSECTION with those that are in it.
section() {
    awk -v section=".Sh $2" -v subsection="${3+.Ss $3}" '
        /^\.Sh / { in_section = $0 == section; in_subsection = subsection == "" }
        /^\.Ss / && subsection != "" { in_subsection = $0 == subsection || index($0, subsection " ") == 1 }
        in_section && in_subsection
    ' "$1"
}

# beginning: of a section: up to its first subsection.
beginning() {
    sed '/^\.Ss /,$d'
}

# items MACRO: the names of the items with that macro.
items() {
    sed -n "s/^\.It $1 \([^ ]*\).*/\1/p"
}

# uses MACRO: what it is used for, anywhere.
uses() {
    grep -oE "(^\.|[ (])$1 [^ ]+" | sed 's/.* //'
}

# described: "NAME: LINE" of each item of the macro Cm and the line after it.
described() {
    sed -n '/^\.It Cm /{s/^\.It Cm \([^ ]*\).*/\1: /;N;s/\n//;p}'
}

# same CODE PAGE: two lists, in any order, which must not be empty.
same() {
    sort -u <<<"$1" >"$test_dir/code"
    sort -u <<<"$2" >"$test_dir/page"
    [ -n "$1" ] && diff -u --label code --label page "$test_dir/code" "$test_dir/page"
}

# ---- start options ----

# options_of_code PLUGIN BACKEND: as the page writes them.  A variable that names an image is given its own name;
# with an image, the plugin knows fewer keys.
options_of_code() {
    local program=$BUILD_DIR/tests/fixtures/start_options_$1
    {
        "$program"
        CLAUDE_BOTTLE_SSH_GATE_IMAGE=CLAUDE_BOTTLE_SSH_GATE_IMAGE \
            CLAUDE_BOTTLE_PIPELOCK_IMAGE=CLAUDE_BOTTLE_PIPELOCK_IMAGE "$program"
    } | sed -n "s/^$2 \([^ ]*: \)/\1/p" | grep -v 'no default' |
        sed -e 's/default "\(CLAUDE_[A-Z_]*\)"/default $\1/' \
            -e 's/: start options: .* it takes an array of \(.*\) addresses$/: Array of \1 strings; default: as/'
}

# keys_of_code PLUGIN BACKEND
keys_of_code() {
    "$BUILD_DIR/tests/fixtures/start_options_$1" | sed -n "s/^$2 \([a-z_]*\)$/\1/p"
}

gate_options() {
    local backend
    for backend in native docker; do
        {
            section "$gate_page" 'START OPTIONS' 'Options of both backends'
            section "$gate_page" 'START OPTIONS' "Options of the backend $backend"
        } >"$test_dir/section"
        same "$(keys_of_code ssh_gate $backend)" "$(items Cm <"$test_dir/section")"
        same "$(options_of_code ssh_gate $backend)" "$(described <"$test_dir/section")"
    done
}

pipelock_options() {
    local backend
    for backend in native docker; do
        section "$launcher_page" PIPELOCK "Options of the backend $backend" >"$test_dir/section"
        same "$(keys_of_code pipelock $backend)" "$(items Cm <"$test_dir/section")"
        same "$(options_of_code pipelock $backend)" "$(described <"$test_dir/section")"
    done
}

# ---- manifest and plan ----

# keys_of_message MANIFEST: what prepare says there are, asked for one that there is not.
keys_of_message() {
    as bottle tee manifest.json <<<"$1" >/dev/null
    if host --manifest manifest.json plan web 2>"$test_dir/said"; then
        return 1
    fi
    sed -n 's/.*: the keys are //p' "$test_dir/said" | sed 's/, /\n/g'
}

manifest_keys() {
    same "$(keys_of_message '{"bottles": {"web": {"ssh": [{"no such key": 0}]}}}')" \
        "$(section "$manifest_page" DESCRIPTION 'Keys of an entry' | items Cm)"
    same "$(keys_of_message '{"bottles": {"web": {"egress": {"no such key": 0}}}}')" \
        "$(section "$manifest_page" DESCRIPTION 'Keys of egress' | items Cm)"
}

# json EXPRESSION: of the JSON value on standard input, x; prints a list a line each.
json() {
    /usr/bin/python3 -c 'import json, sys; x = json.load(sys.stdin); print(*eval(sys.argv[1]), sep="\n")' "$1"
}

plan_members() {
    local plan
    plan=$(host plan web)
    same "$(json 'x["ssh_gate"]' <<<"$plan")" "$(section "$gate_page" PLAN | beginning | items Va)"
    same "$(json 'set().union(*x["ssh_gate"]["upstreams"])' <<<"$plan")" "$(
        section "$gate_page" PLAN | sed -n '/^\.It Va upstreams/,/^\.It/p' | sed 1d | uses Va | grep -v _network
    )"
}

# ---- events and status ----

# calls FUNCTION: the arguments of each call in the relay, one a line; its definition is none.
calls() {
    find plugin/relay -name '*.c' -exec cat {} + | tr -s ' \n' ' ' | grep -oE "[ (!]$1\([^;{]*[;{]" | grep -v '{$'
}

# The second argument, or the third, is the event's name, and always a literal.
events() {
    {
        calls event_notice | sed 's/^[^,]*, //'
        calls '(event_)?begin' | grep -F 'buffer,' | sed 's/^[^,]*, [^,]*, //' | grep -v '^event)'
    } >"$test_dir/names"
    status_is 1 grep -v '^"' "$test_dir/names"
    same "$(cut -d '"' -f 2 "$test_dir/names")" "$(section "$gate_page" EVENTS | items Cm)"
}

event_members() {
    same "$(find plugin/relay -name 'event*.c' -exec grep -ohE 'json_out_[a-z]+\(&?out, "[a-z_]+"' {} + | cut -d '"' -f 2)" \
        "$(section "$gate_page" EVENTS | uses Va)"
}

# With an upstream that answers and one that does not, so that every member has a value.
start_gate() {
    local port
    as bottle tee claude-bottle.json >/dev/null <<'END'
{"bottles": {"web": {"ssh": [
    {"Host": "live", "Hostname": "127.0.0.5", "Port": 30021, "User": "git", "IdentityFile": "~/key",
     "KnownHostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"},
    {"Host": "dead", "Hostname": "127.0.0.5", "Port": 30022}]}}}
END
    wait_until listens 127.0.0.5:30021
    host up web --internal-network 127.0.0.2
    for port in 30021 30022; do
        nc -N 127.0.0.2 "$port"
    done
    wait_until has_settled
}

has_settled() {
    host status web --json | tr -d ' \n' | grep -F '"connections_now":0,"connections_total":2,'
}

status_members() {
    local status
    status=$(host status web --json | json '[json.dumps(x["bottles"][0]["sidecars"][0]["status"])]')
    # What has to be a container to be seen is taken from the source.
    same "$(
        json x <<<"$status"
        grep -ohE 'object_add_text\(made, "(container|image)"' plugin/docker/*.c | cut -d '"' -f 2
    )" "$(section "$gate_page" STATUS | beginning | items Va)"
    section "$gate_page" STATUS 'Members of an upstream' >"$test_dir/section"
    same "$(json 'x["upstreams"][0]' <<<"$status")" "$(items Va <"$test_dir/section")"
    same "$(json '[*x["upstreams"][0], *x["upstreams"][0]["dial_time"], *x["upstreams"][1]["last_error"]]' \
        <<<"$status")" "$(uses Va <"$test_dir/section")"
}

metrics() {
    same "$(host status web --prometheus | sed -n 's/^# TYPE //p')" "$(section "$launcher_page" METRICS |
        sed -n '/^\.It Va /{s/^\.It Va //;N;s/\n\(.\)\([a-z]*\).*/ \L\1\2/;p}')"
}

# ---- sample-host ----

# options_of_help [COMMAND]: without COMMAND, those of every command.
options_of_help() {
    host "$@" --help | if [ $# -gt 0 ]; then sed '/^Every command/,$d'; else sed '1,/^Every command/d'; fi |
        grep -E '^  --' | grep -oE -- '--[a-z][a-z-]*' || true
}

options_of_page() {
    sed -n 's/^\.It Fl -\([a-z-]*\).*/--\1/p'
}

commands() {
    host --help | sed -n '/^Every command/,$d;s/^  \([a-z][a-z]*\).*/\1/p'
}

commands_and_options() {
    local command
    same "$(commands)" "$(section "$launcher_page" COMMANDS | sed -n 's/^\.Ss \([a-z]*\).*/\1/p')"
    same "$(options_of_help)" "$(section "$launcher_page" OPTIONS | options_of_page)"
    for command in $(commands); do
        diff -u --label "$command --help" --label page <(options_of_help "$command" | sort) \
            <(section "$launcher_page" COMMANDS "$command" | options_of_page | sort)
    done
}

# ---- the environment ----

variables() {
    same "$(grep -rohE 'getenv\("[A-Z_]+"|"CLAUDE_BOTTLE_[A-Z_]+_IMAGE"' plugin sample-host host-api --include='*.c' |
        cut -d '"' -f 2)" "$(cat "${pages[@]}" | items Ev)"
}

# ---- the ABI ----

results() {
    same "$(sed -n '/^enum bottle_result {/,/^}/s/^ *\(BOTTLE_[A-Z_]*\) = \([0-9]*\),.*/\1 \2/p' \
        host-api/include/bottle/sidecar.h)" \
        "$(section "$abi_page" 'RETURN VALUES' | sed -n 's/^\.It Dv \([A-Z_]*\) Pq \([0-9]*\)$/\1 \2/p')"
}

version() {
    section "$abi_page" VERSIONS | tr '\n' ' ' >"$test_dir/section"
    for part in MAJOR MINOR; do
        grep -F ".Dv BOTTLE_SIDECAR_ABI_$part is $(sed -n "s/^#define BOTTLE_SIDECAR_ABI_$part \([0-9]*\)u/\1/p" \
            host-api/include/bottle/sidecar.h)" "$test_dir/section"
    done
}

# The declarations, without spaces.
functions() {
    same "$(gcc -E -P -I host-api/include -x c host-api/include/bottle/host.h | tr -d ' \n' | tr ';' '\n' |
        grep -E '^[a-z_*]*bottle_(plugin|result)_[a-z]+\(')" \
        "$(mandoc -T ascii "$abi_page" 2>/dev/null | sed 's/.\x08//g' | sed -n '/^SYNOPSIS/,/^DESCRIPTION/p' |
            sed '1,/bottle\/host\.h/d;/^DESCRIPTION/d' | tr -d ' \t\n' | tr ';' '\n' | grep .)"
}

# fields STRUCT: the names of its members.
fields() {
    gcc -E -P -I host-api/include -x c host-api/include/bottle/sidecar.h | tr -s ' \n' ' ' |
        grep -oE "struct $1 \{[^}]*\}" | sed 's/^[^{]*{//;s/}$//' | tr ';' '\n' | grep -v '^ *$' |
        sed -E 's/\(\*([a-z_]+)\).*/\1/;s/.*[^a-z_]([a-z_]+)$/\1/'
}

structs() {
    local operation
    same "$(fields bottle_sidecar)" "$(section "$abi_page" 'THE TABLE' | items Va)"
    for operation in prepare start stop drain status; do
        same "$(fields "bottle_$operation" | grep -vxE 'struct_size|host|message')" \
            "$(section "$abi_page" OPERATIONS "$operation" | items Va)"
    done
    section "$abi_page" OPERATIONS | beginning | uses Va >"$test_dir/named"
    for field in $(fields bottle_host) host message; do
        grep -x "$field" "$test_dir/named"
    done
    grep -ohE '\bBOTTLE_LOG_[A-Z]+' host-api/include/bottle/sidecar.h | sort -u | while read -r level; do
        section "$abi_page" OPERATIONS | grep "Dv $level"
    done
}

# ---- the papers themselves ----

lint() {
    mandoc -T lint -W warning "${pages[@]}"
}

readme_length() {
    [ "$(wc -l <README.md)" -le 150 ]
}

# paths PAPER...: of the tree, as they are named; without those of an example.
paths() {
    grep -ohP '(?<![\w./-])(plugin|host-api|sample-host|tests|bench|deploy|\.ci)/[\w./-]*\w/?' "$@" |
        grep -vE '/NAME|^sample-host/SLUG|^tests/test_first\.c$'
    grep -ohP '\]\(\K[^)]+' "$@" | grep -v '^https:'
}

files() {
    local missing=0
    paths "${papers[@]}" "${pages[@]}" tests/abi/README.md >"$test_dir/paths"
    [ -s "$test_dir/paths" ]
    while read -r path; do
        [ -e "$path" ] || {
            echo "there is no $path"
            missing=1
        }
    done <"$test_dir/paths"
    [ "$missing" -eq 0 ]
}

# Each of our pages and sections of pages that is referred to.
references() {
    local ours page
    ours=$(printf '%s\n' "${pages[@]##*/}" | sed 's/\.\([0-9]\)$/ \1/')
    grep -ohE 'Xr (sample-host|bottle-|claude-|ssh_gate)[^ ]* [0-9]' "${pages[@]}" | sed 's/^Xr //' |
        sort -u | diff - <(sort <<<"$ours")
    grep -ohE '\b(sample-host|bottle-[a-z]+|claude-[a-z.]+|ssh_gate)\([0-9]\)' "${papers[@]}" | tr '()' ' ' |
        sed 's/ $//' | sort -u | diff - <(sort <<<"$ours")
    for page in "${pages[@]}"; do
        sed -n 's/^\.Sx \(.*[^ .]\) *\.*$/\1/p' "$page" | while read -r name; do
            grep -xE "\.S[hs] $name" "$page" || {
                echo "$page has no section $name"
                return 1
            }
        done
    done
}

dev_commands() {
    same "$(grep -ohP '\./dev \K[a-z0-9]+' "${papers[@]}" | while read -r name; do
        ./dev help | grep -qE "^  $name( |$)" && continue
        echo "./dev has no $name"
    done
    echo none)" none
}

release() {
    local version
    version=$(sed -n 's/^project(ssh_gate VERSION \([0-9.]*\) .*/\1/p' CMakeLists.txt)
    [ "$(sed -n 's/^## \[\([0-9].*\)\] - 20[0-9-]*$/\1/p' CHANGELOG.md | head -n 1)" = "$version" ]
}

# fenced LANGUAGE PAPER: its block of that language; it has one.
fenced() {
    awk -v fence="\`\`\`$1" '$0 == "```" { inside = 0 } inside; $0 == fence { inside = 1 }' "$2"
}

# CONTRIBUTING.md's example of a test, with the library that it names.
first_test() {
    local flags
    flags=$(pkg-config --cflags --libs criterion json-c)
    fenced c CONTRIBUTING.md >"$test_dir/test_first.c"
    # shellcheck disable=SC2086 # several words
    gcc -Wall -Wextra -Werror -I plugin -I host-api/include -o "$test_dir/test_first" "$test_dir/test_first.c" \
        "$BUILD_DIR/plugin/common/libsidecar-common.a" $flags
    "$test_dir/test_first" 2>&1 | grep 'Tested: 1 | Passing: 1'
}

host() {
    sample_host bottle "$@"
}

install_build
install -m 644 "$BUILD_DIR/sample-host/pipelock.so" "$test_dir/build/sample-host/pipelock.so"
new_home bottle
socat TCP-LISTEN:30021,bind=127.0.0.5,reuseaddr,fork EXEC:true &
servers+=($!)
check 'a gate runs' start_gate
check 'ssh_gate(7): start options, with ranges and defaults' gate_options
check 'ssh_gate(7): members of the plan' plan_members
check 'ssh_gate(7): events' events
check 'ssh_gate(7): members of events' event_members
check 'ssh_gate(7): members of the status' status_members
check 'sample-host(1): commands and options' commands_and_options
check 'sample-host(1): start options of pipelock' pipelock_options
check 'sample-host(1): metrics' metrics
check 'claude-bottle.json(5): keys' manifest_keys
check 'bottle-sidecar(3): results' results
check 'bottle-sidecar(3): version' version
check 'bottle-sidecar(3): functions of the loader' functions
check 'bottle-sidecar(3): structs' structs
check 'environment variables' variables
check 'the man pages have no fault' lint
check 'README.md has 150 lines at most' readme_length
check 'each file that a paper names is there' files
check 'each page and section that a paper refers to is there' references
check 'each command of ./dev that a paper names is there' dev_commands
check "the changelog's latest release is this version" release
check 'the test in CONTRIBUTING.md passes' first_test
check 'it goes' host down web
stop_servers
