#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# git_ssh.sh: git, ssh, scp, sftp and dropbear's client in a bottle that `sample-host run` makes, through
# the gate to real OpenSSH servers, with host keys checked; as root and as an ordinary user.
#
# Two servers, alpha and beta, whose /srv differ.  The bottle's entries:
#
#     alpha      alpha.example:30009     over IPv4; known by its Ed25519 key
#     alpha6     alpha6.example:30010    the same server over IPv6; known by its ECDSA key
#     beta       beta.example:30011      over IPv4; known by its RSA key
#     gone       gone.example:30012      nothing listens there
#     impostor   impostor.example:30013  alpha answers there, but the key is beta's
#
# alpha listens in three more places that no entry names: another port, another host name, an address
# that is not the loopback's.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

bytes_of_big=$((1 << 30))
big=$test_dir/big

set_up_names() {
    ip address add 192.0.2.1/32 dev lo
    host_name 127.0.0.2 alpha.example
    host_name ::1 alpha6.example
    host_name 127.0.0.3 beta.example
    host_name 127.0.0.4 gone.example
    host_name 127.0.0.2 impostor.example
    host_name 127.0.0.2 undeclared.example
}

# 1 GiB without two equal lines, so that any piece that is lost or moved shows.
make_big() {
    {
        seq 100000000 207374181
        echo end
    } >"$big"
    [ "$(stat -c %s "$big")" -eq "$bytes_of_big" ]
    big_sum=$(b2sum <"$big")
}

set_up() {
    local user=$1
    start_sshd "$user" alpha 127.0.0.2:30009 '[::1]:30010' 127.0.0.2:30013 127.0.0.2:30014 192.0.2.1:30009
    start_sshd "$user" beta 127.0.0.3:30011
    make_repository "$user" alpha
    make_repository "$user" beta
    write_manifest "$user" web \
        "$(entry alpha alpha.example 30009 "$user" "$(host_key "$user" alpha ed25519)")" \
        "$(entry alpha6 alpha6.example 30010 "$user" "$(host_key "$user" alpha ecdsa)")" \
        "$(entry beta beta.example 30011 "$user" "$(host_key "$user" beta rsa)")" \
        "$(entry gone gone.example 30012 "$user" "$(host_key "$user" beta ed25519)")" \
        "$(entry impostor impostor.example 30013 "$user" "$(host_key "$user" beta ed25519)")"
}

# clone_and_push USER URL SERVER: what is cloned is that server's, and what is pushed gets there.
clone_and_push() {
    local user=$1 url=$2 server=$3
    as "$user" rm -rf clone
    # shellcheck disable=SC2016 # the shell in the bottle expands these
    in_bottle "$user" web sh -euxc '
        git clone -q "$1" clone
        cd clone
        printf "%s\n" "$1" >pushed
        git add pushed
        git commit -q -m "Pushed to $1"
        git push -q
    ' sh "$url"
    [ "$(as "$user" cat clone/name)" = "$server" ]
    [ "$(as "$user" git -C "$test_dir/$user/$server/srv/repository.git" show main:pushed)" = "$url" ]
}

# reaches USER SERVER SSH_ARGUMENT...
reaches() {
    [ "$(in_bottle "$1" web ssh "${@:3}" cat /srv/name)" = "$2" ]
}

checks_host_keys() {
    local user=$1 name configuration
    for name in alpha alpha.example alpha6 beta.example impostor; do
        configuration=$(in_bottle "$user" web ssh -G "$name")
        grep -x 'stricthostkeychecking true' <<<"$configuration"
    done
}

copies_with_scp() {
    local user=$1
    in_bottle "$user" web scp -q -c aes128-gcm@openssh.com "$big" alpha:/srv/big
    [ "$(b2sum <"$test_dir/$user/alpha/srv/big")" = "$big_sum" ]
}

copies_with_sftp() {
    local user=$1
    as "$user" ln -s "$big" alpha/srv/download
    in_bottle "$user" web sftp -q -c aes128-gcm@openssh.com alpha6:/srv/download copy
    [ "$(as "$user" b2sum <"$test_dir/$user/copy")" = "$big_sum" ]
}

# A person at a terminal: what is typed is echoed, so only the answers are looked for.
types_and_reads() {
    local user=$1 home=$test_dir/$1 session
    mkfifo "$home/keyboard"
    as "$user" script --quiet --return --flush --command \
        "$test_dir/build/sample-host/sample-host run web -- ssh -tt alpha" \
        screen <"$home/keyboard" &
    session=$!
    exec 3>"$home/keyboard"
    # shellcheck disable=SC2016 # the shell at the other end expands this
    echo 'echo "the answer is $((6 * 7))"' >&3
    wait_until grep -q 'the answer is 42' "$home/screen"
    echo 'tty' >&3
    wait_until grep -q '^/dev/pts/[0-9]' "$home/screen"
    echo 'cat /srv/name' >&3
    wait_until grep -q '^alpha' "$home/screen"
    echo 'exit 7' >&3
    status_is 7 wait "$session"
}

refuses_another_key() {
    local user=$1
    fails_with 'Host key verification failed' in_bottle "$user" web ssh impostor cat /srv/name
    fails_with 'Host key verification failed' in_bottle "$user" web \
        git clone ssh://impostor.example:30013/srv/repository.git stolen
    [ ! -e "$test_dir/$user/stolen" ]
}

# knows USER SERVER: dropbear's client, which reads no configuration and no list of the machine's, takes
# that server's key for alpha.example's.
knows() {
    as "$1" tee .ssh/known_hosts <<<"alpha.example $(host_key "$1" "$2" ed25519)" >/dev/null
}

dropbear_reaches() {
    local user=$1
    as "$user" dropbearconvert openssh dropbear .ssh/id_ed25519 .ssh/id_dropbear
    knows "$user" alpha
    [ "$(in_bottle "$user" web dbclient -p 30009 alpha.example cat /srv/name)" = alpha ]
    knows "$user" beta
    fails_with 'mismatch' in_bottle "$user" web dbclient -p 30009 alpha.example cat /srv/name
    as "$user" rm .ssh/known_hosts
}

# Each of these is there, for whoever is outside the bottle.
cannot_reach_the_undeclared() {
    local user=$1
    nc -z alpha.example 30014
    fails_with 'port 30014: Connection refused' in_bottle "$user" web ssh -p 30014 alpha.example
    nc -z 127.0.0.2 30014
    fails_with 'port 30014: Connection refused' in_bottle "$user" web ssh -p 30014 127.0.0.2
    nc -z undeclared.example 30009
    fails_with 'Could not resolve hostname undeclared.example' \
        in_bottle "$user" web ssh -p 30009 undeclared.example
    nc -z 192.0.2.1 30009
    fails_with 'Network is unreachable' in_bottle "$user" web ssh -p 30009 192.0.2.1
}

says_why() {
    local user=$1 reason='ssh-gate: cannot reach gone.example:30012: Connection refused'
    fails_with "$reason" in_bottle "$user" web ssh gone
    fails_with "$reason" in_bottle "$user" web git clone -q ssh://gone.example:30012/srv/repository.git
}

# Whatever else a gate may write, such as a sanitizer's report, is no event.
gates_wrote_only_events() {
    local events=$test_dir/$1/web.events
    [ -s "$events" ]
    status_is 1 grep -v '^{.*}$' "$events"
}

test_as() {
    local user=$1
    set_up "$user"
    check "$user: host keys are checked" checks_host_keys "$user"

    check "$user: git, by a URL with host name and port" \
        clone_and_push "$user" ssh://alpha.example:30009/srv/repository.git alpha
    check "$user: git, by a URL with host name and port, over IPv6" \
        clone_and_push "$user" ssh://alpha6.example:30010/srv/repository.git alpha
    check "$user: git, by a URL with the alias" clone_and_push "$user" ssh://alpha/srv/repository.git alpha
    check "$user: git, by alias:path" clone_and_push "$user" alpha:/srv/repository.git alpha
    check "$user: git, by alias:path, over IPv6" clone_and_push "$user" alpha6:/srv/repository.git alpha
    check "$user: git, by host:path" clone_and_push "$user" alpha.example:/srv/repository.git alpha
    check "$user: git, from the other server, by a URL" \
        clone_and_push "$user" ssh://beta.example:30011/srv/repository.git beta
    check "$user: git, from the other server, by alias:path" \
        clone_and_push "$user" beta:/srv/repository.git beta

    check "$user: ssh, by alias" reaches "$user" alpha alpha
    check "$user: ssh, by alias, over IPv6" reaches "$user" alpha alpha6
    check "$user: ssh, by host name" reaches "$user" alpha alpha.example
    check "$user: ssh, by host name and port" reaches "$user" alpha -p 30009 alpha.example
    check "$user: ssh, the other server by alias" reaches "$user" beta beta
    check "$user: ssh, the other server by host name" reaches "$user" beta beta.example
    check "$user: ssh, a session at a terminal" types_and_reads "$user"
    check "$user: dbclient, by host name" dropbear_reaches "$user"

    check "$user: scp of 1 GiB" copies_with_scp "$user"
    check "$user: sftp of 1 GiB, over IPv6" copies_with_sftp "$user"

    check "$user: a host key that is not the declared one is refused" refuses_another_key "$user"
    check "$user: what is not declared is out of reach" cannot_reach_the_undeclared "$user"
    check "$user: ssh and git say why an upstream is out of reach" says_why "$user"
    check "$user: the gates wrote events, and nothing else" gates_wrote_only_events "$user"
    stop_servers
    as "$user" rm -f copy alpha/srv/big
}

install_build
set_up_names
make_big
for_each_user test_as
