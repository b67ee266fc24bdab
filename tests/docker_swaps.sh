#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docker_swaps.sh: gates in containers that take over from each other, and from gates of the backend
# native and back; podman_swaps.sh runs the same with Podman.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
# shellcheck source=tests/lib_engine.sh
source "$(dirname "$0")/lib_engine.sh"

load=$BUILD_DIR/tests/swap_load
port=2200
unlimited='{"max_dials_per_second": 1000000, "max_dials_per_second_per_upstream": 1000000}'
bottle='{"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009}]}'
swaps=10
stage=$test_dir/root/runtime/sample-host/web/ssh_gate

target() {
    gate_tool status docker:web 2>/dev/null | sed -n 's/.*"target":"\([^"]*\)".*/\1/p'
}

# gates: the names of the containers of gates.
gates() {
    docker ps --all --format '{{.Names}}' --filter label=com.claude-bottle.slug=web
}

gates_are() {
    [ "$(gates | wc -l)" -eq "$1" ]
}

state_is() {
    gate_tool status "$1" | grep -F "\"state\":\"$2\""
}

# use_stage DIR: what the agent reads.  What docker cp has put there is not always what the agent finds at once, as
# with Podman on a busy machine.
use_stage() {
    mkdir -p "$test_dir/agent"
    cp "$1/known_hosts" "$test_dir/agent/known_hosts"
    printf 'StrictHostKeyChecking no\nLogLevel ERROR\n' | cat - "$1/ssh_config" >"$test_dir/agent/config"
    docker cp "$test_dir/agent/." agent:/root/.ssh/
    wait_until agent_has config
    wait_until agent_has known_hosts
}

agent_has() {
    docker exec agent cat "/root/.ssh/$1" | cmp -s - "$test_dir/agent/$1"
}

in_agent() {
    in_container agent ssh gitea "$@"
}

# A session of the agent's.
stay() {
    open_session docker exec -i agent ssh gitea cat
}

take_over() {
    gate_tool_start web "${1-{\}}" "${2-docker:web}"
}

# ---- container to container ----

takes_over() {
    local first second
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    first=$(target)
    stay
    take_over
    second=$(target)
    [ "$first" != "$second" ]
    says 'after one takeover'
    state_is "$first" draining
    state_is "$second" serving
    [ "$(in_agent echo new)" = new ]
    take_over '{}' "$second"
    [ "$(in_agent echo newer)" = newer ]
    says 'after two'
    # The second had no connections, and is gone; the first stays also when its session has ended.
    wait_until gates_are 2
    close_session
    state_is "$first" draining
    gate_tool status "$first" | grep -F '"connections_now":0'
    [ "$(in_agent echo newest)" = newest ]
    gate_tool stop "$(target)"
    nothing_is_left
}

# It ends because nobody uses its network, not because it was told to.
leaves_with_the_last() {
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    take_over
    docker kill "$(gates | grep -- '-web-')"
    wait_until gates_are 0
    nothing_is_left
}

# What others need for its network is not removed, only its connections end.
stops_one_of_several() {
    local first
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    first=$(target)
    stay
    take_over
    gate_tool stop "$first"
    session_is_cut
    [ "$(in_agent echo new)" = new ]
    gate_tool stop "$first"
    [ "$(in_agent echo new)" = new ]
    gate_tool stop docker:web
    gates_are 0
    nothing_is_left
}

cuts_after_the_grace() {
    local first
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    first=$(target)
    stay
    take_over
    gate_tool drain "$first" 0
    session_is_cut
    [ "$(in_agent echo new)" = new ]
    gate_tool drain docker:web -1
    wait_until gates_are 0
}

start_upstream() {
    local process
    process=$(docker inspect --format '{{.State.Pid}}' server)
    nsenter -t "$process" -n "$load" serve 0.0.0.0 "$port" >"$test_dir/upstream" &
    upstream=$!
    wait_until grep listens "$test_dir/upstream"
}

start_load() {
    local process address
    process=$(docker inspect --format '{{.State.Pid}}' agent)
    address=$(docker inspect --format '{{.NetworkSettings.Networks.inner.IPAddress}}' claude-bottle-ssh-gate-load)
    coproc nsenter -t "$process" -n "$load" use "$address" "$port" "$swaps"
    # shellcheck disable=SC2034 # bash keeps them only as long as the process runs
    { from_load=${COPROC[0]} to_load=${COPROC[1]}; }
    await_load ready
}

await_load() {
    local said
    read -r -t 120 said <&"$from_load"
    [ "$said" = "$1" ] || {
        printf 'the load says: %s\n' "$said"
        return 1
    }
}

start_for_load() {
    as root mkdir -p stage-load
    gate_tool start '{"ssh": [{"Host": "gitea.example", "Port": '"$port"'}]}' load \
        "$test_dir/root/stage-load" inner outer docker "$unlimited" "$@"
}

survives_load() {
    local i counted upstream
    start_upstream
    start_for_load
    start_load
    for ((i = 0; i < swaps; i++)); do
        start_for_load docker:load
        printf 'swapped\n' >&"$to_load"
        await_load used
    done
    exec {to_load}>&-
    read -r -t 120 counted <&"$from_load"
    printf '%s\n' "$counted" >"$test_dir/counted"
    kill "$upstream"
    gate_tool stop docker:load
    [[ $counted == 'refused 0, reset 0, wrong 0, silent 0, sessions whole 50 of 50; '* ]] || {
        printf '%s\n' "$counted"
        return 1
    }
    nothing_is_left
}

# ---- what cannot be ----

# goes_on TEXT COMMAND...: the command fails with the text, and the gate serves as before.
goes_on() {
    local before
    before=$(target)
    cp "$test_dir/root/stage-web/ssh_config" "$test_dir/before"
    fails_with "$@"
    [ "$(target)" = "$before" ]
    [ "$(in_agent echo still)" = still ]
    cmp "$test_dir/before" "$test_dir/root/stage-web/ssh_config"
    gates_are 1
}

take_over_elsewhere() {
    gate_tool start "$bottle" web "$test_dir/root/stage-web" "$1" "$2" docker '{}' docker:web
}

take_over_port() {
    gate_tool start '{"ssh": [{"Host": "gitea", "Hostname": "gitea.example", "Port": 30009},
        {"Host": "other", "Hostname": "gitea.example", "Port": '"$1"'}]}' web \
        "$test_dir/root/stage-web" inner outer docker '{}' docker:web
}

leaves_the_old_one() {
    local process listener
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    goes_on 'restart is "always", and a gate that takes over' take_over '{"restart": "always"}'
    goes_on 'the script of an image' take_over "{\"image\": \"$image\"}"
    goes_on 'is on other networks than "inner2" and "outer"' take_over_elsewhere inner2 outer
    goes_on 'start the engine' take_over_without_engine
    goes_on 'not found' take_over '{}' docker:web:0123456789abcdef
    # A port that something else in the network of the container has.
    process=$(docker inspect --format '{{.State.Pid}}' claude-bottle-ssh-gate-web)
    nsenter -t "$process" -n nc -l -p 30011 </dev/null &
    listener=$!
    wait_until sh -c "nsenter -t $process -n ss -Hltn 'sport = 30011' | grep ."
    goes_on 'is taken: stop what listens there' take_over_port 30011
    kill "$listener"
    # As an earlier version left the container's network, which what takes over has too.
    in_network_of claude-bottle-ssh-gate-web sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    goes_on 'ip_forward is not 0 in this container' take_over
    gate_tool drain docker:web 600000 || true
    wait_until gates_are 0
    fails_with 'not found' take_over
    nothing_is_left
}

take_over_without_engine() {
    DOCKER_HOST=unix:///run/none.sock take_over
}

refuses_one_that_drains() {
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    stay
    gate_tool drain docker:web 600000
    fails_with 'drains already' take_over
    says 'it drains on'
    close_session
    wait_until gates_are 0
    nothing_is_left
}

# The old one loses its policy; an engine that cannot change it says so before anything has happened.
drops_the_restart_policy() {
    gate_tool_start web '{"restart": "always"}'
    use_stage "$test_dir/root/stage-web"
    if changes_restart_policies; then
        take_over
        [ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' claude-bottle-ssh-gate-web)" = no ]
        [ "$(in_agent echo new)" = new ]
    else
        goes_on 'cannot change the restart policy' take_over
    fi
    gate_tool stop docker:web
    nothing_is_left
}

# Killed at any moment, a launcher leaves one gate that serves, and nothing that stop does not find.
survives_killed_launchers() {
    local i killed=0
    gate_tool_start web
    use_stage "$test_dir/root/stage-web"
    for ((i = 0; i < 10; i++)); do
        as root timeout -s KILL "$((RANDOM % 2)).$((RANDOM % 10))" env DOCKER_HOST="$DOCKER_HOST" \
            "$test_dir/build/gate_tool" "$test_dir/build/plugin/ssh_gate.so" start "$bottle" web \
            "$test_dir/root/stage-web" inner outer docker '{}' docker:web || killed=$((killed + 1))
        wait_until state_is docker:web serving
        [ "$(in_agent echo serving)" = serving ]
    done
    printf '%d of %d launchers were killed before they ended\n' "$killed" "$i" >&5
    gate_tool stop docker:web
    gates_are 0
    nothing_is_left
}

# ---- to another backend and back ----

gateway() {
    docker network inspect --format '{{range .IPAM.Config}}{{.Gateway}}{{end}}' inner
}

write_bottle() {
    local entries server
    server=$(docker inspect --format '{{.NetworkSettings.Networks.outer.IPAddress}}' server)
    entries=$(entry gitea "$server" 30009 root "$host_key")
    as root tee claude-bottle.json >/dev/null <<END
{"bottles": {"web": {"ssh": [$entries]}}, "agents": {}}
END
}

swap_to() {
    case $1 in
    native) gate_host swap web --backend native --internal-network "$(gateway)" --egress-network host ;;
    docker) gate_host swap web --backend docker --internal-network inner --egress-network outer ;;
    esac
}

leads_to() {
    grep -Fx "    HostName $1" "$stage/ssh_config"
}

states() {
    gate_host status web | awk 'NR > 1 && $3 == "ssh_gate" { print $4, $5 }' | sort | paste -s -d ,
}

states_are() {
    [ "$(states)" = "$1" ]
}

changes_backends() {
    gate_up web
    use_stage "$stage"
    stay
    swap_to native >"$test_dir/swapped"
    cat "$test_dir/swapped"
    grep -E '^ssh_gate swapped: native:web:[0-9a-f]+ took over from docker:web:[0-9a-f]+$' "$test_dir/swapped"
    grep -Fx "ssh_gate address: $(gateway)" "$test_dir/swapped"
    leads_to "$(gateway)"
    states_are 'docker draining,native serving'
    says 'in the container that drains'
    status_is 255 in_agent true # by the old address
    use_stage "$stage"
    [ "$(in_agent echo new)" = new ]
    close_session
    wait_until states_are 'native serving'
    wait_until gates_are 0 # one that has ended is no longer in the list of status, but Podman still removes it

    stay
    swap_to docker >"$test_dir/swapped"
    grep -Fx 'ssh_gate address: claude-bottle-ssh-gate-web' "$test_dir/swapped"
    leads_to claude-bottle-ssh-gate-web
    states_are 'docker serving,native draining'
    says 'in the process that drains'
    use_stage "$stage"
    [ "$(in_agent echo new)" = new ]
    close_session
    wait_until states_are 'docker serving'
    gate_host down web
    nothing_is_left
}

# While all the earlier ones still drain.
goes_to_and_fro() {
    gate_up web
    use_stage "$stage"
    stay
    swap_to native
    swap_to docker
    use_stage "$stage"
    [ "$(in_agent echo new)" = new ]
    swap_to native
    swap_to docker
    says 'in the first of all'
    use_stage "$stage"
    [ "$(in_agent echo new)" = new ]
    gate_host down web
    session_is_cut
    gates_are 0
    nothing_is_left
}

# Podman goes on to answer for a container's name with its address as long as it runs.
keeps_the_name() {
    gate_up web
    use_stage "$stage"
    stay
    swap_to native
    fails_with 'runs ssh_gate already' swap_to docker
    states_are 'docker draining,native serving'
    close_session
    wait_until gates_are 0
    swap_to docker
    gate_host down web
    nothing_is_left
}

stays_where_it_is() {
    local before
    gate_host up web --internal-network "$(gateway)"
    use_stage "$stage"
    before=$(gate_host status web)
    fails_with 'start the engine' swap_without_engine
    fails_with 'has no network "nowhere"' gate_host swap web --backend docker --internal-network nowhere --egress-network outer
    leads_to "$(gateway)"
    [ "$(in_agent echo still)" = still ]
    [ "$(states)" = 'native serving' ]
    gate_host down web
    gate_up web --options "ssh_gate={\"image\": \"$image\"}"
    use_stage "$stage"
    fails_with 'cannot drain' swap_to native
    leads_to claude-bottle-ssh-gate-web
    [ "$(in_agent echo still)" = still ]
    states_are 'docker serving'
    [ -z "$(ss -Hltn "src $(gateway)" "sport = 30009")" ]
    gate_host down web
    nothing_is_left
}

swap_without_engine() {
    DOCKER_HOST=unix:///run/none.sock swap_to docker
}

# The networks that the swap made go with it, or with the bottle.
makes_and_removes_networks() {
    gate_host up web --internal-network "$(gateway)"
    fails_with 'restart' gate_host swap web --backend docker --options 'ssh_gate={"restart": "sometimes"}'
    nothing_but_the_state
    gate_host swap web --backend docker
    docker network inspect claude-bottle-net-web >/dev/null
    gate_host swap web --backend native --internal-network "$(gateway)"
    gate_host down web
    nothing_is_left
}

nothing_but_the_state() {
    [ -z "$(docker network ls --quiet --filter label=com.claude-bottle.slug)" ]
}

# ---- all of it ----

exec 5>&1
provide_engine
set_up_world
make_network --internal inner2
write_bottle

check 'a container takes over from another' takes_over
check 'the first one leaves with the last' leaves_with_the_last
check 'one of several is stopped' stops_one_of_several
check 'the grace of one that was taken over' cuts_after_the_grace
check "$swaps swaps under load" survives_load
[ ! -e "$test_dir/counted" ] || printf 'FIGURE %s: %d swaps: %s\n' "$engine" "$swaps" "$(<"$test_dir/counted")"
check 'what cannot take over leaves the old one as it was' leaves_the_old_one
check 'one that drains is not taken over' refuses_one_that_drains
check 'a restart policy does not survive a takeover' drops_the_restart_policy
check 'launchers that are killed at any moment' survives_killed_launchers
check 'from a container to a process and back' changes_backends
if [ "$engine" = podman ]; then
    check 'a container that drains keeps its name' keeps_the_name
else
    check 'to and fro while all drain' goes_to_and_fro
fi
check 'what cannot change the backend stays where it is' stays_where_it_is
check 'networks of the bottle come and go' makes_and_removes_networks
check 'nothing is left' nothing_is_left
