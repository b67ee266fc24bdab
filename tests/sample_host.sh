#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# sample_host.sh: the commands of sample-host but for `run`: what they print and exit with, what they leave
# behind when something goes wrong; as root and as an ordinary user.
#
# Beside the gate there is a sidecar that does as it is told (fixtures/scripted_sidecar.c), so that
# launchers can be made to fail, and killed, half-way.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

gate=$test_dir/build/plugin/ssh_gate.so
scripted=$test_dir/build/plugin/scripted.so
misnamed=$test_dir/build/plugin/misnamed.so

host() {
    sample_host "$@"
}

# both USER [NAME=VALUE...] ARGUMENT...: the same with the gate and, after it, the scripted sidecar.
both() {
    host "$@" --plugin "$gate" --plugin "$scripted"
}

# Entries need no server: a gate dials when it is dialled.
set_up() {
    local user=$1
    as "$user" mkdir manifests
    as "$user" tee claude-bottle.json >/dev/null <<'END'
{"bottles": {
   "web": {"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009, "User": "git"},
                   {"Host": "six", "Hostname": "::1", "Port": "30010"}], "egress": {"any": "thing"}},
   "other": {"ssh": [{"Host": "other.example", "Port": 30009}]},
   "empty": {},
   "idle": {"ssh": [{"Host": "idle.example", "Port": 30011}]},
   "refuse": {"ssh": [{"Host": "refuse.example", "Port": 30012}]},
   "A name, Änderung": {"ssh": [{"Host": "name.example", "Port": 30013}]}},
 "agents": {"any": "thing"}}
END
}

state() {
    printf '%s' "$test_dir/$1/runtime/sample-host"
}

nothing_is_left() {
    local user=$1
    [ -z "$(ls -A "$(state "$user")")" ]
    [ -z "$(ss -Hltn)" ]
}

# ---- plugins, plan, help ----

lists_plugins() {
    local user=$1
    host "$user" plugins | grep -Ex "ssh_gate +[0-9.]+ +1\.1 +native[a-z,]* +$gate"
    both "$user" plugins | grep -Ex "scripted +0\.1 +1\.1 +native,second +$scripted"
    fails_with "both plugin ssh_gate" host "$user" plugins --plugin "$gate" --plugin "$gate"
    fails_with 'misnamed.so calls itself "../scripted": the name of a sidecar has letters' \
        host "$user" plugins --plugin "$misnamed"
    fails_with "/nowhere.so" host "$user" plugins --plugin /nowhere.so
}

prints_plans() {
    local user=$1
    as "$user" mkdir temporary
    host "$user" TMPDIR=temporary plan web --slug some-slug >"$test_dir/plan"
    /usr/bin/python3 - "$test_dir/plan" <<'END'
import json, sys
plan = json.load(open(sys.argv[1]))["ssh_gate"]
assert plan["slug"] == "some-slug", plan
assert [u["upstream_port"] for u in plan["upstreams"]] == [30009, 30010], plan
assert plan["internal_network"] == plan["egress_network"] == "", plan
END
    [ -z "$(ls -A "$test_dir/$user/temporary")" ]
    fails_with 'the bottle says refuse' both "$user" TMPDIR=temporary plan refuse
    [ -z "$(ls -A "$test_dir/$user/temporary")" ]
    as "$user" rmdir temporary
}

helps() {
    local user=$1 command
    host "$user" --help | grep 'run BOTTLE'
    for command in plugins plan up status swap down run; do
        host "$user" "$command" --help | grep "usage: sample-host $command"
        host "$user" --help "$command" | grep "usage: sample-host $command"
    done
}

# complete_words USER WORD...: what bash offers after these words, one a line.
complete_words() {
    local user=$1
    shift
    # shellcheck disable=SC2016 # the inner shell expands these
    as "$user" env PATH="$test_dir/build/sample-host:$PATH" bash -c '
        source "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        _sample_host
        printf "%s\n" "${COMPREPLY[@]}"
    ' bash "$SOURCE_DIR/sample-host/completion.bash" sample-host "$@"
}

completes() {
    local user=$1 word
    for word in plugins plan up status swap down run; do
        complete_words "$user" '' | grep -x -- "$word"
    done
    complete_words "$user" up '' | grep -x web
    complete_words "$user" up --manifest claude-bottle.json '' | grep -x web
    complete_words "$user" --manifest claude-bottle.json up '' | grep -x web
    complete_words "$user" --manifest = claude-bottle.json up '' | grep -x web
    complete_words "$user" --manifest claude-bottle.json '' | grep -x swap
    complete_words "$user" --manifest claude-bot | grep -x claude-bottle.json
    complete_words "$user" --manifest = claude-bot | grep -x claude-bottle.json
    complete_words "$user" --slug status st | grep -x status
    complete_words "$user" status --m | grep -x -- --manifest
    complete_words "$user" up web --backend '' | grep -x docker
    complete_words "$user" status --w | grep -x -- --watch
    complete_words "$user" status --p | grep -x -- --prometheus
    complete_words "$user" run web -- ssh-keyg | grep -x ssh-keygen
    [ -z "$(complete_words "$user" down '')" ]
    host "$user" up web --internal-network 127.0.0.2
    complete_words "$user" down '' | grep -x web
    host "$user" down web
}

shows_each_upstream() {
    local user=$1
    host "$user" up web --internal-network 127.0.0.2
    host "$user" status web | grep -E '^  gitea gitea\.example:30009 +0 +0 +0 +0 B +0 B +- +- +$'
    bash -c 'cat </dev/tcp/127.0.0.2/30010'
    host "$user" status web | grep -E '^  six \[::1\]:30010 +0 +1 +1 +0 B +0 B +- +-  cannot reach .*Connection refused \([0-9]+ s ago\)$'
    host "$user" down web
}

# Twice and more, until it is ended; as a whole screen on a terminal.
watches() {
    local user=$1 program=$test_dir/build/sample-host/sample-host
    host "$user" up web --internal-network 127.0.0.2
    as_prefix "$user"
    "${prefix[@]}" "$program" status web --watch >"$test_dir/watched" &
    wait_until has_tables 2
    kill $!
    status_is 143 wait $!
    status_is 1 grep "$escape" "$test_dir/watched"
    on_terminal "$user" "$program" status web --watch >"$test_dir/watched" &
    wait_until grep -F "${escape}[H${escape}[2JBOTTLE" "$test_dir/watched"
    kill "$(processes sample-host)"
    wait $!
    host "$user" down web
}

# has_tables NUMBER: and none is cut.
has_tables() {
    [ "$(grep -c ^BOTTLE "$test_dir/watched")" -ge "$1" ] && [ "$(tail -c 1 "$test_dir/watched")" = '' ]
}

escape=$(printf '\033')

# on_terminal USER COMMAND...: one of the kind xterm.
on_terminal() {
    local user=$1
    shift
    as "$user" env TERM=xterm script --quiet --command "$*" /dev/null || true
}

has_colours_on_terminals() {
    local user=$1 program=$test_dir/build/sample-host/sample-host
    host "$user" up web --internal-network 127.0.0.2
    on_terminal "$user" "$program" status | grep -F "${escape}[32mserving"
    [ -z "$(on_terminal "$user" NO_COLOR=1 "$program" status | grep -F "$escape" || true)" ]
    [ -z "$(on_terminal "$user" TERM=dumb "$program" status | grep -F "$escape" || true)" ]
    [ -z "$(host "$user" TERM=xterm status | grep -F "$escape" || true)" ]
    host "$user" down web
}

# usage_error USER TEXT ARGUMENT...
usage_error() {
    local output status=0
    output=$(host "$1" "${@:3}" 2>&1) || status=$?
    printf '%s\n' "$output"
    [ "$status" -eq 2 ]
    [[ $output == *"$2"* ]]
}

refuses_wrong_usage() {
    local user=$1
    usage_error "$user" 'there are: plugins, plan, up, status, swap, down, run'
    usage_error "$user" 'unknown command "start"; there are: plugins, plan, up, status, swap, down, run' start
    usage_error "$user" 'unknown option --colour; there are: --plugin' status --colour
    usage_error "$user" '--slug' status --colour
    usage_error "$user" 'unknown option --colour=3; there are: --plugin' status --colour=3
    usage_error "$user" 'unknown option -x: options have long names' status -xy
    usage_error "$user" 'option --p is ambiguous: give --plugin, --prometheus' status --p
    usage_error "$user" '--manifest needs a value: give --manifest FILE' plan web --manifest
    usage_error "$user" '--options needs a value: give --options SIDECAR=JSON' up web --options
    usage_error "$user" '--json takes no value: give it without "=yes"' status --json=yes
    usage_error "$user" 'status does not take --slug; it takes: --plugin, --manifest, --json, --prometheus, --watch, --help' \
        status --slug web
    usage_error "$user" 'give whole seconds, from 0 to 604800' swap web --grace 1.5
    usage_error "$user" 'cannot be combined with --json or --watch' status --prometheus --json
    usage_error "$user" 'cannot be combined with --json or --watch' status --watch --prometheus
    usage_error "$user" 'up needs the name of a bottle' up --internal-network 127.0.0.2
    usage_error "$user" '"more" is one argument too many' down web more
    usage_error "$user" '"web" is one argument too many' plugins web
    usage_error "$user" 'run needs a command' run web
    usage_error "$user" 'run needs a command' run web --
    usage_error "$user" 'down takes nothing after "--"' down web -- more
    usage_error "$user" 'give SIDECAR=JSON' up web --options ssh_gate
    usage_error "$user" 'give SIDECAR=JSON' up web --options '={}'
    usage_error "$user" 'is given twice' up web --options 'ssh_gate={}' --options 'ssh_gate={}'
    usage_error "$user" '--options' up web --options 'ssh_gate=[]'
    usage_error "$user" '--options' up web --options 'ssh_gate={"a": 1, "a": 1}'
}

# As an alias has it, the manifest is named before every command; those that read none take it all the same.
takes_a_manifest_anywhere() {
    local user=$1 command
    as "$user" cp claude-bottle.json manifests/alias
    for command in plugins status 'status --json' 'plan web' 'down web' 'down --help' '--help' \
        'up web --internal-network 127.0.0.2' 'status web' 'status --prometheus' 'swap web' 'down web'; do
        # shellcheck disable=SC2086 # words
        host "$user" --manifest manifests/alias --plugin "$gate" $command
    done
    for command in plugins status 'down web'; do
        # shellcheck disable=SC2086 # words
        host "$user" --manifest manifests/none $command
    done
    nothing_is_left "$user"
    fails_with 'there is no manifest manifests/none' host "$user" --manifest manifests/none plan web
    host "$user" --help | grep -F -- '--manifest FILE'
}

# ---- what others wrote, on a terminal ----

hostile=$test_dir/build/plugin/hostile.so
# Clears the screen; C1 (CSI as one character); turns the text around; begins a line.
harm_json='\u001b[2J\u009b31m\u202e\nHARM'
harm_bytes=$'\e[2J\xc2\x9b31m\xe2\x80\xae'

# harmless USER [NAME=VALUE...] ARGUMENT...: runs it and checks all that it prints; whatever the exit status is.
harmless() {
    host "$@" >"$test_dir/printed" 2>&1 || true
    cat -v "$test_dir/printed"
    [ -s "$test_dir/printed" ]
    /usr/bin/python3 - "$test_dir/printed" <<'END'
import re, sys
text = open(sys.argv[1], encoding="utf-8", newline="").read()
harm = re.search("[^\n\x20-\x7e\xa0-\U0010ffff]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|^HARM", text, re.M)
assert not harm, (harm, text)
END
}

shows_nothing_harmful() {
    local user=$1 status upstream name
    name=$(printf 'A \xe2\x80\xae name')
    upstream="{\"bottle_host_alias\": \"$harm_json\", \"upstream_host\": \"$harm_json\", \"upstream_port\": \"$harm_json\",
        \"connections_now\": \"$harm_json\", \"last_error\": {\"message\": \"$harm_json\", \"ago_ms\": 0}}"
    status="{\"state\": \"$harm_json\", \"address\": \"$harm_json\", \"proxy\": \"$harm_json\", \"target\": \"$harm_json\",
        \"upstreams\": [$upstream, {\"$harm_json\": 1}, \"$harm_json\"]}"
    as "$user" tee manifests/hostile >/dev/null <<<"{\"bottles\": {\"$name\": {\"ssh\": []}, \"$harm_json\": {}}}"
    as "$user" cp "$scripted" "$harm_bytes.so"
    harmless "$user" --plugin "$hostile" plugins
    harmless "$user" --plugin "./$harm_bytes.so" plugins
    harmless "$user" --plugin "./$harm_bytes" plugins
    harmless "$user" "$harm_bytes"$'\xff'
    harmless "$user" "--$harm_bytes"
    harmless "$user" "-$harm_bytes"
    harmless "$user" status "$harm_bytes"
    harmless "$user" plan no --manifest manifests/hostile
    harmless "$user" plan "$harm_bytes" --manifest "$harm_bytes"
    set -- "$user" "SCRIPTED_UPSTREAMS=[$upstream]" "SCRIPTED_STATUS=$status" "SCRIPTED_MESSAGE=$harm_bytes" \
        "SCRIPTED_TARGET=$harm_bytes"
    harmless "$@" plan "$name" --slug hostile --manifest manifests/hostile --plugin "$hostile"
    harmless "$@" SCRIPTED_START=fail up "$name" --slug hostile --manifest manifests/hostile --plugin "$hostile" \
        --internal-network "$harm_bytes"
    harmless "$@" up "$name" --slug hostile --manifest manifests/hostile --plugin "$hostile" --backend "$harm_bytes"
    harmless "$@" up "$name" --slug hostile --manifest manifests/hostile --plugin "$hostile" \
        --internal-network "$harm_bytes"
    grep -F '\x1b[2J' "$test_dir/printed"
    harmless "$@" status
    grep -F '\x1b[2J' "$test_dir/printed"
    harmless "$@" status other
    harmless "$@" status --json
    grep -F '\u202e' "$test_dir/printed"
    harmless "$@" status --prometheus
    harmless "$@" swap "$name" --manifest manifests/hostile
    harmless "$@" SCRIPTED_STOP=fail down "$name"
    harmless "$@" down "$name"
    as "$user" rm "$harm_bytes.so"
    fails_with 'is not UTF-8' host "$user" up web --internal-network $'\xff'
    nothing_is_left "$user"
}

# ---- manifests ----

# bad_manifest USER TEXT MANIFEST [BOTTLE]: up fails with that text, and leaves nothing.
bad_manifest() {
    local user=$1
    as "$user" tee manifests/bad >/dev/null <<<"$3"
    bad_file "$user" "$2" manifests/bad "${4-web}"
}

bad_file() {
    local user=$1 output status=0
    output=$(host "$user" up "${4-web}" --manifest "$3" --internal-network 127.0.0.2 2>&1) || status=$?
    printf '%s\n' "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"$2"* ]]
    nothing_is_left "$user"
}

refuses_bad_manifests() {
    local user=$1
    as "$user" mkdir -p manifests/directory
    as "$user" mkfifo manifests/fifo
    printf '{"bottles": {"web": {}}}\0' | as "$user" tee manifests/nul >/dev/null
    { printf '{"bottles": {"web": {"x": "' && head -c 1048576 /dev/zero | tr '\0' x && printf '"}}}'; } |
        as "$user" tee manifests/long >/dev/null
    bad_file "$user" 'there is no manifest manifests/none' manifests/none
    bad_file "$user" 'is not a regular file' manifests/directory
    bad_file "$user" 'is not a regular file' manifests/fifo
    bad_file "$user" 'byte 24 is NUL' manifests/nul
    bad_file "$user" 'is longer than 1048576 bytes' manifests/long
    bad_manifest "$user" 'manifests/bad' ''
    bad_manifest "$user" 'manifests/bad' '{"bottles": {"web": {}}} more'
    bad_manifest "$user" 'manifests/bad' '{"bottles": {"web": {}, "web": {}}}'
    bad_manifest "$user" '"bottles" must be an object' '{}'
    bad_manifest "$user" '"bottles" must be an object' '{"bottles": []}'
    bad_manifest "$user" 'bottle "web" must be an object' '{"bottles": {"web": 7}}'
    bad_manifest "$user" 'has no bottle "web"; it has: none' '{"bottles": {}}'
    bad_manifest "$user" 'has no bottle "web"; it has: one, two' '{"bottles": {"one": {}, "two": {}}}'
    bad_manifest "$user" 'ssh_gate: ' '{"bottles": {"web": {"ssh": [{"Host": "h", "Prot": 22}]}}}'
    bad_manifest "$user" 'control characters' '{"bottles": {"a\u0007b": {}}}' $'a\ab'
    bad_manifest "$user" '"Web" is not a slug' '{"bottles": {"Web": {}}}' Web
    fails_with '"../up" is not a slug' host "$user" plan web --slug ../up
    fails_with 'is not a slug' host "$user" plan web --slug "$(printf 'a%.0s' {1..41})"
    fails_with 'there is no manifest' host "$user" plan web --manifest ''
}

# ---- up, status, down ----

prints_a_preflight() {
    local user=$1
    host "$user" --slug pre up web --internal-network 127.0.0.2 >"$test_dir/up"
    cat "$test_dir/up"
    head -4 "$test_dir/up" | diff - /dev/fd/3 3<<'END'
bottle web, slug pre
  ssh_gate: backend native, internal network 127.0.0.2, egress network host
    gitea → gitea.example:30009
    six → [::1]:30010
END
    tail -n +5 "$test_dir/up" | grep -Ex 'ssh_gate started: native:pre:[^ ]+'
    host "$user" down web
    nothing_is_left "$user"
}

runs_until_down() {
    local user=$1 target
    host "$user" up web --internal-network 127.0.0.2
    listens 127.0.0.2:30009
    listens 127.0.0.2:30010
    host "$user" status | grep -Ex 'web +web +ssh_gate +native +serving +127\.0\.0\.2 *'
    host "$user" status web
    target=$(sed -n 's/.*"target":"\(.*\)".*/\1/p' "$(state "$user")/web/state.json")
    [[ $target == native:web:?* ]]
    host "$user" status --json | /usr/bin/python3 -c '
import json, sys
bottle, = json.load(sys.stdin)["bottles"]
sidecar, = bottle["sidecars"]
assert (bottle["bottle"], bottle["slug"]) == ("web", "web"), bottle
assert (sidecar["state"], sidecar["target"]) == ("serving", sys.argv[1]), sidecar
assert [u["listen_port"] for u in sidecar["status"]["upstreams"]] == [30009, 30010], sidecar
' "$target"
    host "$user" down web | grep -x 'bottle web (slug web) is down'
    nothing_is_left "$user"
}

down_twice() {
    local user=$1
    host "$user" down web 2>&1 | grep -x 'sample-host: bottle web is not up'
    host "$user" up web --internal-network 127.0.0.2
    host "$user" down other 2>&1 | grep -x 'sample-host: bottle other is not up; up: web (slug web)'
    host "$user" down web --slug no-such-slug
    listens 127.0.0.2:30009
    host "$user" down web
    host "$user" down web
    nothing_is_left "$user"
    status_is 3 host "$user" status web
    status_is 0 host "$user" status
}

refuses_a_second() {
    local user=$1
    host "$user" up web --internal-network 127.0.0.2
    fails_with 'conflict: slug web runs already' host "$user" up web --internal-network 127.0.0.3
    fails_with 'conflict: slug web runs already' \
        host "$user" up other --slug web --internal-network 127.0.0.3
    host "$user" status web
    [ -z "$(ss -Hltn 'src 127.0.0.3')" ]
    host "$user" up web --slug second --internal-network 127.0.0.3
    [ "$(host "$user" status web | grep -c serving)" -eq 2 ]
    host "$user" down web --slug second
    host "$user" status web
    host "$user" down web
    nothing_is_left "$user"
}

# Of many at once, one comes up; then downs at once take it down, and none of them fails.
takes_turns() {
    local user=$1 i pids=() succeeded=0
    for i in {1..8}; do
        host "$user" up web --internal-network 127.0.0.2 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        ! wait "$i" || succeeded=$((succeeded + 1))
    done
    [ "$succeeded" -eq 1 ]
    host "$user" status web
    pids=()
    for i in {1..8}; do
        host "$user" down web &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i"
    done
    nothing_is_left "$user"
}

ups_and_downs_do_not_mix() {
    local user=$1 i
    for i in {1..10}; do
        host "$user" up web --internal-network 127.0.0.2 || true
    done &
    for i in {1..10}; do
        host "$user" down web
    done
    wait $!
    host "$user" down web
    nothing_is_left "$user"
}

# The directory that it waits for is removed, and there is another when it gets the lock.
locks_the_right_directory() {
    local user=$1 directory pid
    directory=$(state "$user")/web
    as "$user" mkdir -m 700 "$directory"
    as "$user" flock "$directory" sh -c 'touch locked; until test -e over; do sleep 0.02; done' &
    wait_until test -e "$test_dir/$user/locked"
    host "$user" up web --internal-network 127.0.0.2 &
    pid=$!
    wait_until grep -e '->' /proc/locks
    as "$user" rmdir "$directory"
    as "$user" mkdir -m 700 "$directory"
    as "$user" touch over
    wait "$pid"
    as "$user" rm locked over
    host "$user" status web
    host "$user" down web
    nothing_is_left "$user"
}

# After it has made the directory, and before it has it locked, another launcher comes and goes ahead.
is_overtaken() {
    local user=$1 slow
    as "$user" env ASAN_OPTIONS=detect_leaks=0 strace -qq -o /dev/null -e trace=mkdirat \
        -e inject=mkdirat:signal=STOP:when=1 "$test_dir/build/sample-host/sample-host" up web \
        --internal-network 127.0.0.2 >"$test_dir/overtaken" 2>&1 &
    slow=$!
    wait_until test -d "$(state "$user")/web"
    host "$user" up web --internal-network 127.0.0.2
    kill -CONT "$(processes sample-host)"
    status_is 1 wait "$slow"
    cat "$test_dir/overtaken"
    grep 'conflict: slug web runs already' "$test_dir/overtaken"
    host "$user" status web
    host "$user" down web
    nothing_is_left "$user"
}

says_when_a_gate_is_gone() {
    local user=$1 pid
    host "$user" up web --internal-network 127.0.0.2
    pid=$(host "$user" status --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
    kill -KILL "$pid"
    wait_until status_is 3 host "$user" status web
    (host "$user" status || true) | grep -E '^web +web +ssh_gate +native +not running +- '
    host "$user" up other --slug web --internal-network 127.0.0.3
    listens 127.0.0.3:30009
    host "$user" status other
    host "$user" down other
    nothing_is_left "$user"
}

passes_options_on() {
    local user=$1
    fails_with 'no_such_option' host "$user" up web --internal-network 127.0.0.2 \
        --options 'ssh_gate={"no_such_option": 1}'
    nothing_is_left "$user"
    fails_with 'there is no such sidecar' host "$user" up web --internal-network 127.0.0.2 \
        --options 'proxy={}'
    host "$user" SCRIPTED_LOG=log --plugin "$scripted" up other --internal-network x \
        --options 'scripted={"a": [1]}'
    as "$user" grep -Fx 'start { "a": [ 1 ] }' log
    as "$user" rm log
    host "$user" down other
    fails_with 'has no backend "third"; it has: native, second' host "$user" --plugin "$scripted" \
        up other --internal-network x --backend third
    fails_with 'backend native needs --internal-network: an IP address' host "$user" up web
    fails_with 'backend native needs --internal-network: an IP address' host "$user" up web --internal-network ''
    nothing_is_left "$user"
    fails_with 'backend second needs --egress-network' host "$user" --plugin "$scripted" \
        up other --internal-network x --backend second
    host "$user" --plugin "$scripted" up other --internal-network x --egress-network y --backend second |
        grep -F 'scripted: backend second, internal network x, egress network y'
    host "$user" down other
    nothing_is_left "$user"
}

skips_what_is_idle() {
    local user=$1
    host "$user" up empty --internal-network 127.0.0.2 | grep -x '    nothing: not started'
    nothing_is_left "$user"
    both "$user" SCRIPTED_LOG=log up idle --internal-network 127.0.0.2
    as "$user" test ! -e log
    host "$user" status idle
    host "$user" down idle
    nothing_is_left "$user"
}

takes_names_of_any_kind() {
    local user=$1 name='A name, Änderung'
    host "$user" up "$name" --slug named --internal-network 127.0.0.2
    host "$user" status "$name" | grep -F "$name"
    host "$user" down "$name" | grep -Fx "bottle $name (slug named) is down"
    nothing_is_left "$user"
}

# ---- what goes wrong half-way ----

prepares_all_first() {
    local user=$1
    fails_with 'scripted: the bottle says refuse' both "$user" up refuse --internal-network 127.0.0.2
    nothing_is_left "$user"
}

stops_what_it_started() {
    local user=$1
    fails_with 'scripted: told to fail in start' \
        both "$user" SCRIPTED_START=fail SCRIPTED_LOG=log up web --internal-network 127.0.0.2
    as "$user" grep start log
    status_is 1 as "$user" grep stop log
    as "$user" rm log
    nothing_is_left "$user"
    # The gate comes second here, and cannot have its port.
    nc -l 127.0.0.2 30009 &
    wait_until listens 127.0.0.2:30009
    fails_with 30009 host "$user" SCRIPTED_LOG=log --plugin "$scripted" --plugin "$gate" \
        up web --internal-network 127.0.0.2
    kill $!
    [ "$(as "$user" tail -1 log)" = 'stop native:slug:instance' ]
    as "$user" rm log
    wait_until nothing_is_left "$user"
}

keeps_what_it_cannot_stop() {
    local user=$1
    both "$user" up web --internal-network 127.0.0.2
    fails_with 'scripted: told to fail in stop' host "$user" SCRIPTED_STOP=fail down web
    [ -z "$(ss -Hltn)" ]
    host "$user" down web
    nothing_is_left "$user"
}

# A launcher is killed while the second sidecar starts: the first runs and can be found.
survives_its_own_death() {
    local user=$1 launcher
    as_prefix "$user"
    "${prefix[@]}" env SCRIPTED_START=hang SCRIPTED_LOG=log "$test_dir/build/sample-host/sample-host" \
        --plugin "$gate" --plugin "$scripted" up web --internal-network 127.0.0.2 &
    launcher=$!
    wait_until grep start "$test_dir/$user/log"
    kill -KILL "$launcher"
    wait "$launcher" || true
    (host "$user" status web || true) | tee "$test_dir/status"
    grep -E '^web +web +ssh_gate +native +serving ' "$test_dir/status"
    grep -E '^web +web +scripted +native +not started ' "$test_dir/status"
    fails_with 'conflict' host "$user" up web --internal-network 127.0.0.2
    host "$user" SCRIPTED_LOG=log down web
    as "$user" tail -n +2 log | diff - <(echo 'stop native:web')
    as "$user" rm log
    nothing_is_left "$user"
}

# A launcher that was killed before it wrote anything down.
clears_an_unwritten_state() {
    local user=$1 command
    for command in 'up web --internal-network 127.0.0.2' 'down web'; do
        as "$user" mkdir -m 700 -p runtime/sample-host/web/ssh_gate
        as "$user" touch runtime/sample-host/web/ssh_gate/ssh_config
        # shellcheck disable=SC2086 # words
        host "$user" $command
        host "$user" down web
        nothing_is_left "$user"
    done
}

removes_only_its_own() {
    local user=$1
    host "$user" up web --internal-network 127.0.0.2
    as "$user" mkdir -p runtime/sample-host/web/ssh_gate/more/
    fails_with 'ssh_gate/more does not belong there' host "$user" down web
    [ -z "$(ss -Hltn)" ]
    as "$user" rmdir runtime/sample-host/web/ssh_gate/more
    as "$user" ln -s ../../claude-bottle.json runtime/sample-host/web/link
    fails_with 'web/link does not belong there' host "$user" down web
    as "$user" rm runtime/sample-host/web/link
    host "$user" down web
    as "$user" test -e claude-bottle.json
    nothing_is_left "$user"
}

refuses_a_damaged_state() {
    local user=$1 text
    for text in '{' '{}' '{"bottle": "web", "slug": "web", "sidecars": [{"sidecar": "ssh_gate"}]}'; do
        as "$user" mkdir -m 700 -p runtime/sample-host/web
        as "$user" tee runtime/sample-host/web/state.json <<<"$text" >/dev/null
        status_is 1 host "$user" status
        fails_with 'state.json is damaged' host "$user" down web
        fails_with 'state.json is damaged' host "$user" up web --internal-network 127.0.0.2
        # Another slug does not suffer.
        host "$user" up other --internal-network 127.0.0.2
        status_is 1 host "$user" status | grep -E '^other .* serving '
        status_is 1 host "$user" down other
        as "$user" rm -r runtime/sample-host/web
        nothing_is_left "$user"
    done
}

# A sidecar that moved to another backend is written down twice.
loads_as_many_as_it_saves() {
    local user=$1 record records
    record="{\"sidecar\": \"ssh_gate\", \"plugin\": \"$gate\", \"backend\": \"native\","
    record+='"target": "native:web:0123456789abcdef", "state": "started"}'
    printf -v records "$record,%.0s" {1..32}
    as "$user" mkdir -m 700 -p runtime/sample-host/web
    as "$user" tee runtime/sample-host/web/state.json >/dev/null \
        <<<"{\"bottle\": \"web\", \"slug\": \"web\", \"sidecars\": [$records $record]}"
    fails_with 'state.json is damaged' host "$user" down web
    as "$user" tee runtime/sample-host/web/state.json >/dev/null \
        <<<"{\"bottle\": \"web\", \"slug\": \"web\", \"sidecars\": [${records%,}]}"
    host "$user" down web
    nothing_is_left "$user"
}

lists_in_order() {
    local user=$1 slug slugs
    for slug in delta alpha echo bravo charlie; do
        host "$user" up web --slug "$slug" --internal-network 127.0.0.2 \
            --plugin "$scripted" >/dev/null
    done
    slugs=$(host "$user" status web || true)
    slugs=$(awk 'NR > 1 {print $2}' <<<"$slugs" | uniq | paste -sd ' ')
    printf '%s\n' "$slugs"
    [ "$slugs" = 'alpha bravo charlie delta echo' ]
    host "$user" down web
    nothing_is_left "$user"
}

# leaves_other_users_alone USER OTHER: what a killed launcher left is cleaned up, and the other's gate serves on.
leaves_other_users_alone() {
    local user=$1 other=$2
    sample_host "$other" up web --manifest "$test_dir/$user/claude-bottle.json" \
        --internal-network 127.0.0.9
    as "$user" mkdir -m 700 -p runtime/sample-host/web
    as "$user" tee runtime/sample-host/web/state.json >/dev/null <<END
{"bottle": "web", "slug": "web", "sidecars": [{"sidecar": "ssh_gate", "plugin": "$gate",
 "backend": "native", "target": "native:web", "state": "starting"}]}
END
    status_is 3 host "$user" status web
    host "$user" down web
    as "$user" test ! -e runtime/sample-host/web
    listens 127.0.0.9:30009
    host "$user" up web --internal-network 127.0.0.2
    host "$user" down web
    sample_host "$other" status web | grep ' serving '
    sample_host "$other" down web
    nothing_is_left "$user"
}

finds_a_plugin_that_moved() {
    local user=$1
    as "$user" cp "$gate" moved.so
    host "$user" --plugin ./moved.so up web --internal-network 127.0.0.2
    as "$user" rm moved.so
    fails_with 'name one with --plugin' host "$user" status
    fails_with 'name one with --plugin' host "$user" down web
    host "$user" status --plugin "$gate"
    host "$user" down web --plugin "$gate"
    nothing_is_left "$user"
}

# ---- the directory of the state ----

# Without a private $XDG_RUNTIME_DIR the state is in /run for root, in /tmp for others.
falls_back() {
    local user=$1 runtime fallback
    fallback=/tmp/sample-host-$(as "$user" id -u)
    [ "$user" != root ] || fallback=/run/sample-host
    rm -rf "$fallback"
    as "$user" mkdir -m 755 open
    as "$user" mkdir -m 700 private
    as "$user" ln -s private link
    for runtime in '' relative "$test_dir/$user/open" "$test_dir/$user/link" "$test_dir/$user/none"; do
        host "$user" "XDG_RUNTIME_DIR=$runtime" up web --internal-network 127.0.0.2
        [ "$(stat -c '%a %U' "$fallback")" = "700 $user" ]
        [ "$(ls -A "$fallback")" = web ]
        host "$user" "XDG_RUNTIME_DIR=$runtime" down web
        nothing_is_left "$user"
    done
    as "$user" rmdir open private
    as "$user" rm link

    chmod 755 "$fallback"
    fails_with "$fallback must be a directory" host "$user" XDG_RUNTIME_DIR= status
    rmdir "$fallback"
    as "$user" ln -s "$test_dir/$user/runtime" "$test_dir/$user/elsewhere"
    ln -s "$test_dir/$user/runtime" "$fallback"
    fails_with "$fallback must be a directory" host "$user" XDG_RUNTIME_DIR= status
    rm "$fallback" "$test_dir/$user/elsewhere"
}

# ---- descriptors ----

works_without_standard_descriptors() {
    local user=$1
    host "$user" up web --internal-network 127.0.0.2 <&- >&- 2>&-
    host "$user" status
    host "$user" down web <&- >&- 2>&-
    nothing_is_left "$user"
    status_is 1 host "$user" plugins >/dev/full 2>"$test_dir/error"
    grep 'cannot write to standard output' "$test_dir/error"
}

test_as() {
    local user=$1
    set_up "$user"
    check "$user: plugins lists what is loaded" lists_plugins "$user"
    check "$user: plan prints the plans and leaves nothing" prints_plans "$user"
    check "$user: help, of all and of each command" helps "$user"
    check "$user: wrong usage is refused with what there is" refuses_wrong_usage "$user"
    host "$user" status >/dev/null
    check "$user: bad manifests are refused, and leave nothing" refuses_bad_manifests "$user"

    check "$user: up prints a preflight" prints_a_preflight "$user"
    check "$user: bash completes" completes "$user"
    check "$user: every command takes a manifest" takes_a_manifest_anywhere "$user"
    check "$user: status has a line for each upstream" shows_each_upstream "$user"
    check "$user: status --watch shows it again and again" watches "$user"
    check "$user: what others wrote does no harm to a terminal" shows_nothing_harmful "$user"
    check "$user: colours are for terminals" has_colours_on_terminals "$user"
    check "$user: up, status and down from one shell after another" runs_until_down "$user"
    check "$user: down of what is not up says so" down_twice "$user"
    check "$user: a slug that runs is a conflict, another slug is none" refuses_a_second "$user"
    check "$user: of eight ups at once one succeeds, eight downs all do" takes_turns "$user"
    check "$user: ups and downs at once leave nothing" ups_and_downs_do_not_mix "$user"
    check "$user: a directory that is replaced while up waits for it" locks_the_right_directory "$user"
    check "$user: a launcher that is overtaken takes nothing away" is_overtaken "$user"
    check "$user: status says when a gate was killed, and up replaces it" says_when_a_gate_is_gone "$user"
    check "$user: options, backend and networks reach the sidecar" passes_options_on "$user"
    check "$user: an idle sidecar is not started" skips_what_is_idle "$user"
    check "$user: a bottle's name may be any text" takes_names_of_any_kind "$user"

    check "$user: nothing starts when one sidecar cannot be prepared" prepares_all_first "$user"
    check "$user: what was started is stopped when another fails" stops_what_it_started "$user"
    check "$user: what cannot be stopped stays written down" keeps_what_it_cannot_stop "$user"
    check "$user: what a killed launcher had started can be found" survives_its_own_death "$user"
    check "$user: what a killed launcher had only made is replaced" clears_an_unwritten_state "$user"
    check "$user: down removes nothing that is not its own" removes_only_its_own "$user"
    check "$user: a damaged state is an error, for that slug only" refuses_a_damaged_state "$user"
    check "$user: as much can be written down as read again" loads_as_many_as_it_saves "$user"
    check "$user: status lists in the order of names" lists_in_order "$user"
    if [ "$user" = root ]; then # the other one is there by now
        check "root: what another user has under a slug is no concern" leaves_other_users_alone root bottle
        check "bottle: what root has under a slug is no concern" leaves_other_users_alone bottle root
    fi
    check "$user: a plugin that moved can be named" finds_a_plugin_that_moved "$user"
    check "$user: without a private runtime directory it makes one" falls_back "$user"
    check "$user: closed and full standard descriptors" works_without_standard_descriptors "$user"
}

install_build
install -m 644 "$BUILD_DIR/tests/fixtures/scripted.so" "$scripted"
install -m 644 "$BUILD_DIR/tests/fixtures/scripted_hostile.so" "$hostile"
install -m 644 "$BUILD_DIR/tests/fixtures/scripted_misnamed.so" "$misnamed"
for_each_user test_as
