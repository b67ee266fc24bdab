#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# run.sh: `sample-host run`: what its command gets, what it cannot reach, what it leaves; as root and as an
# ordinary user.  git_ssh.sh has real clients and servers in it.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

# The gates dial, when they are dialled, what is outside: this script's network.
set_up() {
    local user=$1
    as "$user" tee claude-bottle.json >/dev/null <<'END'
{"bottles": {
   "web": {"ssh": [{"Host": "Alias", "Hostname": "real.example", "Port": 30009, "User": "git"},
                   {"Host": "again", "Hostname": "real.example", "Port": 30010},
                   {"Host": "literal", "Hostname": "192.0.2.7", "Port": 30011},
                   {"Host": "six", "Hostname": "::1", "Port": 30012}]},
   "other": {"ssh": [{"Host": "other.example", "Port": 30009}]},
   "empty": {}},
 "agents": {}}
END
    as "$user" tee .ssh/config >/dev/null <<'END'
Host *
    ProxyCommand /bin/false
    User somebody
END
}

# run USER COMMAND...: in the bottle web.
run() {
    sample_host "$1" run web -- "${@:2}"
}

# start USER [OPTION...] -- COMMAND...: the same in the background, the launcher's process in $launcher.
# Like in a shell, it has what SIGINT and SIGQUIT do by default, which background commands have not.
start() {
    local user=$1
    shift
    as_prefix "$user"
    "${prefix[@]}" env --default-signal=INT,QUIT "$test_dir/build/sample-host/sample-host" run web "$@" &
    launcher=$!
}

nothing_is_left() {
    local user=$1
    [ -z "$(ls -A "$test_dir/$user/runtime/sample-host")" ]
    no_processes
}

no_processes() {
    local name
    for name in ssh-gate-relay sample-host sleep; do
        status_is 1 processes "$name" || return
    done
}

# ---- the command ----

exits_as_the_command() {
    local user=$1
    status_is 0 run "$user" true
    status_is 7 run "$user" sh -c 'exit 7'
    status_is 143 run "$user" sh -c 'kill -TERM $$'
    status_is 137 run "$user" sh -c 'kill -KILL $$'
    status_is 127 run "$user" no-such-command
    status_is 127 run "$user" ./no-such-file
    status_is 126 run "$user" /etc/passwd
    status_is 126 run "$user" /etc
    status_is 125 sample_host "$user" run none -- true
    status_is 2 sample_host "$user" run web
    status_is 0 sample_host "$user" run empty -- true
    as_prefix "$user"
    status_is 7 "${prefix[@]}" env --ignore-signal=CHLD \
        "$test_dir/build/sample-host/sample-host" run web -- sh -c 'exit 7'
    nothing_is_left "$user"
}

# shellcheck disable=SC2016 # the shell in the bottle expands these
keeps_the_surroundings() {
    local user=$1 output
    [ "$(run "$user" cat <<<'through standard input')" = 'through standard input' ]
    [ "$(run "$user" sh -c 'echo out; echo error >&2' 2>"$test_dir/error")" = out ]
    grep -x error "$test_dir/error"
    as_prefix "$user"
    output=$("${prefix[@]}" env NAME='a value' "$test_dir/build/sample-host/sample-host" \
        run web -- sh -c 'printf "%s:%s:%s:%s" "$NAME" "$PWD" "$1" "$#"' sh '--slug' '')
    [ "$output" = "a value:$test_dir/$user:--slug:2" ]
    [ "$(run "$user" id -u):$(run "$user" id -g)" = "$(as "$user" id -u):$(as "$user" id -g)" ]
    run "$user" sh -c 'echo written in the bottle >file'
    [ "$(as "$user" cat file)" = 'written in the bottle' ]
    as "$user" script --quiet --return --command \
        "'$test_dir/build/sample-host/sample-host' run web -- sh -c 'tty && test -t 0 -a -t 1 -a -t 2'" \
        /dev/null | grep '^/dev/pts/'
}

# The fourth is what ls opens to list them.
has_only_three_descriptors() {
    local user=$1
    run "$user" ls -l /proc/self/fd 7</etc/passwd 8>&2 9<"$test_dir" | awk 'NF > 3 {print $9, $NF}' |
        tee "$test_dir/descriptors"
    cut -d ' ' -f 1 "$test_dir/descriptors" | diff - <(printf '%s\n' 0 1 2 3)
    grep -E '^3 /proc/[0-9]+/fd$' "$test_dir/descriptors"
}

# Blocked, ignored and pending signals are the same as without sample-host.
keeps_signals() {
    local user=$1
    as_prefix "$user"
    for signals in --default-signal --ignore-signal=INT,HUP --block-signal=USR1,TERM; do
        "${prefix[@]}" env "$signals" grep -E '^Sig(Blk|Ign)' /proc/self/status >"$test_dir/before"
        "${prefix[@]}" env "$signals" "$test_dir/build/sample-host/sample-host" run web -- \
            grep -E '^Sig(Blk|Ign)' /proc/self/status | diff "$test_dir/before" -
    done
}

has_no_rights() {
    local user=$1
    run "$user" grep -E '^(Cap...|NoNewPrivs):' /proc/self/status |
        diff - <(printf 'Cap%s:\t0000000000000000\n' Inh Prm Eff Bnd Amb && printf 'NoNewPrivs:\t1\n')
    fails_with '' run "$user" umount /etc/hosts
    fails_with '' run "$user" umount /run
    fails_with '' run "$user" mount -t tmpfs tmpfs /etc
    fails_with '' run "$user" ip link set lo down
    # With the rights of a namespace of its own, too.
    fails_with '' run "$user" unshare --user --map-root-user --mount umount /run
    fails_with '' run "$user" unshare --user --map-root-user ip link set lo down
    fails_with 'Read-only' run "$user" sh -c 'echo >>/etc/hosts'
    fails_with 'Read-only' run "$user" touch /etc/ssh/more
}

# ---- the network ----

has_only_loopback() {
    local user=$1 ports
    ip address add 192.0.2.1/32 dev lo
    [ "$(run "$user" ip -brief address | tr -s ' ')" = 'lo UNKNOWN 127.0.0.1/8 ::1/128 ' ]
    ip address delete 192.0.2.1/32 dev lo
    [ -z "$(run "$user" ip route)" ]
    ports=$(run "$user" ss -Hltn | awk '{print $4}' | sort)
    printf '%s\n' "$ports"
    [ "$ports" = "$(printf '%s\n' 127.0.0.1:300{09,10,11,12} '[::1]':300{09,10,11,12} | sort)" ]
    [ -z "$(run "$user" ss -Hlun)" ]
}

# The first two are there for whoever is outside.
reaches_only_the_declared() {
    local user=$1 server
    nc -lk 127.0.0.1 30020 >/dev/null &
    server=$!
    host_name 127.0.0.1 outside.example
    wait_until nc -z 127.0.0.1 30020
    nc -z outside.example 30020
    fails_with 'refused' run "$user" nc -vz 127.0.0.1 30020
    fails_with '' run "$user" getent hosts outside.example
    fails_with 'unreachable' run "$user" nc -vz 192.0.2.1 30020
    kill "$server"
    run "$user" nc -z real.example 30009
    run "$user" nc -z Alias 30009
    run "$user" nc -z -6 again 30010
}

cannot_reach_other_networks() {
    local user=$1
    start "$user" -- sleep 60
    wait_until processes sleep
    # shellcheck disable=SC2016 # the shell in the bottle expands it
    fails_with '' sample_host "$user" run other -- \
        sh -c 'nsenter --user --net --target "$1" true' sh "$launcher"
    fails_with '' sample_host "$user" run other -- ls "/proc/$launcher/root/" "/proc/$launcher/fd/"
    # Abstract socket names, such as that of the gate's control socket, belong to a network.
    ss -Hlx | grep -F "@ssh_gate/$(as "$user" id -u)/web"
    sample_host "$user" run other -- ss -Hlx >"$test_dir/sockets"
    [ ! -s "$test_dir/sockets" ]
    kill -TERM "$launcher"
    status_is 143 wait "$launcher"
    nothing_is_left "$user"
}

resolves_from_hosts() {
    local user=$1 began=$SECONDS
    run "$user" cat /etc/hosts | diff - /dev/fd/3 3<<'END'
127.0.0.1 localhost
127.0.0.1 real.example Alias
127.0.0.1 again
127.0.0.1 literal
127.0.0.1 six
::1 localhost
::1 real.example Alias
::1 again
::1 literal
::1 six
END
    run "$user" getent ahosts again | grep -E '^127\.0\.0\.1 '
    run "$user" getent hosts alias | grep -E '^::1 +real\.example Alias$'
    run "$user" getent hosts localhost
    # There is nobody to ask, so nobody is waited for.
    fails_with 'not known' run "$user" ssh -F none unknown.example
    [ ! -s /etc/resolv.conf ] || [ -z "$(run "$user" cat /etc/resolv.conf)" ]
    [ "$(run "$user" grep hosts: /etc/nsswitch.conf)" = 'hosts: files' ]
    run "$user" id -un | grep -x "$user"
    [ $((SECONDS - began)) -lt 60 ]
}

ssh_takes_the_gate() {
    local user=$1 name
    as "$user" ssh -T -G Alias | grep '^proxycommand'
    for name in Alias real.example; do
        run "$user" ssh -T -G "$name" >"$test_dir/configuration"
        grep -x 'hostname 127.0.0.1' "$test_dir/configuration"
        grep -x 'port 30009' "$test_dir/configuration"
        grep -x 'user git' "$test_dir/configuration"
        grep -x 'hostkeyalias real.example' "$test_dir/configuration"
        status_is 1 grep '^proxycommand' "$test_dir/configuration"
    done
}

# ---- the files ----

run_is_empty() {
    local user=$1
    touch /run/marker
    [ -z "$(run "$user" ls -A /run)" ]
    [ -z "$(run "$user" ls -A /var/run/)" ]
    run "$user" sh -c 'test ! -e /run/marker'
    rm /run/marker
}

leaves_the_outside_alone() {
    local user=$1
    cat /proc/self/mounts /etc/hosts >"$test_dir/before"
    run "$user" true
    cat /proc/self/mounts /etc/hosts | diff "$test_dir/before" -
    as "$user" grep ProxyCommand .ssh/config
}

# What it needs may be where it is about to mount something, but the command cannot start there.
runs_with_everything_in_run() {
    local user=$1 output
    mkdir -m 1777 /run/elsewhere
    as "$user" mkdir -m 700 /run/elsewhere/runtime
    as "$user" env XDG_RUNTIME_DIR=/run/elsewhere/runtime "$test_dir/build/sample-host/sample-host" \
        run web -- ssh -T -G Alias | grep -x 'port 30009'
    as "$user" cp claude-bottle.json /run/elsewhere
    output=$(as "$user" env -C /run/elsewhere "$test_dir/build/sample-host/sample-host" \
        run web -- true 2>&1) && return 1
    printf '%s\n' "$output"
    [[ $output == *'the current directory /run/elsewhere is not there in the bottle'* ]]
    rm -r /run/elsewhere
    nothing_is_left "$user"
}

# with_etc DIRECTORY USER COMMAND...: that directory is /etc.
with_etc() {
    local directory=$1
    as_prefix "$2"
    # shellcheck disable=SC2016 # the inner shell expands these
    unshare --mount sh -c 'mount --bind "$1" /etc && shift && exec "$@"' sh "$directory" \
        "${prefix[@]}" "${@:3}"
}

needs_what_it_covers() {
    local user=$1 etc=$test_dir/some-etc
    local -a command=("$test_dir/build/sample-host/sample-host" run web -- cat /etc/hosts)
    cp -r "$test_dir/etc" "$etc"
    rm "$etc/hosts"
    fails_with 'our hosts over /etc/hosts: No such file or directory: make an empty one first' \
        with_etc "$etc" "$user" "${command[@]}"
    touch "$etc/hosts"
    rmdir "$etc/ssh"
    fails_with 'our ssh over /etc/ssh: No such file or directory: make an empty one first' \
        with_etc "$etc" "$user" "${command[@]}"
    mkdir "$etc/ssh"
    with_etc "$etc" "$user" "${command[@]}" | grep 'real.example Alias'
    rm -r "$etc"
    nothing_is_left "$user"
}

# ---- ends ----

hands_signals_on() {
    local user=$1 signal
    for signal in TERM HUP; do
        # shellcheck disable=SC2016 # the shell in the bottle expands these
        start "$user" -- bash -c 'trap "echo caught; exit 3" "$1"; touch ready; while :; do read -t 1; done' \
            bash "$signal" <>/dev/ptmx
        wait_until as "$user" rm ready
        kill -s "$signal" "$launcher"
        status_is 3 wait "$launcher"
        nothing_is_left "$user"
    done
    start "$user" -- sleep 60
    wait_until processes sleep
    kill -TERM "$launcher"
    status_is 143 wait "$launcher"
    nothing_is_left "$user"
}

# A terminal sends SIGINT to all of a process group: the command decides.
leaves_interrupts_to_the_command() {
    local user=$1
    set -m
    # shellcheck disable=SC2016 # the shell in the bottle expands these
    start "$user" -- sh -c 'trap "exit 4" INT; touch ready; while :; do sleep 0.1; done'
    wait_until as "$user" rm ready
    kill -INT -- "-$launcher"
    status_is 4 wait "$launcher"
    start "$user" -- sleep 60
    wait_until processes sleep
    kill -INT -- "-$launcher"
    status_is 130 wait "$launcher"
    set +m
    nothing_is_left "$user"
}

ends_with_its_launcher() {
    local user=$1
    start "$user" -- sleep 60
    wait_until processes sleep
    # as and env execute, so this is sample-host itself.
    [ "$(cat "/proc/$launcher/comm")" = sample-host ]
    kill -KILL "$launcher"
    wait "$launcher" || true
    wait_until no_processes
    status_is 3 sample_host "$user" status web
    sample_host "$user" status web | grep 'not running' || true
    status_is 5 run "$user" sh -c 'exit 5'
    nothing_is_left "$user"
}

can_be_seen_and_taken_down() {
    local user=$1
    start "$user" -- sh -c 'touch ready; while test ! -e over; do sleep 0.05; done; exit 6'
    wait_until as "$user" rm ready
    sample_host "$user" status web | grep serving
    fails_with 'conflict' sample_host "$user" up web --internal-network 127.0.0.2
    status_is 125 run "$user" true
    sample_host "$user" run web --slug second -- true
    sample_host "$user" down web
    # The slug is free, and what takes it now does not go when the first ends.
    sample_host "$user" up web --internal-network 127.0.0.2
    as "$user" touch over
    status_is 6 wait "$launcher"
    as "$user" rm over
    sample_host "$user" status web
    sample_host "$user" down web
    nothing_is_left "$user"
}

# Agents that ask the gate again and again are answered before and after, and with the launcher all ends.
swaps_while_it_runs() {
    local user=$1 options
    for options in '{"exit_with_launcher": true}' '{"dial_timeout_ms": 4321}'; do
        start "$user" --events events -- sh -c 'touch ready
            while test ! -e over; do nc -z real.example 30009 || exit 9; done; exit 6'
        wait_until as "$user" rm ready
        sample_host "$user" swap web | grep 'took over from'
        sample_host "$user" swap web --options "ssh_gate=$options" | grep 'took over from'
        sample_host "$user" status web --json | grep "\"launcher_pid\": *$launcher\b"
        sample_host "$user" status web | grep ' serving '
        fails_with 'it cannot move to backend docker' sample_host "$user" swap web --backend docker
        as "$user" touch over
        status_is 6 wait "$launcher"
        nothing_is_left "$user"
        [ "$(as "$user" grep -c '"event":"started"' events)" -eq 3 ]
        [ "$(as "$user" grep -c '"event":"stopped"' events)" -eq 3 ]
        as "$user" rm over events
    done
}

# Whatever comes first: the gate ends with the launcher that it was started by.
swaps_while_it_ends() {
    local user=$1 swap
    for _ in 1 2 3; do
        start "$user" -- sleep 60
        wait_until sample_host "$user" status web
        as_prefix "$user"
        "${prefix[@]}" "$test_dir/build/sample-host/sample-host" swap web &
        swap=$!
        kill -KILL "$launcher"
        wait "$launcher" || true
        wait "$swap" || true
        wait_until no_processes
    done
    sample_host "$user" down web
    nothing_is_left "$user"
}

writes_events() {
    local user=$1
    sample_host "$user" run web --events events -- true
    [ "$(as "$user" grep -c '"event":"started"' events)" -eq 1 ]
    [ "$(as "$user" grep -c '"event":"stopped"' events)" -eq 1 ]
    status_is 7 sample_host "$user" run web --events events -- sh -c 'exit 7'
    [ "$(as "$user" grep -c '"event":"stopped"' events)" -eq 2 ]
    fails_with 'cannot open --events none/events' \
        sample_host "$user" run web --events none/events -- touch executed
    as "$user" test ! -e executed
    status_is 125 sample_host "$user" run web --events /dev/full -- true
    nothing_is_left "$user"
}

# Ports that are taken, options that are wrong: the command does not run, and nothing is left.
fails_without_a_trace() {
    local user=$1
    fails_with 'no_such_option' \
        sample_host "$user" run web --options 'ssh_gate={"no_such_option": 1}' -- touch executed
    as "$user" test ! -e executed
    nothing_is_left "$user"
}

# The limit is that of a user namespace around it: the machine's own stays.  Who is root there owns the
# files of this build.
names_the_sysctl() {
    local user=$1 setting
    as "$user" cp -r "$test_dir/build" own
    for setting in max_user_namespaces max_net_namespaces max_mnt_namespaces; do
        # shellcheck disable=SC2016 # the inner shell expands these
        fails_with "the sysctl user.$setting is 0; as root: sysctl -w user.$setting=10000" \
            as "$user" unshare --user --map-root-user \
            sh -c 'echo 0 >"/proc/sys/user/$1" && shift && exec "$@"' sh "$setting" \
            own/sample-host/sample-host run web -- true
        nothing_is_left "$user"
    done
    as "$user" rm -r own
}

test_as() {
    local user=$1
    set_up "$user"
    check "$user: the exit status is the command's" exits_as_the_command "$user"
    check "$user: descriptors, directory, environment, user, files and terminal are kept" \
        keeps_the_surroundings "$user"
    check "$user: no descriptor leaks into the command" has_only_three_descriptors "$user"
    check "$user: what signals do is kept" keeps_signals "$user"
    check "$user: the command has no capability and cannot undo anything" has_no_rights "$user"

    check "$user: the network is loopback with the declared ports" has_only_loopback "$user"
    check "$user: what is not declared is out of reach" reaches_only_the_declared "$user"
    check "$user: so are the networks of other processes" cannot_reach_other_networks "$user"
    check "$user: names resolve from /etc/hosts alone" resolves_from_hosts "$user"
    check "$user: ssh takes the gate, whatever ~/.ssh/config says" ssh_takes_the_gate "$user"

    check "$user: /run is empty" run_is_empty "$user"
    check "$user: files and mounts outside stay" leaves_the_outside_alone "$user"
    check "$user: the state may be in /run, the current directory may not" \
        runs_with_everything_in_run "$user"
    check "$user: a file to cover that is missing is named" needs_what_it_covers "$user"

    check "$user: SIGTERM and SIGHUP are handed on" hands_signals_on "$user"
    check "$user: SIGINT is the command's" leaves_interrupts_to_the_command "$user"
    check "$user: command and gate end with a killed launcher" ends_with_its_launcher "$user"
    check "$user: status and down see it" can_be_seen_and_taken_down "$user"
    check "$user: a swap while it runs: the new gate ends with it too" swaps_while_it_runs "$user"
    check "$user: a swap while it is killed leaves no gate" swaps_while_it_ends "$user"
    check "$user: --events gets what the gate recorded" writes_events "$user"
    check "$user: a gate that does not start leaves nothing" fails_without_a_trace "$user"
    check "$user: a sysctl that forbids namespaces is named" names_the_sysctl "$user"
}

install_build
for_each_user test_as
