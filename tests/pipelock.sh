#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pipelock.sh: the sidecar pipelock.so as a process, alone and beside the gate, through sample-host.
#
# pipelock itself is not packaged here.  A program of that name stands in for it (fixtures/pipelock.c),
# which refuses any other command line and any other configuration than it should be given.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

address=127.0.0.2
programs=$test_dir/programs # with pipelock in it
plugin=$test_dir/build/sample-host/pipelock.so
allowed='{"egress": {"allowlist": ["allowed.example"]}}'

# host USER [NAME=VALUE...] ARGUMENT...: sample-host, with its two sidecars and the program on its PATH.
host() {
    sample_host "$1" "PATH=$programs:$PATH" "${@:2}"
}

# up USER BOTTLE [OPTION...]
up() {
    host "$1" up "$2" --internal-network "$address" "${@:3}"
}

# tool USER ARGUMENT...: one operation of the plugin.
tool() {
    as "$1" env "PATH=$programs:$PATH" "$test_dir/gate_tool" "$plugin" "${@:2}"
}

# start USER BOTTLE [ADDRESS]: prints the target; the stage dir is `stage`, the slug `web`.
start() {
    as "$1" mkdir -p stage
    tool "$1" start "$2" web stage "${3-$address}" host native '{}'
}

set_up() {
    local user=$1
    as "$user" tee claude-bottle.json >/dev/null <<'END'
{"bottles": {
   "web": {"egress": {"allowlist": ["Allowed.example", "*.below.example"]}},
   "both": {"egress": {"allowlist": ["allowed.example"]}, "ssh": [{"Host": "gitea.example", "Port": 30009}]},
   "gate": {"egress": {"allowlist": []}, "ssh": [{"Host": "gitea.example", "Port": 30009}]},
   "no-ssh": {"egress": {"allowlist": ["allowed.example"]}, "ssh": []},
   "exits": {"egress": {"allowlist": ["exits.example"]}, "ssh": [{"Host": "gitea.example", "Port": 30009}]},
   "silent": {"egress": {"allowlist": ["silent.example"]}},
   "stubborn": {"egress": {"allowlist": ["stubborn.example"]}}}}
END
}

state() {
    printf '%s' "$test_dir/$1/runtime/sample-host"
}

nothing_is_left() {
    local user=$1
    [ -z "$(ls -A "$(state "$user")")" ]
    [ -z "$(ss -Hltn "src $address")" ]
    status_is 1 processes pipelock
    status_is 1 processes ssh-gate-relay
    status_is 1 grep @pipelock/ /proc/net/unix
}

# through HOST: what the server there says through the proxy, or the proxy's refusal.
through() {
    /usr/bin/python3 - "$address" "$1" <<'END'
import socket, sys
proxy, host = sys.argv[1:]
client = socket.create_connection((proxy, 8888), 10)
client.sendall(f"CONNECT {host}:9000 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
while data := client.recv(4096):
    print(data.decode(), end="")
END
}

reaches() {
    through "$1" | grep -x 'the server'
}

# ---- prepare ----

prepares_a_configuration() {
    local user=$1 stage
    stage=$(state "$user")/web/pipelock
    as "$user" mkdir temporary
    host "$user" TMPDIR=temporary plan web --slug some-slug >"$test_dir/plan"
    /usr/bin/python3 - "$test_dir/plan" <<'END'
import json, sys
plan = json.load(open(sys.argv[1]))["pipelock"]
assert plan["slug"] == "some-slug", plan
assert [u["upstream_host"] for u in plan["upstreams"]] == ["allowed.example", "*.below.example"], plan
assert plan["config"] == plan["stage_dir"] + "/pipelock.yaml", plan
assert plan["internal_network"] == plan["egress_network"] == "", plan
END
    as "$user" rmdir temporary
    up "$user" web
    [ "$(as "$user" stat -c '%a' "$stage/pipelock.yaml")" = 600 ]
    as "$user" cat "$stage/pipelock.yaml" | diff - /dev/fd/3 3<<'END'
version: 1
mode: strict
forward_proxy:
  enabled: true
api_allowlist:
  - "allowed.example"
  - "*.below.example"
END
    host "$user" down web
    nothing_is_left "$user"
}

# refuses_egress USER TEXT EGRESS: prepare does, and writes nothing.
refuses_egress() {
    fails_with "$2" start "$1" "{\"egress\": $3}"
    [ -z "$(as "$1" ls -A stage)" ]
}

refuses_hostile_bottles() {
    local user=$1 item long
    # shellcheck disable=SC2016 # as it is
    for item in '""' '"*"' '"*."' '"**.example"' '"a.*.example"' '"*.*.example"' '"-a.example"' '"a-.example"' \
        '"a..example"' '"a.example."' '"127.0.0.1"' '"*.127.0.0.1"' '"::1"' '"2130706433"' '"0x7f.1"' \
        '"a.example:443"' '"https://a.example"' '"a.example/path"' '"a example"' '"a.example\n  - \"*\""' \
        '"a.example\" #"' '"a\u0007"' '"ä.example"' '"$(id).example"' '"../a"' 'null' '7' '["a.example"]' \
        '{"host": "a.example"}'; do
        refuses_egress "$user" 'bottle.egress.allowlist[1] is' "{\"allowlist\": [\"fine.example\", $item]}"
    done
    refuses_egress "$user" 'NUL' '{"allowlist": ["a\u0000"]}'
    long=$(printf 'a%.0s' {1..64})
    refuses_egress "$user" 'allowlist[0]' "{\"allowlist\": [\"$long.example\"]}"
    long=$(printf 'aaaaaaa.%.0s' {1..32})
    refuses_egress "$user" 'allowlist[0]' "{\"allowlist\": [\"${long}example\"]}"
    long=$(printf '"a.example",%.0s' {1..257})
    refuses_egress "$user" 'at most 256' "{\"allowlist\": [${long%,}]}"
    refuses_egress "$user" 'bottle.egress.allowlist is "a.example"' '{"allowlist": "a.example"}'
    refuses_egress "$user" 'bottle.egress is [' '["a.example"]'
    refuses_egress "$user" 'allow_list' '{"allow_list": ["a.example"]}'
    fails_with 'has no upstreams' start "$user" '{"egress": {"allowlist": []}}'
    as "$user" rm -r stage
}

# ---- the proxy ----

lets_through_what_is_allowed() {
    local user=$1
    up "$user" web
    reaches allowed.example
    reaches one.below.example
    through other.example | tee "$test_dir/said"
    grep '^HTTP/1.1 403' "$test_dir/said"
    status_is 1 grep 'the server' "$test_dir/said"
    host "$user" down web
    nothing_is_left "$user"
}

listens_on_ipv6() {
    local user=$1
    host "$user" up web --internal-network ::1 |
        grep -x '    for the agent: HTTPS_PROXY=http://\[::1\]:8888'
    listens '[::1]:8888'
    host "$user" down web
    nothing_is_left "$user"
}

shows_its_state() {
    local user=$1
    up "$user" web >"$test_dir/up"
    cat "$test_dir/up"
    grep -x '    allowed.example' "$test_dir/up"
    grep -x "    for the agent: HTTPS_PROXY=http://$address:8888" "$test_dir/up"
    host "$user" status web >"$test_dir/status"
    cat "$test_dir/status"
    grep -E "^web +web +pipelock +native +serving +${address//./\\.} " "$test_dir/status"
    grep -E '^  \*\.below\.example ' "$test_dir/status"
    host "$user" status --json | /usr/bin/python3 -c '
import json, re, sys
sidecar, = json.load(sys.stdin)["bottles"][0]["sidecars"]
status = sidecar["status"]
assert sidecar["target"] == status["target"] and re.fullmatch("native:web:[0-9a-f]{16}", status["target"]), sidecar
assert (status["sidecar"], status["backend"], status["slug"]) == ("pipelock", "native", "web"), status
assert (status["state"], status["address"]) == ("serving", sys.argv[1]), status
assert 0 <= status["uptime_ms"] < 600000, status
assert [u["upstream_host"] for u in status["upstreams"]] == ["allowed.example", "*.below.example"], status
' "$address"
    host "$user" down web
    status_is 3 host "$user" status web
}

# Of a launcher that ignores signals and has descriptors that stay open.
gives_the_program_nothing_else() {
    local user=$1 process
    (
        trap '' TERM HUP PIPE
        up "$user" web 10</dev/null 11</dev/null
    )
    process=$(processes pipelock)
    [ "$(readlink "/proc/$process/cwd")" = / ]
    ls -l "/proc/$process/fd"
    [ ! -e "/proc/$process/fd/10" ]
    [ ! -e "/proc/$process/fd/11" ]
    [ "$(tr '\0' '\n' <"/proc/$process/environ" | cut -d = -f 1 | sort | tr '\n' ' ')" = \
        'BOTTLE_SIDECAR_RECORD PATH ' ]
    grep -E '^(SigBlk|SigIgn):' "/proc/$process/status"
    [ "$(grep -Ec '^(SigBlk|SigIgn):\s0+$' "/proc/$process/status")" -eq 2 ]
    host "$user" down web
    nothing_is_left "$user"
}

# By the short target, by the long one, of an earlier run, of one that was never there.
stops_by_target() {
    local user=$1 target
    target=$(start "$user" "$allowed")
    [[ $target == native:web:* ]]
    tool "$user" stop native:web:0123456789abcdef
    tool "$user" stop native:other
    tool "$user" status "$target" | grep serving
    tool "$user" status native:web | grep "\"$target\""
    status_is 6 tool "$user" status native:web:0123456789abcdef
    tool "$user" stop "$target"
    tool "$user" stop "$target"
    tool "$user" stop native:web
    status_is 6 tool "$user" status native:web
    status_is 7 tool "$user" drain native:web 0
    status_is 1 tool "$user" stop nowhere:web
    status_is 1 tool "$user" stop native:../web
    as "$user" rm -r stage
    nothing_is_left "$user"
}

ends_one_that_ignores_it() {
    local user=$1
    up "$user" stubborn
    host "$user" down stubborn
    nothing_is_left "$user"
}

# A pipelock follows its configuration when that changes.
leaves_one_that_runs_alone() {
    local user=$1 before
    start "$user" "$allowed"
    before=$(as "$user" stat -c '%i %y' stage/pipelock_active.yaml)
    status_is 2 start "$user" '{"egress": {"allowlist": ["other.example"]}}' 127.0.0.3
    [ "$(as "$user" stat -c '%i %y' stage/pipelock_active.yaml)" = "$before" ]
    reaches allowed.example
    tool "$user" stop native:web
    as "$user" rm -r stage
}

# ---- what start refuses ----

refuses_wrong_networks_and_options() {
    local user=$1
    fails_with 'is a network namespace, but pipelock dials from where it listens' \
        host "$user" up web --internal-network /proc/self/ns/net
    fails_with '"0.0.0.0" is not one IP address' host "$user" up web --internal-network 0.0.0.0
    fails_with '"localhost" is not one IP address' host "$user" up web --internal-network localhost
    fails_with 'cannot listen on 192.0.2.1' host "$user" up web --internal-network 192.0.2.1
    fails_with 'is not "host"' up "$user" web --egress-network bridge
    fails_with 'exit_with_launcher' up "$user" web --options 'pipelock={"exit_with_launcher": true}'
    fails_with 'start_timeout_ms is 0' up "$user" web --options 'pipelock={"start_timeout_ms": 0}'
    nothing_is_left "$user"
}

# with_path USER PATH: up
with_path() {
    host "$1" "PATH=$2" up web --internal-network "$address"
}

finds_only_a_safe_program() {
    local user=$1 own=$test_dir/$1/own
    fails_with 'no program pipelock in the absolute directories of PATH, "/nowhere:/usr/bin": install it' \
        with_path "$user" /nowhere:/usr/bin
    as "$user" mkdir own
    as "$user" install "$programs/pipelock" own/pipelock
    fails_with 'no program pipelock' with_path "$user" own::/usr/bin
    as "$user" chmod g+w own/pipelock
    fails_with 'chmod go-w' with_path "$user" "$own:/usr/bin"
    as "$user" install -m 755 /dev/null own/pipelock
    as "$user" tee own/pipelock >/dev/null <<<'neither a script nor a program'
    fails_with 'cannot be run: Exec format error' with_path "$user" "$own:/usr/bin"
    nothing_is_left "$user"
    # A script is a program.
    printf '#!/bin/sh\nexec %s/pipelock "$@"\n' "$programs" | as "$user" tee own/pipelock >/dev/null
    with_path "$user" "$own:/usr/bin"
    reaches allowed.example
    host "$user" down web
    as "$user" rm -r own
    nothing_is_left "$user"
}

says_when_the_port_is_taken() {
    local user=$1
    nc -l "$address" 8888 &
    wait_until listens "$address:8888"
    fails_with "port 8888 of $address is taken" up "$user" web
    kill $!
    wait_until nothing_is_left "$user"
}

says_why_it_ended() {
    local user=$1
    fails_with 'its last words: exits.example is allowed, so this ends' \
        start "$user" '{"egress": {"allowlist": ["exits.example"]}}'
    [ "$(as "$user" ls -A stage)" = $'.slug\npipelock.yaml' ] # which prepare wrote
    as "$user" rm -r stage
    nothing_is_left "$user"
}

gives_up_on_one_that_never_listens() {
    local user=$1
    fails_with "did not listen on $address, port 8888, within start_timeout_ms, 300 ms" \
        up "$user" silent --options 'pipelock={"start_timeout_ms": 300}'
    nothing_is_left "$user"
}

of_four_one_wins() {
    local user=$1 i pids=() succeeded=0
    for i in {1..4}; do
        start "$user" "$allowed" "127.0.0.1$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        ! wait "$i" || succeeded=$((succeeded + 1))
    done
    [ "$succeeded" -eq 1 ]
    fails_with 'slug "web" has a running pipelock already' start "$user" "$allowed"
    tool "$user" stop native:web
    as "$user" rm -r stage
    nothing_is_left "$user"
}

# hold_claim USER: becomes a process of root that took the user's name, and has it as a pipelock would.
hold_claim() {
    exec /usr/bin/python3 -c '
import os, signal, socket, sys
holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
holder.bind("\0pipelock/" + sys.argv[1] + "/web")
os.dup2(holder.fileno(), 3)
signal.pause()' "$(as "$1" id -u)"
}

does_not_take_a_stranger_for_it() {
    local user=$1 stranger
    hold_claim "$user" &
    stranger=$!
    wait_until grep @pipelock/ /proc/net/unix
    status_is 6 tool "$user" status native:web
    tool "$user" stop native:web
    kill -0 "$stranger"
    fails_with 'already' up "$user" web
    kill "$stranger"
    wait_until nothing_is_left "$user"
}

# elsewhere USER ARGUMENT...: one operation of the plugin, from another network namespace.
elsewhere() {
    local -a prefix
    as_prefix "$1"
    unshare --net "${prefix[@]}" env "PATH=$programs:$PATH" "$test_dir/gate_tool" "$plugin" "${@:2}"
}

is_reached_from_another_network() {
    local user=$1 target
    target=$(start "$user" "$allowed")
    elsewhere "$user" status native:web | grep "\"$target\""
    as "$user" mkdir -p second
    fails_with 'in another network namespace' \
        elsewhere "$user" start "$allowed" web second "$address" host native '{}'
    status_is 6 elsewhere "$user" status native:web:0123456789abcdef
    elsewhere "$user" stop native:web
    status_is 6 tool "$user" status native:web
    elsewhere "$user" stop "$target"
    as "$user" rm -r stage second
    nothing_is_left "$user"
}

# ---- launchers that are killed ----

survives_its_launcher() {
    local user=$1 launcher process
    as_prefix "$user"
    "${prefix[@]}" env "PATH=$programs:$PATH" "$test_dir/build/sample-host/sample-host" up silent \
        --internal-network "$address" &
    launcher=$!
    wait_until processes pipelock
    process=$(processes pipelock)
    kill -KILL "$launcher"
    wait "$launcher" || true
    (host "$user" status silent || true) | grep -E '^silent +silent +pipelock +native '
    fails_with conflict up "$user" silent
    host "$user" down silent
    nothing_is_left "$user"
    wait_until test ! -e "/proc/$process" # it has ended; whoever adopted it reaps it
}

is_replaced_when_it_was_killed() {
    local user=$1
    up "$user" web
    kill -KILL "$(processes pipelock)"
    wait_until status_is 3 host "$user" status web
    up "$user" web
    reaches allowed.example
    host "$user" down web
    nothing_is_left "$user"
}

# ---- beside the gate ----

starts_both() {
    local user=$1
    up "$user" both >"$test_dir/up"
    cat "$test_dir/up"
    [ "$(grep -Eo '^(ssh_gate|pipelock) started' "$test_dir/up" | tr '\n' ' ')" = \
        'ssh_gate started pipelock started ' ]
    host "$user" status both >"$test_dir/status"
    [ "$(grep -Ec '^both +both +(ssh_gate|pipelock) +native +serving ' "$test_dir/status")" -eq 2 ]
    listens "$address:30009"
    reaches allowed.example
    host "$user" down both
    nothing_is_left "$user"
}

# The gate is up before pipelock is started.
stops_the_first_when_the_second_fails() {
    local user=$1
    fails_with 'pipelock: ' up "$user" exits
    nothing_is_left "$user"
}

skips_what_has_nothing_to_do() {
    local user=$1
    up "$user" no-ssh >"$test_dir/up"
    grep -A 1 '^  ssh_gate: ' "$test_dir/up" | grep -x '    nothing: not started'
    grep '^pipelock started' "$test_dir/up"
    status_is 1 processes ssh-gate-relay
    host "$user" down no-ssh
    up "$user" gate >"$test_dir/up"
    grep -A 1 '^  pipelock: ' "$test_dir/up" | grep -x '    nothing: not started'
    grep '^ssh_gate started' "$test_dir/up"
    status_is 1 processes pipelock
    host "$user" down gate
    nothing_is_left "$user"
}

is_left_out_of_run() {
    local user=$1
    host "$user" run both -- ss -Hltn >"$test_dir/run" 2>"$test_dir/run.log"
    cat "$test_dir/run" "$test_dir/run.log"
    grep -F 'but pipelock dials from where it listens' "$test_dir/run.log"
    grep -Fx 'sample-host: pipelock is not started: the command runs without it' "$test_dir/run.log"
    grep -F 127.0.0.1:30009 "$test_dir/run"
    nothing_is_left "$user"
}

test_as() {
    local user=$1
    set_up "$user"
    host "$user" status >/dev/null
    check "$user: prepare writes pipelock's configuration" prepares_a_configuration "$user"
    check "$user: prepare refuses what is no host name" refuses_hostile_bottles "$user"
    check "$user: allowed hosts are reached through it, others are not" lets_through_what_is_allowed "$user"
    check "$user: on an IPv6 address" listens_on_ipv6 "$user"
    check "$user: up and status show it" shows_its_state "$user"
    check "$user: the program gets nothing but what it needs" gives_the_program_nothing_else "$user"
    check "$user: stop and status by each kind of target" stops_by_target "$user"
    check "$user: one that ignores SIGTERM is killed" ends_one_that_ignores_it "$user"
    check "$user: a second start leaves the first alone" leaves_one_that_runs_alone "$user"

    check "$user: wrong networks and options are refused" refuses_wrong_networks_and_options "$user"
    check "$user: a program that is absent, changeable or none" finds_only_a_safe_program "$user"
    check "$user: a port that is taken" says_when_the_port_is_taken "$user"
    check "$user: a program that ends at once" says_why_it_ended "$user"
    check "$user: a program that never listens" gives_up_on_one_that_never_listens "$user"
    check "$user: of four that start one slug one wins" of_four_one_wins "$user"
    check "$user: whoever else took the name is not taken for it" does_not_take_a_stranger_for_it "$user"

    check "$user: it is reached from another network namespace" is_reached_from_another_network "$user"
    check "$user: what a killed launcher had started is found" survives_its_launcher "$user"
    check "$user: one that was killed is replaced" is_replaced_when_it_was_killed "$user"

    check "$user: both sidecars of a bottle" starts_both "$user"
    check "$user: the gate is stopped when pipelock fails" stops_the_first_when_the_second_fails "$user"
    check "$user: a sidecar without anything to do is skipped" skips_what_has_nothing_to_do "$user"
    check "$user: run leaves it out and says so" is_left_out_of_run "$user"
}

install_build
install -m 644 "$BUILD_DIR/sample-host/pipelock.so" "$plugin"
install "$BUILD_DIR/tests/gate_tool" "$test_dir/gate_tool"
install -D "$BUILD_DIR/tests/fixtures/pipelock" "$programs/pipelock"
for name in allowed.example one.below.example other.example; do
    host_name 127.0.0.9 "$name"
done
/usr/bin/python3 -c '
import socket
server = socket.create_server(("127.0.0.9", 9000))
while True:
    client, _ = server.accept()
    client.sendall(b"the server\n")
    client.close()' &
wait_until listens 127.0.0.9:9000
for_each_user test_as
