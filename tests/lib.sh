# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh: what the scripts that drive real programs share.  A script begins with
#
#     source "$(dirname "$0")/lib.sh" "$@"
#
# and then runs again, in namespaces of its own:
#
#   - network: there is only a loopback.  Any address and port is free, whatever else runs on the
#     machine, and nothing that the test sends can leave it.
#   - processes: all that the test started end with it, however it ends.
#   - mounts: /etc is the test's own, with the users and the host names that it needs.
#
# The script itself is root, or its caller with every capability in a user namespace.  What is tested
# runs through `as USER`: `bottle` is an ordinary user without any capability, `root` is root.
#
# Each check is one call of `check`.  The last line, "N passed, N failed", and the exit status come from
# the EXIT trap, so they are true also for a script that stops half-way.

if [ "${1-}" != inside ]; then
    namespaces=(--mount --net --pid --fork --kill-child=KILL --mount-proc)
    [ "$EUID" -eq 0 ] || namespaces+=(--user --map-current-user --keep-caps)
    exec unshare "${namespaces[@]}" bash "$0" inside
fi

set -euo pipefail
shopt -s inherit_errexit
# The loader refuses a plugin that a group may write, sshd a home directory.
umask 022

: "${BUILD_DIR:?set it to the directory of the build}"
passed=0
failed=0
servers=()
# Not in $TMPDIR: its path may be closed to the user `bottle`.
test_dir=$(mktemp -d "/var/tmp/$(basename "$0" .sh).XXXXXX")

# For a script to redefine; runs at the end, whatever the end is.
clean_up() {
    :
}

finish() {
    local status=$?
    trap - EXIT
    clean_up
    rm -rf "$test_dir"
    if [ "$status" -ne 0 ]; then
        failed=$((failed + 1))
        printf 'FAILED: the script ended before its end, with status %d\n' "$status"
    fi
    printf '%d passed, %d failed\n' "$passed" "$failed"
    exit $((failed > 0 || passed == 0))
}
trap finish EXIT
# The first process of a namespace gets only the signals that it has a handler for.
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- counting ----

# check NAME COMMAND...: passes if the command does.  A function is left at its first command that fails.
# What takes its time says how much.
check() {
    local name=$1 status=0 begin=$SECONDS
    shift
    # errexit is off in whatever is part of a condition, also in functions called there.
    set +e
    (
        set -eE
        trap 'printf "failed: %s\n" "$BASH_COMMAND" >&2' ERR
        "$@"
    ) </dev/null >"$test_dir/check.log" 2>&1
    status=$?
    set -e
    [ $((SECONDS - begin)) -lt 3 ] || name+=" ($((SECONDS - begin)) s)"
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1))
        printf 'ok: %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAILED: %s (status %d)\n' "$name" "$status"
        sed 's/^/    /' "$test_dir/check.log"
    fi
}

# status_is STATUS COMMAND...: passes if the command ends with just that status.
status_is() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" -eq "$expected" ] || {
        printf 'status %d in place of %d: %s\n' "$status" "$expected" "$*"
        return 1
    }
}

# fails_with TEXT COMMAND...: passes if the command fails and its output holds the text.
fails_with() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf '%s\nno failure: %s\n' "$output" "$*"
        return 1
    fi
    printf '%s\n' "$output"
    [[ $output == *"$text"* ]] || {
        printf 'the output above does not say: %s\n' "$text"
        return 1
    }
}

# wait_until COMMAND...: passes as soon as the command does; fails when that takes more than 120 seconds, which only a fault can.
wait_until() {
    local end=$((SECONDS + 120)) pauses=(0.02 0.02 0.05 0.1)
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || {
            printf 'not within 120 seconds: %s\n' "$*"
            return 1
        }
        sleep "${pauses[0]}"
        [ ${#pauses[@]} -eq 1 ] || pauses=("${pauses[@]:1}")
    done
}

# processes NAME: the numbers of those that run.  One that has ended is none, though it may wait to be reaped.
processes() {
    pgrep -x --runstates D,R,S,T,t "$1"
}

# ---- users ----

# set_up_machine: the loopback, and in place of the machine's /etc, /run, /var/log and terminals new ones,
# so that no setting of the machine counts and nothing is left there.
set_up_machine() {
    ip link set lo up
    chmod 755 "$test_dir"
    set_up_etc
    # As a whole: a mount on a single file is gone when somebody outside replaces the file (rename(2)).
    mount --bind "$test_dir/etc" /etc
    # A container engine that is given stays in reach.
    if [[ ${DOCKER_HOST-} == unix://* ]]; then
        : >"$test_dir/engine.sock"
        mount --bind "${DOCKER_HOST#unix://}" "$test_dir/engine.sock"
        export DOCKER_HOST=unix://$test_dir/engine.sock
    fi
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=755 tmpfs /var/log
    mkdir /run/sshd
    # Terminals that belong to who opens them: an sshd that is not root cannot give them to the group tty.
    mount -t devpts -o ptmxmode=666 devpts /dev/pts
    mount --bind /dev/pts/ptmx /dev/ptmx
}

set_up_etc() {
    local etc=$test_dir/etc uid=31000 gid=31000
    if [ "$EUID" -ne 0 ]; then
        uid=$UID
        gid=$(id -g)
    fi
    mkdir -p "$etc/ssh"
    # What programs need to be found and to run.
    cp -RP /etc/alternatives /etc/ld.so.cache "$etc"
    cat >"$etc/passwd" <<END
root:x:0:0::$test_dir/root:/bin/sh
bottle:x:$uid:$gid::$test_dir/bottle:/bin/sh
sshd:x:31001:31001::/run/sshd:/usr/sbin/nologin
END
    printf '%s\n' root:x:0: "bottle:x:$gid:" sshd:x:31001: >"$etc/group"
    # No password, which is not the same as a locked account.
    printf '%s\n' 'root:*:::::::' 'bottle:*:::::::' >"$etc/shadow"
    printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >"$etc/hosts"
    printf '%s\n' 'hosts: files dns' >"$etc/nsswitch.conf"
    : >"$etc/resolv.conf"
}

# as USER COMMAND...: in the user's home directory, with an environment as after a login.
as() {
    local -a prefix
    as_prefix "$1"
    shift
    "${prefix[@]}" "$@"
}

# as_prefix USER: sets prefix to the command line that a command is put behind to run as the user.
as_prefix() {
    local home=$test_dir/$1
    prefix=(env -C "$home" setpriv --reset-env)
    if [ "$EUID" -ne 0 ]; then
        prefix+=(--inh-caps=-all --ambient-caps=-all)
    elif [ "$1" != root ]; then
        prefix+=(--reuid "$1" --regid "$1" --clear-groups)
    fi
    prefix+=(env "XDG_RUNTIME_DIR=$home/runtime")
}

# new_home USER: with a key for SSH, which every server of that user takes.
new_home() {
    local home=$test_dir/$1
    mkdir "$home"
    [ "$EUID" -ne 0 ] || chown "$1:" "$home"
    as "$1" mkdir -m 700 .ssh runtime
    as "$1" ssh-keygen -q -t ed25519 -N '' -C "$1" -f .ssh/id_ed25519
    as "$1" git config --global user.name "$1"
    as "$1" git config --global user.email "$1@bottle.example"
}

# With AddressSanitizer.
is_sanitized() {
    [[ $(ldd "$BUILD_DIR/sample-host/sample-host") == *libasan* ]]
}

# for_each_user COMMAND...: calls it with `bottle` added, then with `root`.
for_each_user() {
    new_home bottle
    "$@" bottle
    if is_sanitized; then
        printf 'with the sanitizers, which take their time, not as root too\n'
    elif [ "$EUID" -eq 0 ]; then
        new_home root
        "$@" root
    elif [ -n "${CI-}" ]; then
        check 'the tests run as root, as CI must' [ "$EUID" -eq 0 ]
    else
        printf 'skipped: the same as root; run this as root for that\n'
    fi
}

# host_name ADDRESS NAME: NAME is ADDRESS on this machine, which is where a gate resolves it.
host_name() {
    printf '%s %s\n' "$1" "$2" >>/etc/hosts
}

# ---- servers ----

# start_sshd USER NAME ADDRESS:PORT...: an OpenSSH server that runs as the user and lets the user in by
# key.  Its /srv is its own; /srv/name holds its name.
start_sshd() {
    local user=$1 name=$2 dir=$test_dir/$1/$2 type listen
    local -a prefix
    shift 2
    as "$user" mkdir -p "$dir/srv"
    as "$user" tee "$dir/srv/name" <<<"$name" >/dev/null
    {
        printf 'ListenAddress %s\n' "$@"
        for type in ed25519 ecdsa rsa; do
            as "$user" ssh-keygen -q -t "$type" -N '' -C "$name" -f "$dir/host_$type"
            printf 'HostKey %s\n' "$dir/host_$type"
        done
        cat <<END
AuthorizedKeysFile $test_dir/$user/.ssh/id_ed25519.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PidFile none
Subsystem sftp internal-sftp
END
    } >"$dir/sshd_config"

    as_prefix "$user"
    # shellcheck disable=SC2016 # the inner shell expands these
    unshare --mount sh -c 'mount --bind "$1" /srv && shift && exec "$@"' sh "$dir/srv" \
        "${prefix[@]}" /usr/sbin/sshd -D -e -f "$dir/sshd_config" >"$dir/log" 2>&1 &
    servers+=($!)
    for listen; do
        wait_until listens "$listen"
    done
}

# listens ADDRESS:PORT: with IPv6 addresses in brackets.
listens() {
    [ -n "$(ss -Hltn "src $1")" ]
}

stop_servers() {
    kill "${servers[@]}"
    wait "${servers[@]}" || true
    servers=()
}

# host_key USER NAME TYPE: a server's public host key as KnownHostKey takes it.
host_key() {
    cut -d ' ' -f 1,2 "$test_dir/$1/$2/host_$3.pub"
}

# make_repository USER NAME: /srv/repository.git on that server, whose file `name` holds the server's name.
make_repository() {
    local user=$1 name=$2 repository=$test_dir/$1/$2/srv/repository.git
    as "$user" git init -q --bare -b main "$repository"
    as "$user" git -C "$repository" fast-import --quiet <<END
commit refs/heads/main
committer $name <$name@bottle.example> 1700000000 +0000
data 5
First
M 644 inline name
data $((${#name} + 1))
$name

END
}

# ---- a session that stays open ----

# open_session COMMAND...: that sends every line back, such as an ssh that runs cat.
open_session() {
    rm -f "$test_dir/questions" "$test_dir/answers"
    mkfifo "$test_dir/questions" "$test_dir/answers"
    "$@" <"$test_dir/questions" >"$test_dir/answers" &
    session=$!
    exec 3>"$test_dir/questions" 4<"$test_dir/answers"
    says hello
}

# says TEXT: the session is alive.
says() {
    local answer
    printf '%s\n' "$1" >&3
    read -r -t 30 answer <&4
    [ "$answer" = "$1" ]
}

# It ends well when it has nothing more to send.
close_session() {
    exec 3>&-
    wait "$session"
}

# It has ended, as ssh does whose connection is cut.
session_is_cut() {
    status_is 255 wait "$session"
}

# ---- bottles ----

# install_build: a copy of what was built, which every user can read and only its owner can write.
install_build() {
    install -D "$BUILD_DIR/sample-host/sample-host" "$test_dir/build/sample-host/sample-host"
    install -D -m 644 "$BUILD_DIR/plugin/ssh_gate.so" "$test_dir/build/plugin/ssh_gate.so"
}

# entry ALIAS HOSTNAME PORT USER KNOWN_HOST_KEY: one item of bottle.ssh.
entry() {
    printf '{"Host": "%s", "Hostname": "%s", "Port": %d, "User": "%s", ' "$1" "$2" "$3" "$4"
    printf '"IdentityFile": "~/.ssh/id_ed25519", "KnownHostKey": "%s"}\n' "$5"
}

# write_manifest USER BOTTLE ENTRY...: the manifest in the user's home directory, of this one bottle.
write_manifest() {
    local user=$1 bottle=$2 entries
    shift 2
    entries=$(printf ',%s' "$@")
    as "$user" tee claude-bottle.json >/dev/null <<END
{"bottles": {"$bottle": {"ssh": [${entries#,}]}}, "agents": {}}
END
}

# sample_host USER [NAME=VALUE...] ARGUMENT...: with these variables in its environment.
sample_host() {
    local user=$1 variables=()
    shift
    while [[ ${1-} =~ ^[A-Z_]+= ]]; do
        variables+=("$1")
        shift
    done
    as "$user" env "${variables[@]}" "$test_dir/build/sample-host/sample-host" "$@"
}

# in_bottle USER BOTTLE COMMAND...: runs the command in a bottle of its own, as `sample-host run` makes it.
# The gate's events are added to BOTTLE.events in the user's home directory.
in_bottle() {
    sample_host "$1" run "$2" --events "$2.events" -- "${@:3}"
}

set_up_machine
