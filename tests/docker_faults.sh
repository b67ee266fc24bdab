#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docker_faults.sh: the backend `docker` when something goes wrong: the engine, its networks, the container,
# other launchers; and that whatever happens, nothing is left.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
# shellcheck source=tests/lib_engine.sh
source "$(dirname "$0")/lib_engine.sh"

# The engine's real socket, while DOCKER_HOST may name another.
real_engine() {
    env DOCKER_HOST="$real_docker_host" "$@"
}

# ---- no engine ----

without_engine() {
    local host=$1
    shift
    as root env DOCKER_HOST="$host" "$@" "$test_dir/build/sample-host/sample-host" up web --backend docker
}

is_absent() {
    fails_with 'engine unix:///run/none.sock: No such file' without_engine unix:///run/none.sock
    fails_with "start the engine, or set DOCKER_HOST" without_engine tcp://127.0.0.1:9
    [ -z "$(ls -A "$test_dir/root/runtime/sample-host")" ]
}

refuses_the_user() {
    local socket=$test_dir/closed.sock listener
    socat "UNIX-LISTEN:$socket,mode=600,fork" PIPE &
    listener=$!
    wait_until test -S "$socket"
    fails_with 'Permission denied' as bottle env DOCKER_HOST="unix://$socket" \
        "$test_dir/build/sample-host/sample-host" up web --backend docker
    kill "$listener"
}

refuses_addresses() {
    local address
    for address in ssh://host unix://relative http://127.0.0.1 tcp:// 'tcp://a b' nonsense 'tcp://host:x'; do
        fails_with "DOCKER_HOST is \"$address\"; it takes unix:///PATH or tcp://HOST:PORT" \
            without_engine "$address"
    done
    fails_with 'speaks no TLS' without_engine tcp://127.0.0.1:9 DOCKER_TLS_VERIFY=1
}

# An engine that accepts, and never answers.
is_patient_for_a_time() {
    local socket=$test_dir/mute.sock listener begin=$SECONDS
    socat "UNIX-LISTEN:$socket,mode=666,fork" 'SYSTEM:sleep 1000' &
    listener=$!
    wait_until test -S "$socket"
    fails_with 'GET /_ping' gate_tool_at "unix://$socket" start "$bottle" mute "$test_dir/root/stage-mute" \
        inner outer docker '{"engine_timeout_ms": 700}'
    [ $((SECONDS - begin)) -lt 20 ]
    fails_with 'timeout' gate_tool_at "unix://$socket" start "$bottle" mute "$test_dir/root/stage-mute" \
        inner outer docker '{"engine_timeout_ms": 700}'
    kill "$listener"
}

# refuses_answer MESSAGE HEAD BODY: start says MESSAGE where every request is answered so.
refuses_answer() {
    local socket=$test_dir/answer.sock listener
    printf 'HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%s' "$2" "${#3}" "$3" >"$test_dir/answer"
    socat "UNIX-LISTEN:$socket,mode=666,fork" "SYSTEM:cat $test_dir/answer; cat >/dev/null" &
    listener=$!
    wait_until test -S "$socket"
    fails_with "$1" without_engine "unix://$socket"
    kill "$listener"
    rm -f "$socket"
}

is_no_engine() {
    refuses_answer 'is no Docker engine' '200 OK' '{}'
}

# An engine that only speaks what came before our API.
is_of_another_time() {
    refuses_answer 'speaks the API up to 1.40, and 1.41 is needed' '200 OK\r\nApi-Version: 1.40' OK
}

# One that no longer speaks ours says so itself.
is_newer_than_all() {
    refuses_answer 'is too old. Minimum supported API version is 1.90' \
        '400 Bad Request\r\nApi-Version: 1.99' \
        '{"message": "client version 1.44 is too old. Minimum supported API version is 1.90"}'
}

# Over TCP, as DOCKER_HOST may have it.
works_over_tcp() {
    local listener
    socat TCP-LISTEN:2375,bind=127.0.0.1,fork,reuseaddr "UNIX-CONNECT:${real_docker_host#unix://}" &
    listener=$!
    wait_until listens 127.0.0.1:2375
    gate_tool_at tcp://127.0.0.1 start "$bottle" tcp "$test_dir/root/stage-tcp" inner outer docker '{}'
    gate_tool_at tcp://127.0.0.1:2375 status docker:tcp
    gate_tool_at tcp://127.0.0.1:2375 stop docker:tcp
    kill "$listener"
    nothing_is_left
}

# An engine for which the relay is of the wrong kind.
is_of_another_architecture() {
    local socket=$test_dir/arch.sock listener
    {
        /usr/bin/python3 - "$socket" "${real_docker_host#unix://}" <<'END' &
import re, socket, sys, threading
def serve(client):
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(sys.argv[2])
    def back():
        while data := engine.recv(65536):
            client.sendall(re.sub(rb'"Architecture":"(\w+)"',
                                  lambda found: b'"Architecture":"%s"' % (b"z" * len(found[1])), data))
    threading.Thread(target=back, daemon=True).start()
    while data := client.recv(65536):
        engine.sendall(data)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(8)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
    }
    listener=$!
    wait_until test -S "$socket"
    remove_relay_image
    fails_with 'runs on "zzz' gate_tool_at "unix://$socket" start \
        "$bottle" arch "$test_dir/root/stage-arch" inner outer docker '{}'
    kill "$listener"
    provide_relay_image
    nothing_is_left
}

# never_removes STATE COMMAND...: with an engine of one gate, which it says that it has removed, and goes on to list.
# It bears 200 requests.
never_removes() {
    local socket=$test_dir/eternal.sock engine
    {
        /usr/bin/python3 - "$socket" "$1" <<'END' &
import http.server, itertools, json, os, socketserver, sys
requests = itertools.count(1)
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
class Engine(http.server.BaseHTTPRequestHandler):
    container = {"Id": "a" * 64, "HostConfig": {}, "State": {"Running": sys.argv[2] == "running", "Status": sys.argv[2]},
                 "Config": {"Labels": {"com.claude-bottle.sidecar": "ssh_gate", "com.claude-bottle.slug": "web"}}}
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if next(requests) > 200:
            os._exit(1)
        body = json.dumps([self.container] if "/containers/json" in self.path else self.container).encode()
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = do_DELETE = answer
    def log_message(self, *_):
        pass
Server(sys.argv[1], Engine).serve_forever()
END
    }
    engine=$!
    wait_until test -S "$socket"
    DOCKER_HOST=unix://$socket "${@:2}"
    kill "$engine" || return 1
    rm -f "$socket"
}

lists_what_it_removed() {
    never_removes running fails_with 'but goes on to list them' stop_gate web
}

says_what_no_engine_says() {
    never_removes $'\e[31mlong'"$(printf '%0500d' 0)" fails_with \
        'its container is \x1b[31mlong0000' gate_tool status docker:web
    never_removes "$(printf '%05000d' 0)" fails_with 'stop removes it' gate_tool status docker:web
}

# ---- the plugin alone ----

bottle='{"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009}]}'

# gate_tool_at DOCKER_HOST ARGUMENT...
gate_tool_at() {
    as root env DOCKER_HOST="$1" "$test_dir/build/gate_tool" "$test_dir/build/plugin/ssh_gate.so" "${@:2}"
}

# start_gate SLUG [OPTIONS]
start_gate() {
    as root mkdir -p "stage-$1"
    gate_tool_at "$DOCKER_HOST" start "$bottle" "$1" "$test_dir/root/stage-$1" inner outer docker "${2:-{\}}"
}

stop_gate() {
    gate_tool_at "$DOCKER_HOST" stop "docker:$1"
}

# ---- an engine on which one request goes wrong ----

# through_proxy PATTERN ACTION [COMMAND] -- COMMAND...
through_proxy() {
    local socket proxy status=0
    local -a fault=()
    socket=$test_dir/proxy.$RANDOM.sock
    while [ "$1" != -- ]; do
        fault+=("$1")
        shift
    done
    shift
    env DOCKER_HOST="$real_docker_host" /usr/bin/python3 "$SOURCE_DIR/tests/fixtures/engine_proxy.py" \
        "$socket" "${real_docker_host#unix://}" "${fault[@]}" &
    proxy=$!
    wait_until test -S "$socket"
    DOCKER_HOST=unix://$socket "$@" || status=$?
    kill "$proxy"
    wait "$proxy" || true
    return "$status"
}

survives_a_cut_image() {
    remove_relay_image
    fails_with 'images/load' through_proxy 'POST .*/images/load' cut -- start_gate cut
    [ -z "$(docker image ls --quiet localhost/claude-bottle-ssh-gate)" ]
    nothing_is_left
    fails_with 'images/load' through_proxy 'POST .*/images/load' hang -- \
        start_gate cut '{"engine_timeout_ms": 6000}'
    nothing_is_left
    provide_relay_image
    start_gate cut
    stop_gate cut
    nothing_is_left
    [ "$(docker image ls --quiet localhost/claude-bottle-ssh-gate | wc -l)" -eq 1 ]
}

# Each kind of request of a start breaks off, is answered to nobody, or hangs: start tries again and
# succeeds, or says which it was.
survives_requests_that_fail() {
    local pattern action
    for pattern in 'GET .*/networks/inner' 'GET .*/images/' 'POST .*/containers/create' \
        'POST .*/networks/.*/connect' 'POST .*/containers/[0-9a-f]*/start' 'GET .*/logs'; do
        for action in cut lose hang; do
            if through_proxy "$pattern" "$action" -- start_gate "fault-$action" \
                '{"engine_timeout_ms": 3000, "start_timeout_ms": 3000}' >"$test_dir/said" 2>&1; then
                stop_gate "fault-$action"
            else
                grep -E 'engine unix://|was not ready within' "$test_dir/said"
            fi
            nothing_is_left
        done
    done
}

survives_a_network_that_goes() {
    make_network going
    fails_with going through_proxy 'POST .*/networks/.*/connect' before 'docker network rm going' -- \
        gate_tool_at_proxy_network going
    nothing_is_left
}

gate_tool_at_proxy_network() {
    as root mkdir -p stage-going
    gate_tool_at "$DOCKER_HOST" start "$bottle" going "$test_dir/root/stage-going" inner "$1" docker '{}'
}

# At every step up to the word that it is ready.
survives_a_container_that_goes() {
    fails_with 'start again' through_proxy 'POST .*/networks/.*/connect' before \
        'docker rm --force claude-bottle-ssh-gate-gone' -- start_gate gone
    nothing_is_left
    fails_with 'start again' through_proxy 'PUT .*/archive' before \
        'docker rm --force claude-bottle-ssh-gate-gone' -- start_gate gone "{\"image\": \"$image\"}"
    nothing_is_left
    fails_with 'start again' through_proxy 'POST .*/containers/[0-9a-f]*/start' before \
        'docker rm --force claude-bottle-ssh-gate-gone' -- start_gate gone
    nothing_is_left
    fails_with 'claude-bottle-ssh-gate-gone' through_proxy 'GET .*/logs' before \
        'docker rm --force claude-bottle-ssh-gate-gone' -- start_gate gone
    nothing_is_left
}

# The engine removes what has ended together with its log; a launcher that looks late still learns why.
says_why_to_who_looks_late() {
    local process listener
    start_gate late
    process=$(docker inspect --format '{{.State.Pid}}' claude-bottle-ssh-gate-late)
    nsenter -t "$process" -n nc -l -p 30011 </dev/null &
    listener=$!
    wait_until sh -c "nsenter -t $process -n ss -Hltn 'sport = 30011' | grep ."
    fails_with 'is taken: stop what listens there' \
        through_proxy 'GET .*/logs' before 'sleep 3' -- take_over_late
    kill "$listener"
    gate_tool_at "$DOCKER_HOST" status docker:late | grep -F '"state":"serving"'
    stop_gate late
    nothing_is_left
}

take_over_late() {
    gate_tool_at "$DOCKER_HOST" start '{"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009},
        {"Host": "other", "Hostname": "gitea.example", "Port": 30011}]}' late "$test_dir/root/stage-late" \
        inner outer docker '{}' docker:late
}

# What nobody accepts in start_timeout_ms is removed again.
ends_what_is_never_ready() {
    as root mkdir -p stage-never
    fails_with 'ended before every port listened' gate_tool_at "$DOCKER_HOST" start "$bottle" never \
        "$test_dir/root/stage-never" inner outer docker "{\"image\": \"$image-without-socat\"}"
    nothing_is_left
}

# Between the look whether it runs and the question whether it listens.
ends_what_ends_meanwhile() {
    fails_with 'ended before every port listened' through_proxy 'POST .*/containers/[0-9a-f]*/exec' before \
        'docker kill claude-bottle-ssh-gate-ending' -- \
        start_gate ending "{\"image\": \"$image\"}"
    nothing_is_left
}

# ---- a container that could forward ----

start='POST .*/containers/[0-9a-f]*/start'

# A kernel without IPv6 has no settings of it, and forwards none of it.
does_without_ipv6() {
    : >"$test_dir/runtime/without-ipv6"
    through_proxy "$start" refuse 'open /proc/sys/net/ipv6/conf/all/forwarding: no such file or directory' -- \
        start_gate four
    # Podman's service does not tell them.
    docker inspect --format '{{json .HostConfig.Sysctls}}' claude-bottle-ssh-gate-four >"$test_dir/sysctls"
    cat "$test_dir/sysctls"
    status_is 1 grep ipv6 "$test_dir/sysctls"
    in_network_of claude-bottle-ssh-gate-four grep -x 0 /proc/sys/net/ipv4/ip_forward
    rm "$test_dir/runtime/without-ipv6"
    stop_gate four
    nothing_is_left
}

wants_its_settings() {
    fails_with 'so it is not started' through_proxy "$start" refuse \
        'write sysctl key net.ipv4.ip_forward: open /proc/sys/net/ipv4/ip_forward: permission denied' -- \
        start_gate open
    nothing_is_left
}

# Of an engine that leaves the settings out.  The relay looks when it starts (docker_swaps.sh).
sees_that_it_forwards() {
    fails_with 'forwards packets' through_proxy 'POST .*/containers/[0-9a-f]*/exec' before \
        "nsenter -t \$(env DOCKER_HOST=$real_docker_host docker inspect --format '{{.State.Pid}}' \
        claude-bottle-ssh-gate-open) -n sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'" -- \
        start_gate open "{\"image\": \"$image\"}"
    nothing_is_left
}

# ---- a gate that goes ----

is_killed() {
    start_gate killed
    docker kill claude-bottle-ssh-gate-killed
    wait_until gone killed
    fails_with 'not found' gate_tool_at "$DOCKER_HOST" status docker:killed
    stop_gate killed
    start_gate killed
    stop_gate killed
    nothing_is_left
}

gone() {
    [ -z "$(docker ps --all --quiet --filter "name=^/?claude-bottle-ssh-gate-$1\$")" ]
}

is_removed_by_hand() {
    start_gate removed
    docker rm --force claude-bottle-ssh-gate-removed
    stop_gate removed
    nothing_is_left
}

stop_wants_an_engine() {
    start_gate kept
    fails_with 'start the engine, or set DOCKER_HOST' gate_tool_at unix:///run/none.sock stop docker:kept
    gate_tool_at "$DOCKER_HOST" status docker:kept
    stop_gate kept
    nothing_is_left
}

# ---- the engine is killed ----

# In the middle of a start, and with a gate that runs; what is left is cleared when it is back.
survives_its_engine() {
    gate_host up web --backend docker
    fails_with 'engine unix://' through_proxy 'POST .*/containers/[0-9a-f]*/start' before \
        "kill -KILL $(<"$engine_process")" -- start_gate crashed
    kill_engine
    fails_with 'start the engine, or set DOCKER_HOST' gate_host down web
    start_engine
    gate_host status web || true
    gate_host down web
    start_gate crashed
    stop_gate crashed
    gate_host down --orphans
    nothing_is_left
}

# ---- many ----

one_wins() {
    local i won=0
    local -a started=()
    for i in 1 2 3 4; do
        start_gate race >"$test_dir/race.$i" 2>&1 &
        started+=($!)
    done
    for i in "${started[@]}"; do
        ! wait "$i" || won=$((won + 1))
    done
    cat "$test_dir"/race.*
    [ "$(cat "$test_dir"/race.* | grep -c '^conflict: ')" -eq 3 ]
    [ "$won" -eq 1 ]
    gate_tool_at "$DOCKER_HOST" status docker:race
    stop_gate race
    nothing_is_left
}

twenty_at_once() {
    local i
    local -a started=()
    remove_relay_image
    provide_relay_image
    for i in {1..20}; do
        start_gate "many-$i" '{"engine_timeout_ms": 120000, "start_timeout_ms": 120000}' &
        started+=($!)
    done
    for i in "${started[@]}"; do
        wait "$i"
    done
    started=()
    for i in {1..20}; do
        gate_tool_at "$DOCKER_HOST" status "docker:many-$i" >/dev/null
        stop_gate "many-$i" &
        started+=($!)
    done
    for i in "${started[@]}"; do
        wait "$i"
    done
    nothing_is_left
    [ "$(docker image ls --quiet localhost/claude-bottle-ssh-gate | wc -l)" -eq 1 ]
}

# In two lanes, because engines wait as well.
leaves_nothing_after() {
    local rounds=$1 images lane
    local -a lanes=()
    images=$(docker image ls --all --quiet | sort)
    for lane in left right; do
        {
            for _ in $(seq $((rounds / 2))); do
                start_gate "$lane" >/dev/null
                stop_gate "$lane"
            done
        } &
        lanes+=($!)
    done
    for lane in "${lanes[@]}"; do
        wait "$lane"
    done
    nothing_is_left
    [ "$(docker image ls --all --quiet | sort)" = "$images" ]
    [ "$(docker network ls --quiet | wc -l)" -eq "$networks" ]
}

# ---- all of it ----

provide_engine
set_up_world
new_home bottle
real_docker_host=$DOCKER_HOST
as root mkdir stage-mute stage-tcp stage-arch
for user in root bottle; do
    write_manifest "$user" web "$(entry gitea gitea.example 30009 root "$host_key")"
done
docker export agent | tar --delete usr/bin/socat | docker import - "$image-without-socat" >/dev/null
networks=$(docker network ls --quiet | wc -l)

check 'an engine that is not there' is_absent
check 'a socket that the user may not open' refuses_the_user
check 'a DOCKER_HOST that is wrong' refuses_addresses
check 'an engine that accepts and never answers' is_patient_for_a_time
check 'something else that answers' is_no_engine
check 'an engine that is too old' is_of_another_time
check 'an engine that is too new' is_newer_than_all
check 'an engine that removes nothing' lists_what_it_removed
check 'an engine that says what none would' says_what_no_engine_says
check 'an engine over TCP' works_over_tcp
check 'an engine of another architecture' is_of_another_architecture
check 'an image that is cut off on its way' survives_a_cut_image
check 'any request of a start that fails' survives_requests_that_fail
check 'a network that is removed meanwhile' survives_a_network_that_goes
check 'a container that is removed meanwhile' survives_a_container_that_goes
check 'a relay that cannot start, and whose log is read late' says_why_to_who_looks_late
check 'a script that ends at once' ends_what_is_never_ready
check 'a script that ends meanwhile' ends_what_ends_meanwhile
[ "$engine" = given ] || check 'a kernel without IPv6' does_without_ipv6
check 'settings that the engine refuses' wants_its_settings
[ "$engine" = given ] || check 'a script where the kernel forwards' sees_that_it_forwards
check 'a container that is killed' is_killed
check 'a container that is removed by hand' is_removed_by_hand
check 'stop without an engine is an error' stop_wants_an_engine
check 'of four launchers that start one slug at once, one wins' one_wins
is_sanitized || check 'twenty gates at once' twenty_at_once
rounds=100
[ "$engine" != podman ] && ! is_sanitized || rounds=4
check "$rounds rounds leave nothing" leaves_nothing_after "$rounds"
[ "$engine" = given ] || check 'an engine that is killed' survives_its_engine
check 'nothing is left' nothing_is_left
