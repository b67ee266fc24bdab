#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# demo.sh: a git clone out of a bottle that has only loopback.  Run it with ./dev demo.
#
# It starts an OpenSSH server of its own on two ports of 127.0.0.1, with a git repository, and declares
# one of the ports in a manifest.  Everything is in one temporary directory, which is removed again.  The
# exit status is 0 if each step went as expected.  SAMPLE_HOST is the launcher to use, if not that of BUILD_DIR.
set -euo pipefail

sample_host=${SAMPLE_HOST:-${BUILD_DIR:?set it to the directory of the build}/sample-host/sample-host}
user=$(id -un)
dir=$(mktemp -d)
server=
made_run_sshd=
made_etc_hosts=
failed=0

clean_up() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    [ -z "$made_run_sshd" ] || rmdir /run/sshd
    [ -z "$made_etc_hosts" ] || rm /etc/hosts
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# ---- a server, a repository, a manifest ----

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

choose_ports() {
    for _ in {1..20}; do
        declared=$((20000 + RANDOM % 10000))
        undeclared=$((declared + 1))
        if ! answers "$declared" && ! answers "$undeclared"; then
            return
        fi
    done
    die 'found no free port on 127.0.0.1'
}

# sshd that runs as root wants /run/sshd, and refuses accounts that are locked unless PAM decides.  A bottle's
# hosts are mounted over /etc/hosts, which a system without any package of ours may lack.
set_up_for_root() {
    if [ ! -e /etc/hosts ]; then
        : >/etc/hosts
        made_etc_hosts=yes
    fi
    if [ ! -d /run/sshd ]; then
        mkdir -m 755 /run/sshd
        made_run_sshd=yes
    fi
    case $(getent shadow root) in
    root:!*) use_pam=yes ;;
    esac
}

# SHLVL keeps bash, run by sshd, from reading a ~/.bashrc that takes its time or prints.
start_server() {
    use_pam=no
    [ "$EUID" -ne 0 ] || set_up_for_root
    ssh-keygen -q -t ed25519 -N '' -C demo-host -f "$dir/host_key"
    ssh-keygen -q -t ed25519 -N '' -C demo-user -f "$dir/user_key"
    cat >"$dir/sshd_config" <<END
ListenAddress 127.0.0.1:$declared
ListenAddress 127.0.0.1:$undeclared
HostKey $dir/host_key
AuthorizedKeysFile $dir/user_key.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM $use_pam
PidFile none
SetEnv SHLVL=2
END
    /usr/sbin/sshd -D -e -f "$dir/sshd_config" 2>"$dir/sshd.log" &
    server=$!
    for _ in {1..100}; do
        if answers "$declared" && answers "$undeclared"; then
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$dir/sshd.log" >&2
    die 'sshd does not answer'
}

make_repository() {
    git init -q --bare -b main "$dir/repo.git"
    git -C "$dir/repo.git" fast-import --quiet <<'END'
commit refs/heads/main
committer Demo <demo@git.example> 1700000000 +0000
data 21
A file for the bottle
M 644 inline README
data 26
This came through a gate.

END
}

write_manifest() {
    cat >"$dir/claude-bottle.json" <<END
{"bottles": {"demo": {"ssh": [{
  "Host": "git.example", "Hostname": "127.0.0.1", "Port": $declared, "User": "$user",
  "IdentityFile": "$dir/user_key",
  "KnownHostKey": "$(cut -d ' ' -f 1,2 "$dir/host_key.pub")"
}]}}, "agents": {}}
END
}

# ---- the steps ----

in_bottle() {
    "$sample_host" run demo --slug "demo-$$" --manifest "$dir/claude-bottle.json" --events "$dir/events" -- "$@"
}

# step TITLE works|fails TEXT COMMAND...: runs the command, which has to work, or to fail, and to print TEXT.
step() {
    local title=$1 expected=$2 text=$3 happened=works output
    shift 3
    output=$("$@" 2>&1) || happened=fails
    printf '\n%s\n    expected: %s' "$title" "$expected"
    [ -z "$text" ] || printf ', "%s"' "$text"
    printf '\n    happened: %s\n' "$happened"
    [ -z "$output" ] || printf '        %s\n' "${output//$'\n'/$'\n'        }"
    if [ "$happened" != "$expected" ] || [[ $output != *"$text"* ]]; then
        printf '    NOT AS EXPECTED\n'
        failed=1
    fi
}

# shellcheck disable=SC2016 # the shell in the bottle expands it
connect='exec 3<>"/dev/tcp/127.0.0.1/$0"'
# shellcheck disable=SC2016 # the shell in the bottle expands these
clone='ssh -T -G git.example | grep -x "stricthostkeychecking true" && git clone "$0" "$1" && cat "$1/README"'

show_steps() {
    step "Outside the bottle, a connection to the server at 127.0.0.1:$undeclared" works '' \
        bash -c "$connect" "$undeclared"
    step "(a) In the bottle, the same connection, which the manifest does not declare" \
        fails 'Connection refused' in_bottle bash -c "$connect" "$undeclared"
    step "(b) In the bottle, git clone ssh://$user@git.example:$declared$dir/repo.git" \
        works 'This came through a gate.' \
        in_bottle bash -c "$clone" "ssh://$user@git.example:$declared$dir/repo.git" "$dir/clone"
    step "(c) In the bottle, git ls-remote from a host that the manifest does not declare" \
        fails 'Could not resolve hostname' \
        in_bottle git ls-remote "ssh://$user@elsewhere.example$dir/repo.git"
}

# One line an event: the time of day, what happened, and the rest as NAME=VALUE.
show_events() {
    printf '\n(d) What the gate recorded\n'
    sed -E -e 's/^\{"time":"[^T]*T([^Z]*)Z","event":"([^"]*)",?/\1  \2  /' -e 's/"([a-z_]+)":/ \1=/g' \
        -e 's/"([^" ]*)"/\1/g' -e 's/,? +/ /g' -e 's/\}$//' -e 's/^/    /' "$dir/events"
    grep -q '"event":"close"' "$dir/events" || failed=1
}

export LC_ALL=C XDG_RUNTIME_DIR=$dir
cd "$dir"
choose_ports
start_server
make_repository
write_manifest
printf 'A bottle that declares one SSH destination: git.example, which is 127.0.0.1:%s\n' "$declared"
show_steps
show_events
[ "$failed" -eq 0 ] || die 'not everything went as expected'
printf '\nAll as expected.\n'
