#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bwrap.sh: the gate attached from outside to a bottle that bubblewrap made, `bwrap --unshare-all`; bottle,
# gate and server belong to one ordinary user, then to root.
#
# The gate needs the bottle's network namespace, and the bottle needs the files that the gate writes as it
# starts.  bwrap's own options settle the order:
#
#     --info-fd   tells the bottle's process, so /proc/PID/ns/net, as soon as there is one
#     --file      reads a file for the bottle from a pipe, up to its end, before the command starts
#
# `sample-host up` comes in between, then its ssh_config and known_hosts go into the pipes.  The command
# finds them in /etc/ssh and the gate in place: plain `git clone` works, the first time.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

set_up() {
    local user=$1
    start_sshd "$user" alpha 127.0.0.2:22 127.0.0.2:30009 127.0.0.2:30014 '[::1]:30010' \
        192.0.2.1:30009
    make_repository "$user" alpha
    write_manifest "$user" web \
        "$(entry plain plain.example 22 "$user" "$(host_key "$user" alpha rsa)")" \
        "$(entry alpha alpha.example 30009 "$user" "$(host_key "$user" alpha ed25519)")" \
        "$(entry alpha6 alpha6.example 30010 "$user" "$(host_key "$user" alpha ecdsa)")"
}

# start_bottle USER: its shell takes commands from what is written to descriptor 3.
start_bottle() {
    local user=$1 home=$test_dir/$1
    as "$user" mkfifo commands ssh_config known_hosts
    exec 3<>"$home/commands"
    as "$user" bwrap --unshare-all --ro-bind / / --dev /dev --proc /proc --bind "$home" "$home" \
        --tmpfs /etc/ssh \
        --perms 0644 --file 11 /etc/ssh/ssh_config \
        --perms 0644 --file 12 /etc/ssh/ssh_known_hosts \
        --info-fd 13 \
        sh <"$home/commands" 3>&- \
        11< <(exec 3>&- && cat "$home/ssh_config") \
        12< <(exec 3>&- && cat "$home/known_hosts") \
        13>"$home/info" &
    bottle=$!
    wait_until grep -q child-pid "$home/info"
    network=/proc/$(sed -n 's/.*"child-pid": \([0-9]*\).*/\1/p' "$home/info")/ns/net
}

end_bottle() {
    exec 3>&-
    wait "$bottle"
}

# in_the_bottle USER COMMAND: a line of sh.
in_the_bottle() {
    local user=$1 home=$test_dir/$1
    as "$user" rm -f status
    printf '(%s) </dev/null >output 2>&1; echo $? >status.new; mv status.new status\n' "$2" >&3
    wait_until test -e "$home/status" || return
    cat "$home/output"
    return "$(cat "$home/status")"
}

# relay USER: the pid of the gate's process.
relay() {
    sample_host "$1" status web --json | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*$'
}

attach() {
    local user=$1 home=$test_dir/$1 pid
    sample_host "$user" up web --internal-network "$network"
    pid=$(relay "$user")
    [ "$(stat -c %U "/proc/$pid")" = "$user" ]
    [ "$(processes ssh-gate-relay)" = "$pid" ]
    cat "$home/runtime/sample-host/web/ssh_gate/ssh_config" >"$home/ssh_config"
    cat "$home/runtime/sample-host/web/ssh_gate/known_hosts" >"$home/known_hosts"
    in_the_bottle "$user" true
}

# clone_and_push USER URL
clone_and_push() {
    local user=$1 url=$2
    as "$user" rm -rf clone
    in_the_bottle "$user" "set -eu
        git clone -q $url clone
        cd clone
        echo $url >pushed
        git add pushed
        git commit -q -m Pushed
        git push -q"
    [ "$(as "$user" cat clone/name)" = alpha ]
    [ "$(as "$user" git -C alpha/srv/repository.git show main:pushed)" = "$url" ]
}

# The server is on port 22 by a setting of the network outside; the bottle's network has the usual one.
port_22_is_privileged_in_the_bottle() {
    [ "$(in_the_bottle "$1" 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start')" = 1024 ]
}

listens_in_the_bottle() {
    local addresses
    addresses=$(in_the_bottle "$1" 'ss -Hltn' | awk '{ print $4 }' | sort | xargs)
    printf '%s\n' "$addresses"
    [ "$addresses" = "$2" ]
}

cannot_reach_the_undeclared() {
    local user=$1
    nc -z alpha.example 30014
    fails_with 'port 30014: Connection refused' in_the_bottle "$user" 'ssh -p 30014 alpha.example'
    nc -z 127.0.0.2 30009
    fails_with 'port 30009: Connection refused' in_the_bottle "$user" 'ssh -p 30009 127.0.0.2'
    nc -z 192.0.2.1 30009
    fails_with 'Network is unreachable' in_the_bottle "$user" 'ssh -p 30009 192.0.2.1'
}

detach() {
    local user=$1
    sample_host "$user" down web
    status_is 1 processes ssh-gate-relay
    [ -z "$(as "$user" ls runtime/sample-host)" ]
    fails_with 'Connection refused' in_the_bottle "$user" 'git clone -q alpha:/srv/repository.git late'
}

test_as() {
    local user=$1
    set_up "$user"
    start_bottle "$user"
    check "$user: the gate starts in the bottle's network, from outside" attach "$user"
    check "$user: it listens on the declared ports, on both loopbacks, and on nothing else" \
        listens_in_the_bottle "$user" \
        '127.0.0.1:22 127.0.0.1:30009 127.0.0.1:30010 [::1]:22 [::1]:30009 [::1]:30010'
    check "$user: port 22 is a privileged one in the bottle" port_22_is_privileged_in_the_bottle "$user"
    check "$user: git, by a URL without a port" \
        clone_and_push "$user" ssh://plain.example/srv/repository.git
    check "$user: git, by a URL with host name and port" \
        clone_and_push "$user" ssh://alpha.example:30009/srv/repository.git
    check "$user: git, by alias:path, over IPv6" clone_and_push "$user" alpha6:/srv/repository.git
    check "$user: what is not declared is out of reach" cannot_reach_the_undeclared "$user"
    check "$user: nothing is left when the gate is down" detach "$user"
    check "$user: nothing listens in the bottle" listens_in_the_bottle "$user" ''
    end_bottle
    stop_servers
}

install_build
ip address add 192.0.2.1/32 dev lo
echo 22 >/proc/sys/net/ipv4/ip_unprivileged_port_start
host_name 127.0.0.2 plain.example
host_name 127.0.0.2 alpha.example
host_name ::1 alpha6.example
for_each_user test_as
