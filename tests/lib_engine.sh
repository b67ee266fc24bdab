# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what lib.sh sets, and what the scripts use
#
# lib_engine.sh: a container engine for the tests that need one, and a world of containers in it.  Comes
# after lib.sh, in whose namespaces the engine runs: its networks, its processes and its mounts are
# nobody else's.
#
# The engine is the one of $DOCKER_HOST if that is set.  Else one of its own is started, with nothing in
# it: dockerd, or Podman's service if $ENGINE is "podman".  There is no registry; the one image that the
# tests need is made of programs of this machine and imported.
#
#     inner   network, internal   agent: a client without any other way out
#     outer   network             server: an OpenSSH server that nothing else leads to, with a repository
#                                 outsider: a client that is not the bottle's
#
# Everything has the label $engine_label, by which it is removed again.

engine_label=com.claude-bottle.test=${test_dir##*/}
image=localhost/ssh-gate-test:${test_dir##*.}
engine_log=$test_dir/engine.log
engine=${ENGINE:-dockerd}
engine_process=$test_dir/engine.process # its process id, which a check in a shell of its own may change

# ---- the engine ----

# The control groups of all that this engine starts; see cgroups(7).
cgroup_parent=${test_dir##*/}

# make_runtime NAME: $test_dir/runtime/NAME, which runs the machine's own.  A container's new network has then,
# before its sysctls are set, what engines' machines have: forwarding, and the loose filter of systemd's.  It
# would come from the first network namespace of this machine, whose settings are not a test's to change.
make_runtime() {
    local open=$test_dir/runtime/open
    mkdir -p "$test_dir/runtime"
    cat >"$open" <<END
#!/bin/sh
cd /proc/sys/net
echo 1 >ipv4/ip_forward
[ -e "$test_dir/runtime/without-ipv6" ] || echo 1 >ipv6/conf/all/forwarding
echo 2 | tee ipv4/conf/*/rp_filter >/dev/null
END
    # A hook of runc's, as it makes the network itself; it is told the process in it.
    cat >"$test_dir/runtime/hook" <<END
#!/bin/sh
exec nsenter --target "\$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')" --net "$open"
END
    cat >"$test_dir/runtime/$1" <<END
#!/bin/sh
bundle=.
previous=
for word; do
    case \$previous in --bundle | -b) bundle=\$word ;; esac
    case \$word in --bundle=*) bundle=\${word#--bundle=} ;; create) creates=true ;; esac
    previous=\$word
done
if [ -n "\${creates-}" ]; then
    config=\$bundle/config.json
    case \$(grep -o '"type":"network"[^}]*' "\$config") in
    *'"path":"/proc/'*) ;; # another container's
    *'"path":"'*) nsenter "--net=\$(sed -n 's/.*"type":"network","path":"\([^"]*\)".*/\1/p' "\$config")" "$open" ;;
    *)
        sed -i -e '/"hooks":{"prestart":\[/!s|^{|{"hooks":{"prestart":[]},|' \
            -e 's|"prestart":\[|&{"path":"$test_dir/runtime/hook"},|' -e 's|},\]|}]|' "\$config"
        ;;
    esac
fi
exec $(command -v "$1") "\$@"
END
    chmod 755 "$test_dir/runtime"/*
}

start_engine() {
    engine_socket=/run/engine.sock
    # With a hierarchy of each version mounted, engines take the wrong one.
    ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
    # In memory: engines wait for the disk at every step.  A restarted one finds its own again.
    if ! mountpoint -q "$test_dir/engine"; then
        mkdir "$test_dir/engine"
        mount -t tmpfs -o mode=711 tmpfs "$test_dir/engine"
        mkdir "$test_dir/engine/tmp"
    fi
    case $engine in
    dockerd)
        # Names that are not the engine's are asked of nobody.
        make_runtime runc
        dockerd --add-runtime "forwarding=$test_dir/runtime/runc" --default-runtime forwarding --data-root "$test_dir/engine" --exec-root /run/engine -p /run/engine.pid \
            -H "unix://$engine_socket" --cgroup-parent "/$cgroup_parent" --dns 127.0.0.1 \
            --userland-proxy=false --shutdown-timeout 5 >>"$engine_log" 2>&1 &
        ;;
    podman)
        mkdir -p /etc/containers
        printf '{"default": [{"type": "insecureAcceptAnything"}]}\n' >/etc/containers/policy.json
        printf '[[registry]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n' \
            >/etc/containers/registries.conf
        # An address for documentation (RFC 5737), to which nothing leads: without one, Podman takes its own.
        printf 'nameserver 192.0.2.53\n' >/etc/resolv.conf
        # The default is more than this machine may grant.
        printf '[containers]\ndefault_ulimits = ["nofile=%d:%d", "nproc=%d:%d"]\n' 1024 1024 4096 4096 \
            >/etc/containers/containers.conf
        make_runtime crun
        TMPDIR=$test_dir/engine/tmp podman --runtime "$test_dir/runtime/crun" --root "$test_dir/engine" --runroot /run/engine --cgroup-manager cgroupfs \
            system service --time 0 "unix://$engine_socket" >>"$engine_log" 2>&1 &
        ;;
    esac
    printf '%d\n' $! >"$engine_process"
    disown # bash would report how it ends
    export DOCKER_HOST=unix://$engine_socket
    wait_until docker version
}

# stop_engine SIGNAL
stop_engine() {
    local process
    [ -e "$engine_process" ] || return 0
    process=$(<"$engine_process")
    rm "$engine_process"
    ! kill -s "$1" "$process" 2>/dev/null || wait_until status_is 1 kill -0 "$process" || true
}

# A killed engine leaves its containerd and its containers.
kill_engine() {
    stop_engine KILL
    pkill -KILL -x containerd || true
    pkill -KILL -f '^/usr/bin/containerd-shim' || true
    rm -f /run/engine.pid
}

provide_engine() {
    if [ -n "${DOCKER_HOST-}" ]; then
        engine=given
        docker version >"$engine_log"
    elif [ "$EUID" -eq 0 ]; then
        start_engine
    elif [ -n "${CI-}" ]; then
        check 'the tests run as root, as CI must' [ "$EUID" -eq 0 ]
        exit 1
    else
        check 'skipped: run this as root, or set DOCKER_HOST' true
        exit 0
    fi
}

# list KIND: the tests' own.
list_own() {
    case $1 in
    container) docker ps --all --quiet --no-trunc --filter "label=$engine_label" ;;
    network) docker network ls --quiet --no-trunc --filter "label=$engine_label" ;;
    esac
}

clean_up() {
    local kind
    if [ "$failed" -gt 0 ] && [ -e "$engine_log" ]; then
        printf 'the engine said last:\n'
        grep -v level=info "$engine_log" | tail -n 30 || true
    fi
    if [ "$engine" = given ]; then
        list_own container | xargs -r docker rm --force --volumes >/dev/null
        list_own network | xargs -r docker network rm >/dev/null
        docker image rm "$image" >/dev/null || true
    fi
    [ ! -e "$engine_process" ] || docker ps --all --quiet | xargs -r docker rm --force >/dev/null || true
    stop_engine TERM
    # Whatever is still at work here, such as Podman's clean-up after a container.
    [ $$ -ne 1 ] || kill -KILL -1 2>/dev/null || true
    # What the engine left, such as the network namespaces of its containers.
    awk -v dir="$test_dir/" 'index($5, dir) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
        xargs -r umount --lazy
    for kind in /sys/fs/cgroup/*/"$cgroup_parent"; do
        [ ! -d "$kind" ] || find "$kind" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

# ---- the image ----

# add_programs ROOT PROGRAM...: with the libraries that each loads.
add_programs() {
    local root=$1 program library
    shift
    for program; do
        program=$(command -v "$program")
        mkdir -p "$root$(dirname "$program")"
        cp -L "$program" "$root$program"
        { ldd "$program" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } | while read -r library; do
            [ -e "$root$library" ] || {
                mkdir -p "$root$(dirname "$library")"
                cp -L "$library" "$root$library"
            }
        done
    done
}

import_image() {
    local root=$test_dir/image part
    mkdir -p "$root"/{bin,dev,etc,proc,root,run/sshd,sys,tmp,usr/lib/git-core,var/empty}
    add_programs "$root" /bin/busybox
    chroot "$root" /bin/busybox --install -s /bin
    install "$BUILD_DIR/tests/fixtures/frame" "$root/bin/frame"
    add_programs "$root" /usr/bin/bash /usr/bin/git /usr/bin/ssh /usr/bin/socat /usr/sbin/sshd
    # Programs that sshd executes, since OpenSSH 9.8 and 10.0.
    for part in /usr/lib/openssh/sshd-session /usr/lib/openssh/sshd-auth; do
        [ ! -e "$part" ] || add_programs "$root" "$part"
    done
    ln -s /usr/bin/git "$root/usr/lib/git-core/git"
    ln -s git "$root/usr/bin/git-upload-pack"
    ln -s git "$root/usr/bin/git-receive-pack"
    printf '%s\n' root:x:0:0::/root:/bin/sh sshd:x:74:74::/run/sshd:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: sshd:x:74: >"$root/etc/group"
    printf '%s\n' 'root:*:::::::' >"$root/etc/shadow"
    printf '%s\n' 'hosts: files dns' >"$root/etc/nsswitch.conf"
    tar -C "$root" --owner 0 --group 0 -c . | docker import - "$image" >/dev/null
    rm -rf "$root"
}

# provide_relay_image: a relay that is built with the sanitizers needs libraries, so it is no image of one
# file as the plugin would load it.  It gets one that has them, under the name that the plugin looks for.
provide_relay_image() {
    local relay=$BUILD_DIR/plugin/relay/ssh-gate-relay.stripped root=$test_dir/relay_image name
    is_sanitized || return 0
    name=$(sha256sum "$relay")
    install -D "$relay" "$root/ssh-gate-relay"
    add_programs "$root" "$root/ssh-gate-relay"
    rm -r "${root:?}$root"
    tar -C "$root" -c . | docker import - "localhost/claude-bottle-ssh-gate:${name%% *}" >/dev/null
    rm -r "$root"
}

remove_relay_image() {
    docker image ls --quiet localhost/claude-bottle-ssh-gate | xargs -r docker image rm
}

# ---- containers ----

# run_container NAME NETWORK [OPTION...]: one that only waits for what is executed in it.
run_container() {
    docker run --detach --name "$1" --network "$2" --label "$engine_label" "${@:3}" "$image" \
        sleep 100000 >/dev/null
}

# in_container NAME COMMAND...
in_container() {
    docker exec "$@"
}

make_network() {
    docker network create --label "$engine_label" "$@" >/dev/null
}

# start_server: an OpenSSH server, of root, with the repository /srv/repository.git.
start_server() {
    local dir=$test_dir/server
    mkdir -p "$dir/etc/ssh" "$dir/srv"
    ssh-keygen -q -t ed25519 -N '' -C server -f "$dir/etc/ssh/host_ed25519"
    cp "$test_dir/root/.ssh/id_ed25519.pub" "$dir/etc/ssh/authorized_keys"
    cat >"$dir/etc/ssh/sshd_config" <<'END'
Port 22
Port 30009
HostKey /etc/ssh/host_ed25519
AuthorizedKeysFile /etc/ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
PidFile none
END
    git init -q --bare -b main "$dir/srv/repository.git"
    git -C "$dir/srv/repository.git" fast-import --quiet <<'END'
commit refs/heads/main
committer server <server@bottle.example> 1700000000 +0000
data 5
First
M 644 inline name
data 7
server

END
    docker create --name server --network outer --network-alias gitea.example --label "$engine_label" \
        "$image" /usr/sbin/sshd -D -e >/dev/null
    docker cp "$dir/." server:/ >/dev/null
    docker start server >/dev/null
    host_key=$(cut -d ' ' -f 1,2 "$dir/etc/ssh/host_ed25519.pub")
}

# Before netavark 1.9 the bridge of a network of Podman's has the lowest of its ports' addresses, as bridges
# do that were not given one.  It changes as containers come and go; those that stay go on to send to the
# old one for up to half a minute, and get no answer from the DNS server.
keep_bridge_addresses() {
    local name address
    ip -brief link show type bridge | while read -r name _ address _; do
        ip link set dev "$name" address "$address"
    done
}

set_up_world() {
    [ -d "$test_dir/root" ] || new_home root
    import_image
    provide_relay_image
    make_network --internal inner
    make_network outer
    start_server
    # Names that nobody knows are looked up too; dockerd's DNS server takes its time for those.
    # It may use raw sockets, as Docker has it and Podman no longer.
    run_container agent inner --dns-opt timeout:1 --dns-opt attempts:1 --cap-add NET_RAW
    run_container outsider outer
    [ "$engine" != podman ] || keep_bridge_addresses
    in_container agent mkdir -m 700 /root/.ssh
    docker cp "$test_dir/root/.ssh/id_ed25519" agent:/root/.ssh/ >/dev/null
}

# address_of CONTAINER NETWORK
address_of() {
    docker inspect --format "{{.NetworkSettings.Networks.$2.IPAddress}}" "$1"
}

# in_network_of CONTAINER COMMAND...: on this machine, which the engine has to be of.
in_network_of() {
    local process
    process=$(docker inspect --format '{{.State.Pid}}' "$1")
    nsenter -t "$process" -n "${@:2}"
}

# ---- what a sidecar's container must not let through ----

# send_frame CONTAINER SOURCE DESTINATION TEXT: from the agent, for the container's hardware address.
send_frame() {
    local hardware
    hardware=$(docker inspect --format '{{.NetworkSettings.Networks.inner.MacAddress}}' "$1")
    in_container agent frame eth0 "$hardware" "$2" "$3" 5555 "$4"
}

# outsider_got TEXT: by UDP.
outsider_got() {
    in_container outsider grep "$1" /tmp/got
}

# stray_answers CONTAINER: what it dropped because its answer would go another way.
stray_answers() {
    # shellcheck disable=SC2016 # awk expands these
    in_network_of "$1" awk '/^TcpExt/ && !n { n = split($0, names) }
        /^TcpExt/ { for (i = 1; i <= n; i++) if (names[i] == "IPReversePathFilter") value = $i }
        END { print value }' /proc/self/net/netstat
}

more_stray_answers() {
    [ "$(stray_answers "$1")" -gt "$2" ]
}

# passes_no_frames CONTAINER PORT: of the agent's to the outsider, which nothing declares.  PORT is the one on
# which the agent can reach the container.
passes_no_frames() {
    local own outsider strays filter=/proc/sys/net/bridge/bridge-nf-call-iptables
    # Where the machine's firewall sees what a bridge passes, and Docker has rules there, some frames do not even
    # come to the container.
    [ ! -e "$filter" ] || echo 0 >"$filter"
    own=$(address_of agent inner)
    outsider=$(address_of outsider outer)
    docker exec --detach outsider socat -u UDP-RECV:5555 OPEN:/tmp/got,creat,append
    wait_until in_container outsider grep ':15B3 ' /proc/net/udp
    strays=$(stray_answers "$1")
    send_frame "$1" "$own" "$outsider" straight
    send_frame "$1" "$(address_of server outer)" "$outsider" as-the-server
    # To the container itself, where only an answer from the other network belongs.
    send_frame "$1" "$(address_of server outer)" "$(address_of "$1" outer)" answer
    # A connection that comes after them is taken, and what comes after that by the same way has arrived.
    in_container agent bash -c ": <>/dev/tcp/$(address_of "$1" inner)/$2"
    # shellcheck disable=SC2016 # the shell there expands it
    in_network_of "$1" bash -c 'printf "last\n" >"/dev/udp/$0/5555"' "$outsider"
    wait_until outsider_got last
    status_is 1 outsider_got 'straight\|as-the-server'
    wait_until more_stray_answers "$1" "$strays"
    # All this would show a frame that is passed.
    in_network_of "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    send_frame "$1" "$own" "$outsider" with-forwarding
    wait_until outsider_got with-forwarding
    in_network_of "$1" sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
    [ ! -e "$filter" ] || echo 1 >"$filter"
}

# is_shut CONTAINER: by what holds for each of its interfaces.
is_shut() {
    # shellcheck disable=SC2016 # the shell there expands these
    in_network_of "$1" bash -c '
        cd /proc/sys/net
        grep -H "" ipv4/ip_forward ipv6/conf/{all,default}/forwarding ipv4/conf/{all,default,eth0,eth1}/forwarding \
            ipv4/conf/{all,eth0,eth1}/rp_filter {ipv4,ipv6}/conf/all/accept_source_route \
            ipv6/conf/{eth0,eth1}/{accept_ra,accept_redirects}' >"$test_dir/settings"
    cat "$test_dir/settings"
    [ "$(wc -l <"$test_dir/settings")" -eq 16 ]
    status_is 1 grep -v -e 'rp_filter:1$' -e ':0$' "$test_dir/settings"
    status_is 1 grep 'rp_filter:0$' "$test_dir/settings"
}

# Podman before 5.1 cannot; "no" is what the agent has already.
changes_restart_policies() {
    docker update --restart no agent
}

# ---- the launcher ----

# gate_host ARGUMENT...: sample-host, with this engine.
gate_host() {
    as root env DOCKER_HOST="$DOCKER_HOST" "$test_dir/build/sample-host/sample-host" "$@"
}

# gate_up BOTTLE [OPTION...]
gate_up() {
    gate_host up "$1" --backend docker --internal-network inner --egress-network outer "${@:2}"
}

# gate_tool OPERATION TARGET...: the plugin, without sample-host.
gate_tool() {
    as root env DOCKER_HOST="$DOCKER_HOST" VERBOSE=1 "$test_dir/build/gate_tool" \
        "$test_dir/build/plugin/ssh_gate.so" "$@"
}

# gate_tool_start SLUG [OPTIONS [TAKEOVER]]
gate_tool_start() {
    as root mkdir -p "stage-$1"
    gate_tool start '{"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009}]}' "$1" \
        "$test_dir/root/stage-$1" inner outer docker "${2-{\}}" "${@:3}"
}

# What the gate's backend and sample-host leave in the engine, image aside.
gates_left() {
    docker ps --all --quiet --filter label=com.claude-bottle.slug
    docker network ls --quiet --filter label=com.claude-bottle.slug
    docker volume ls --quiet
    ls -A "$test_dir/root/runtime/sample-host" 2>/dev/null || true
}

nothing_is_left() {
    local left
    left=$(gates_left)
    [ -z "$left" ] || {
        printf 'left: %s\n' "$left"
        docker ps --all
        return 1
    }
}

install_build
install -D "$BUILD_DIR/tests/gate_tool" "$test_dir/build/gate_tool"
