#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# swap.sh: `sample-host swap`, with real ssh through the gate: what goes on, what a swap that cannot be
# leaves alone, and what is found after a launcher was killed at any moment of up, swap and down.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

gate=$test_dir/build/plugin/ssh_gate.so
next=$test_dir/build/plugin/ssh_gate_next.so
scripted=$test_dir/build/plugin/scripted.so
newer_major=$test_dir/build/plugin/fake_newer_major.so
address=127.0.0.2
kill_rounds=9 # of each of the three commands, and for each user

host() {
    sample_host "$@"
}

up() {
    host "$1" up web --internal-network "$address" "${@:2}"
}

state() {
    printf '%s' "$test_dir/$1/runtime/sample-host"
}

# is_serving USER: `status` says so, and it is so.
is_serving() {
    host "$1" status web | grep -E "^web +web +ssh_gate +native +serving +${address//./\\.} "
    accepts 30009
}

accepts() {
    nc -z "$address" "$1"
}

refuses() {
    ! accepts "$1"
}

# The number of relays is that.
relays_are() {
    [ "$(processes ssh-gate-relay | wc -l)" -eq "$1" ]
}

nothing_is_left() {
    local user=$1
    [ -z "$(ls -A "$(state "$user")")" ]
    [ -z "$(ss -Hltn "src $address")" ]
    relays_are 0
}

# through USER ALIAS COMMAND...: ssh as the agent has it.
through() {
    local user=$1 stage
    stage=$(state "$user")/web/ssh_gate
    as "$user" ssh -F "$stage/ssh_config" -o "UserKnownHostsFile=$stage/known_hosts" -o BatchMode=yes \
        -o ConnectTimeout=20 "${@:2}"
}

# stay USER: a session.
stay() {
    open_session through "$1" alpha cat
}

target() {
    host "$1" status --json | sed -n 's/.*"target": *"\(native:[a-z]*:[^"]*\)".*/\1/p'
}

write_manifests() {
    local user=$1 alpha beta gamma
    alpha=$(entry alpha alpha.example 30009 "$user" "$(host_key "$user" alpha ed25519)")
    beta=$(entry beta alpha.example 30010 "$user" "$(host_key "$user" alpha ed25519)")
    gamma=$(entry gamma alpha.example 30011 "$user" "$(host_key "$user" alpha ed25519)")
    write_manifest "$user" web "$alpha" "$gamma"
    as "$user" mv claude-bottle.json other.json
    write_manifest "$user" web "$alpha" "$beta"
}

# ---- what goes on ----

sessions_survive() {
    local user=$1 before
    up "$user"
    before=$(target "$user")
    stay "$user"
    host "$user" swap web >"$test_dir/swapped"
    cat "$test_dir/swapped"
    grep -Ex "ssh_gate swapped: native:web:[0-9a-f]+ took over from $before" "$test_dir/swapped"
    grep -Fx "ssh_gate address: $address" "$test_dir/swapped"
    [ "$(target "$user")" != "$before" ]
    says 'after the swap'
    relays_are 2
    [ "$(through "$user" alpha cat /srv/name)" = alpha ]
    [ "$(through "$user" beta cat /srv/name)" = alpha ]
    host "$user" swap web
    says 'after another'
    close_session
    wait_until relays_are 1
    is_serving "$user"
    host "$user" down web
    nothing_is_left "$user"
}

moves_to_another_build() {
    local user=$1
    up "$user" --options 'ssh_gate={"dial_timeout_ms": 4321}'
    stay "$user"
    host "$user" swap web --plugin "$next"
    host "$user" status web --json | grep -F "\"plugin\":\"$next\""
    host "$user" status web --json | grep -F 4321
    says 'to the next'
    host "$user" swap web
    host "$user" status web --json | grep -F "\"plugin\":\"$next\""
    host "$user" swap web --plugin "$gate" --options 'ssh_gate={"dial_timeout_ms": 1234}'
    host "$user" status web --json | grep -F "\"plugin\":\"$gate\""
    host "$user" status web --json | grep -F 1234
    says 'and back'
    close_session
    host "$user" down web
    nothing_is_left "$user"
}

reads_the_manifest_anew() {
    local user=$1
    up "$user"
    host "$user" swap web --manifest other.json
    refuses 30010
    [ "$(through "$user" gamma cat /srv/name)" = alpha ]
    host "$user" swap web
    refuses 30011
    [ "$(through "$user" beta cat /srv/name)" = alpha ]
    host "$user" swap web --internal-network 127.0.0.7
    [ "$(through "$user" beta cat /srv/name)" = alpha ]
    refuses 30009
    host "$user" down web
    nothing_is_left "$user"
}

# What drains is cut by --grace, and by down.
bounds_the_drain() {
    local user=$1
    up "$user"
    stay "$user"
    host "$user" swap web --grace 0
    session_is_cut
    wait_until relays_are 1
    is_serving "$user"
    stay "$user"
    host "$user" swap web
    relays_are 2
    host "$user" down web
    session_is_cut
    nothing_is_left "$user"
}

# ---- what cannot be ----

# leaves_all USER STATUS TEXT ARGUMENT...: the swap fails so, and nothing is other than before.
leaves_all() {
    local user=$1 dir
    dir=$(state "$user")/web
    cp "$dir/state.json" "$dir/ssh_gate/ssh_config" "$dir/ssh_gate/known_hosts" "$test_dir/before"
    fails_with "$3" status_is_not_0 "$2" host "$user" swap web "${@:4}"
    diff "$dir/state.json" "$test_dir/before/state.json"
    diff "$dir/ssh_gate/ssh_config" "$test_dir/before/ssh_config"
    diff "$dir/ssh_gate/known_hosts" "$test_dir/before/known_hosts"
    is_serving "$user"
    relays_are 1
}

# status_is_not_0 STATUS COMMAND...: fails if the command ends with that status, which is what is wanted.
status_is_not_0() {
    local status=0
    "${@:2}" || status=$?
    [ "$status" -ne "$1" ] || return 1
    printf 'status %d in place of %d\n' "$status" "$1"
}

fails_and_leaves_all() {
    local user=$1 listener
    mkdir -p "$test_dir/before"
    up "$user"
    nc -l "$address" 30011 &
    listener=$!
    wait_until listens "$address:30011"
    leaves_all "$user" 1 "$address:30011" --manifest other.json
    kill "$listener"
    leaves_all "$user" 1 'start the engine' --backend docker
    leaves_all "$user" 1 'has no backend "third"' --backend third
    leaves_all "$user" 1 'major' --plugin "$newer_major"
    leaves_all "$user" 1 '/nowhere.so' --plugin /nowhere.so
    leaves_all "$user" 1 'runs no sidecar scripted' --plugin "$scripted"
    leaves_all "$user" 1 'no_such_option' --options 'ssh_gate={"no_such_option": 1}'
    leaves_all "$user" 1 'there is no such sidecar' --options 'proxy={}'
    leaves_all "$user" 1 'there is no manifest' --manifest none.json
    leaves_all "$user" 1 '192.0.2.1' --internal-network 192.0.2.1
    leaves_all "$user" 2 'give whole seconds' --grace soon
    [ "$(through "$user" alpha cat /srv/name)" = alpha ]
    host "$user" down web
    nothing_is_left "$user"
}

needs_what_runs() {
    local user=$1
    status_is 3 host "$user" swap web
    up "$user"
    pkill -KILL -x ssh-gate-relay
    wait_until relays_are 0
    fails_with 'does not run' host "$user" swap web
    host "$user" down web
    nothing_is_left "$user"
}

# One sidecar that can be swapped, one that cannot.
leaves_out_what_cannot() {
    local user=$1
    as "$user" env SCRIPTED_STATUS=serving "$test_dir/build/sample-host/sample-host" up web \
        --internal-network "$address" --plugin "$gate" --plugin "$scripted"
    as "$user" env SCRIPTED_STATUS=serving "$test_dir/build/sample-host/sample-host" swap web \
        >"$test_dir/swapped" 2>&1
    cat "$test_dir/swapped"
    grep -F 'scripted: it never takes over' "$test_dir/swapped"
    grep -F 'ssh_gate swapped' "$test_dir/swapped"
    fails_with 'it never takes over' as "$user" env SCRIPTED_STATUS=serving \
        "$test_dir/build/sample-host/sample-host" swap web --plugin "$scripted"
    accepts 30009
    host "$user" down web
    nothing_is_left "$user"
}

# ---- launchers that are killed ----

# killed USER MAX_MS ARGUMENT...: sample-host, killed within MAX_MS of its start, or done by then.
killed() {
    local user=$1 pid delay
    local -a prefix
    as_prefix "$user"
    delay=$((RANDOM % $2))
    "${prefix[@]}" "$test_dir/build/sample-host/sample-host" "${@:3}" >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf '%03d' "$delay")"
    kill -KILL "$pid" 2>/dev/null && killings=$((killings + 1))
    wait "$pid" || true
}

# `status` says what is: the gate serves, and a client gets in; or it does not.
status_is_true() {
    local user=$1 said
    said=$(host "$user" status || true)
    if [[ $said == *' serving '* ]]; then
        accepts 30009 && accepts 30010
    else
        refuses 30009 && refuses 30010
    fi
}

killed_at_any_moment() {
    local user=$1 i killings=0
    RANDOM=$2
    for ((i = 0; i < kill_rounds; i++)); do
        killed "$user" 60 up web --internal-network "$address"
        wait_until status_is_true "$user"
        host "$user" down web
        wait_until nothing_is_left "$user"

        up "$user"
        killed "$user" 60 swap web
        is_serving "$user"
        accepts 30010
        # What the killed one had begun ends a moment later, and is a conflict until then.
        wait_until host "$user" swap web
        killed "$user" 60 down web
        wait_until status_is_true "$user"
        host "$user" down web
        wait_until nothing_is_left "$user"
    done
    printf '%d of %d launchers were killed before they ended\n' "$killings" $((3 * kill_rounds)) \
        >"$test_dir/killings"
}

test_as() {
    local user=$1 seed=$((SRANDOM % 32768))
    start_sshd "$user" alpha 127.0.0.3:30009 127.0.0.3:30010 127.0.0.3:30011
    write_manifests "$user"
    host "$user" status >/dev/null
    check "$user: sessions stay, new ones go to the new gate" sessions_survive "$user"
    check "$user: to another build of the plugin and back" moves_to_another_build "$user"
    check "$user: the manifest and the network may be others" reads_the_manifest_anew "$user"
    check "$user: what drains is cut by --grace and by down" bounds_the_drain "$user"
    check "$user: what cannot start leaves everything as it was" fails_and_leaves_all "$user"
    check "$user: there must be something to swap" needs_what_runs "$user"
    check "$user: a sidecar that cannot take over is left out" leaves_out_what_cannot "$user"
    check "$user: launchers that are killed at any moment (seed $seed)" killed_at_any_moment "$user" "$seed"
    cat "$test_dir/killings"
    stop_servers
}

install_build
for fixture in ssh_gate_next scripted fake_newer_major; do
    install -m 644 "$BUILD_DIR/tests/fixtures/$fixture.so" "$test_dir/build/plugin/$fixture.so"
done
host_name 127.0.0.3 alpha.example
for_each_user test_as
