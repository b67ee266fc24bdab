#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docker.sh: the backend `docker` on a real engine: git through it, what its container is and is not, its
# networks, sample-host's part.  docker_faults.sh has what goes wrong; podman.sh runs both with Podman.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
# shellcheck source=tests/lib_engine.sh
source "$(dirname "$0")/lib_engine.sh"

with_image='ssh_gate={"image": "'$image'"}'

# Two ports of one server, as an alias and as a host name; two names that lead nowhere.
write_bottles() {
    local entries
    entries=$(
        entry gitea gitea.example 30009 root "$host_key"
        printf ','
        entry plain gitea.example 22 root "$host_key"
        printf ','
        entry closed gitea.example 30010 root "$host_key"
        printf ','
        entry unknown unknown.example 30011 root "$host_key"
    )
    as root tee claude-bottle.json >/dev/null <<END
{"bottles": {"web": {"ssh": [$entries]}, "empty": {}}, "agents": {}}
END
}

# fresh_gate [OPTION...]: of the bottle web.
fresh_gate() {
    gate_host down web
    gate_up web "$@"
} >>"$test_dir/gates.log" 2>&1

# give_ssh_config BOTTLE: to the agent, as the plan has it.
give_ssh_config() {
    local stage=$test_dir/root/runtime/sample-host/$1/ssh_gate
    mkdir -p "$test_dir/agent"
    cp "$stage/ssh_config" "$test_dir/agent/config"
    cp "$stage/known_hosts" "$test_dir/agent/known_hosts"
    docker cp "$test_dir/agent/." agent:/root/.ssh/
}

git_in_agent() {
    in_container agent git "$@"
}

# gate_address NETWORK: of the gate's container in it.
gate_address() {
    address_of claude-bottle-ssh-gate-web "$1"
}

# ---- through the gate ----

fetches_without_a_gate() {
    give_ssh_config web
    gate_host down web
    in_container agent rm -rf /root/clone
    status_is 128 git_in_agent clone ssh://gitea.example:30009/srv/repository.git /root/clone
    status_is 128 git_in_agent clone gitea:/srv/repository.git /root/clone
}

fetches() {
    local url
    give_ssh_config web
    for url in ssh://root@gitea.example:30009/srv/repository.git gitea:/srv/repository.git \
        ssh://gitea.example/srv/repository.git; do
        in_container agent rm -rf /root/clone
        git_in_agent clone "$url" /root/clone
        [ "$(in_container agent cat /root/clone/name)" = server ]
        git_in_agent -C /root/clone fetch
    done
    git_in_agent -C /root/clone push origin main:pushed
    docker exec server git -C /srv/repository.git rev-parse pushed
}

says_why_not() {
    fails_with 'ssh-gate: cannot reach gitea.example:30010: Connection refused' \
        in_container agent ssh closed true
    fails_with 'ssh-gate: cannot' in_container agent ssh unknown true
}

finds_the_gate_by_name() {
    in_container agent nslookup claude-bottle-ssh-gate-web | grep -wF "$(gate_address inner)"
    in_container agent grep -x '    HostName claude-bottle-ssh-gate-web' /root/.ssh/config
}

# The gate reaches what answers; only the key is another.
checks_host_keys() {
    in_container agent cp /root/.ssh/known_hosts /root/.ssh/kept
    ssh-keygen -q -t ed25519 -N '' -f "$test_dir/other_key" <<<y
    printf 'gitea.example %s\n' "$(cut -d ' ' -f 1,2 "$test_dir/other_key.pub")" >"$test_dir/other_hosts"
    docker cp "$test_dir/other_hosts" agent:/root/.ssh/known_hosts
    fails_with 'Host key verification failed' in_container agent ssh gitea true
    in_container agent sh -c ': >/root/.ssh/known_hosts'
    fails_with 'Host key verification failed' in_container agent ssh gitea true
    in_container agent mv /root/.ssh/kept /root/.ssh/known_hosts
    in_container agent ssh gitea true
}

# ---- the container ----

gate_is() {
    local said
    said=$(docker inspect --format "$1" claude-bottle-ssh-gate-web)
    [ "$said" = "$2" ] || {
        printf '%s is %s, not %s\n' "$1" "$said" "$2"
        return 1
    }
}

# proc_of_gate FILE: of the first process in the gate's container.
proc_of_gate() {
    docker run --rm --label "$engine_label" --network none --pid container:claude-bottle-ssh-gate-web \
        --cap-add SYS_PTRACE "$image" cat "/proc/1/$1"
}

has_no_rights() {
    local status
    status=$(proc_of_gate status)
    printf '%s\n' "$status"
    for kind in CapInh CapPrm CapEff CapBnd CapAmb; do
        grep -x "$kind:	0*" <<<"$status"
    done
    grep -x 'NoNewPrivs:	1' <<<"$status"
    grep -E '^Uid:(	65534){4}$' <<<"$status"
    grep -E '^Gid:(	65534){4}$' <<<"$status"
    gate_is '{{.HostConfig.Privileged}}' false
    gate_is '{{.HostConfig.PidsLimit}}' 256
    gate_is '{{.HostConfig.Memory}}' $((256 << 20))
    gate_is '{{.HostConfig.PublishAllPorts}} {{len .HostConfig.PortBindings}}' 'false 0'
}

has_no_writable_root() {
    gate_is '{{.HostConfig.ReadonlyRootfs}}' true
    proc_of_gate mountinfo | awk '$5 == "/" { print; found = $6 ~ /^ro(,|$)/ } END { exit !found }'
}

has_no_setuid_file() {
    local files
    files=$(docker export claude-bottle-ssh-gate-web | tar --numeric-owner -tv)
    printf '%s\n' "$files"
    grep -E ' 0/0 .* ssh-gate-relay$' <<<"$files"
    status_is 1 grep -E '^-..[sS]|^-.....[sS]' <<<"$files"
}

# ports_seen_by CONTAINER ADDRESS: those of 1 to 65535 that take a connection.
ports_seen_by() {
    # shellcheck disable=SC2016 # the shell in the container expands these
    in_container "$1" bash -c '
        for port in {1..65535}; do
            { : <>"/dev/tcp/$1/$port"; } 2>/dev/null && echo "$port"
        done
        true' bash "$2"
}

shows_only_its_ports() {
    local seen
    seen=$(ports_seen_by agent "$(gate_address inner)" | xargs)
    [ "$seen" = '22 30009 30010 30011' ] || {
        printf 'open to the agent: %s\n' "$seen"
        return 1
    }
}

shows_the_egress_network_nothing() {
    local seen
    seen=$(ports_seen_by outsider "$(gate_address outer)" | xargs)
    [ -z "$seen" ] || {
        printf 'open to the egress network: %s\n' "$seen"
        return 1
    }
}

# ---- status, drain, stop ----

answers_status() {
    local status
    in_container agent ssh gitea true
    status=$(gate_host status web --json)
    printf '%s\n' "$status"
    /usr/bin/python3 - "$status" <<'END'
import json, sys
[bottle] = json.loads(sys.argv[1])["bottles"]
[sidecar] = bottle["sidecars"]
status = sidecar["status"]
assert status["backend"] == "docker" and status["state"] == "serving", status
assert status["address"] == "claude-bottle-ssh-gate-web", status
assert status["target"] == sidecar["target"] and status["target"].startswith("docker:web:"), status
[gitea] = [u for u in status["upstreams"] if u["bottle_host_alias"] == "gitea"]
assert gitea["listen_port"] == 30009 and gitea["upstream_host"] == "gitea.example", gitea
assert gitea["connections_total"] >= 1 and gitea["bytes_down"] > 1000, gitea
assert gitea["dial_time"]["count"] >= 1 and gitea["dial_time"]["p99_us"] > 0, gitea
END
    gate_host status web --prometheus >"$test_dir/metrics"
    promtool check metrics <"$test_dir/metrics"
    grep -E '^ssh_gate_dial_seconds_count\{.*,backend="docker",upstream="gitea".*\} [1-9]' "$test_dir/metrics"
}

# The events of connections are what the container writes.
writes_events() {
    docker logs claude-bottle-ssh-gate-web 2>&1 | grep '"event":"open"'
    docker logs claude-bottle-ssh-gate-web 2>&1 |
        /usr/bin/python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]'
}

# An established session lives on while nobody else gets in; then the container is gone.
drains() {
    open_session docker exec -i agent ssh gitea cat
    gate_tool drain docker:web 600000
    status_is 255 in_container agent ssh gitea true
    says after
    gate_host status web --json | grep '"state":"draining"'
    close_session
    wait_until no_gate web
}

no_gate() {
    [ -z "$(docker ps --all --quiet --filter "name=^/?claude-bottle-ssh-gate-$1\$")" ]
}

stops_twice() {
    local target
    target=$(gate_host status web --json | sed -n 's/.*"target": *"\(docker[^"]*\)".*/\1/p' | head -n 1)
    [ -n "$target" ]
    gate_tool stop docker:web:0123456789abcdef
    fails_with 'not found:' gate_tool status docker:web:0123456789abcdef
    gate_tool status "$target"
    gate_tool stop "$target"
    no_gate web
    gate_tool stop "$target"
    gate_tool stop docker:web
    fails_with 'not found:' gate_tool status "$target"
    status_is 3 gate_host status web
    gate_host down web
    nothing_is_left
}

restarts() {
    local process
    fresh_gate --options 'ssh_gate={"restart": "unless-stopped"}'
    gate_is '{{.HostConfig.RestartPolicy.Name}}' unless-stopped
    process=$(docker inspect --format '{{.State.Pid}}' claude-bottle-ssh-gate-web)
    [ "$engine" = given ] || {
        kill -KILL "$process"
        wait_until restarted "$process"
    }
    wait_until in_container agent ssh gitea true
    if changes_restart_policies; then
        gate_tool drain docker:web 0
        wait_until status_is 1 gate_runs web
    else
        fails_with 'cannot change the restart policy' gate_tool drain docker:web 0
        in_container agent ssh gitea true
    fi
    gate_host down web
    nothing_is_left
}

gate_runs() {
    [ -n "$(docker ps --quiet --filter "name=^/?claude-bottle-ssh-gate-$1\$")" ]
}

restarted() {
    [ "$(docker inspect --format '{{.State.Pid}}' claude-bottle-ssh-gate-web)" != "$1" ] &&
        gate_runs web
}

# ---- networks ----

refuses_networks() {
    fails_with 'has no network "no-such-network"' gate_up web --egress-network no-such-network
    fails_with 'has no network "no-such-network"' gate_up web --internal-network no-such-network
    fails_with '"../x" is not the name of a network' gate_up web --internal-network ../x
    fails_with 'not internal' gate_up web --internal-network outer --egress-network outer
    fails_with 'create it with --internal' gate_up web --internal-network outer
    fails_with 'is the internal network itself' gate_up web --egress-network inner
    fails_with 'no_such_option' gate_up web --options 'ssh_gate={"no_such_option": 1}'
    fails_with 'restart is "sometimes"' gate_up web --options 'ssh_gate={"restart": "sometimes"}'
    nothing_is_left
}

# With the plugin alone nobody makes the missing networks.
refuses_missing_networks() {
    local name bottle='{"ssh": [{"Host": "gitea.example", "Port": 30009}]}'
    as root mkdir -p stage
    for name in '' no-such-network; do
        fails_with internal_network gate_tool start "$bottle" web "$test_dir/root/stage" \
            "$name" outer docker '{}'
        fails_with egress_network gate_tool start "$bottle" web "$test_dir/root/stage" \
            inner "$name" docker '{}'
    done
    nothing_is_left
}

makes_its_networks() {
    gate_host up web --backend docker
    docker network inspect --format '{{.Internal}}' claude-bottle-net-web | grep -x true
    docker network inspect --format '{{.Internal}}' claude-bottle-egress-web | grep -x false
    gate_host down web
    nothing_is_left
}

# What was there before is somebody else's.
leaves_other_networks() {
    make_network --internal claude-bottle-net-web
    gate_host up web --backend docker
    gate_host down web
    docker network inspect claude-bottle-net-web >/dev/null
    docker network rm claude-bottle-net-web
    nothing_is_left
}

# ---- whose it is ----

conflicts() {
    fails_with 'slug "web" runs ssh_gate already' gate_tool_start web
    in_container agent ssh gitea true
}

replaces_a_dead_gate() {
    gate_tool_start dead
    # An engine removes what ends by itself, so the leftover is one that was never started.
    docker rm --force claude-bottle-ssh-gate-dead
    docker create --name claude-bottle-ssh-gate-dead --label com.claude-bottle.sidecar=ssh_gate \
        --label com.claude-bottle.slug=dead "$image" true
    gate_tool_start dead
    gate_tool stop docker:dead
    nothing_is_left
}

leaves_a_strangers_container() {
    docker create --name claude-bottle-ssh-gate-mine --label "$engine_label" "$image" true
    fails_with 'is none of ssh_gate' gate_tool_start mine
    gate_tool stop docker:mine
    fails_with 'not found:' gate_tool status docker:mine
    docker rm claude-bottle-ssh-gate-mine
}

removes_orphans() {
    gate_host up web --backend docker
    gate_tool_start lost
    docker network create --label com.claude-bottle.slug=gone \
        --label "com.claude-bottle.owner=$(id -u)@$(hostname)" orphan
    docker network create --label com.claude-bottle.slug=theirs \
        --label com.claude-bottle.owner=1234@elsewhere theirs
    docker network create --label "$engine_label" claude-bottle-net-unlabelled
    gate_host down --orphans | tee "$test_dir/orphans"
    grep -x 'container claude-bottle-ssh-gate-lost is removed' "$test_dir/orphans"
    grep -x 'network orphan is removed' "$test_dir/orphans"
    [ "$(wc -l <"$test_dir/orphans")" -eq 2 ]
    docker network rm theirs claude-bottle-net-unlabelled
    gate_host status web
    gate_host down web
    nothing_is_left
}

skips_an_empty_bottle() {
    gate_host up empty --backend docker | grep -x '    nothing: not started'
    nothing_is_left
}

# ---- the image of the launcher's choice ----

script_is_as_prepared() {
    docker cp claude-bottle-ssh-gate-web:/ssh_gate_entrypoint.sh - | tar -xO |
        cmp - "$test_dir/root/runtime/sample-host/web/ssh_gate/ssh_gate_entrypoint.sh"
    gate_is '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' '["/bin/sh"] ["/ssh_gate_entrypoint.sh"]'
    gate_is '{{.Config.Image}}' "$image"
    gate_host status web --json | grep '"state":"serving"'
    fails_with 'cannot drain' gate_tool drain docker:web 0
}

takes_the_image_from_the_environment() {
    as root env DOCKER_HOST="$DOCKER_HOST" CLAUDE_BOTTLE_SSH_GATE_IMAGE="$image" \
        "$test_dir/build/sample-host/sample-host" up web --backend docker \
        --internal-network inner --egress-network outer
    gate_is '{{.Config.Image}}' "$image"
    gate_host down web
    nothing_is_left
}

# From a registry of this test's own, by digest, with what the engine says on the way.
pulls_an_image() {
    local digest reference registry absent
    docker export agent >"$test_dir/rootfs.tar"
    /usr/bin/python3 "$SOURCE_DIR/tests/fixtures/registry.py" 5000 "$test_dir/rootfs.tar" \
        >"$test_dir/digest" &
    registry=$!
    wait_until test -s "$test_dir/digest"
    digest=$(<"$test_dir/digest")
    reference=127.0.0.1:5000/gate@$digest
    absent=127.0.0.1:5000/gate@sha256:$(sha256sum </dev/null | cut -d ' ' -f 1)
    as root mkdir -p stage-pulled
    gate_tool start '{"ssh": [{"Host": "gitea.example", "Port": 30009}]}' pulled \
        "$test_dir/root/stage-pulled" inner outer docker '{"image": "'"$reference"'"}' 2>&1 |
        tee "$test_dir/pulling"
    grep -F "has no image $reference: pulling it" "$test_dir/pulling"
    [ "$(grep -c '^log ' "$test_dir/pulling")" -ge 3 ]
    [ "$(docker inspect --format '{{.Config.Image}}' claude-bottle-ssh-gate-pulled)" = "$reference" ]
    gate_tool stop docker:pulled
    fails_with 'cannot pull it: engine unix://' gate_tool start \
        '{"ssh": [{"Host": "gitea.example", "Port": 30009}]}' pulled "$test_dir/root/stage-pulled" \
        inner outer docker '{"image": "'"$absent"'"}'
    kill "$registry"
    docker image rm "$reference"
    nothing_is_left
}

refuses_images() {
    fails_with 'cannot pull it' gate_up web --options 'ssh_gate={"image": "127.0.0.1:9/none:1"}'
    fails_with 'is no reference' gate_up web --options 'ssh_gate={"image": "-x"}'
    fails_with 'unknown key "sandbox"' gate_up web \
        --options 'ssh_gate={"image": "'"$image"'", "sandbox": "required"}'
    nothing_is_left
}

# ---- figures ----

# start_to_accept OPTION...: microseconds from the start of sample-host to a connection that the gate took.
start_to_accept() {
    local begin=${EPOCHREALTIME/./}
    gate_up web "$@" >/dev/null
    in_container agent bash -c ": <>/dev/tcp/$(gate_address inner)/30009"
    printf '%s\n' $((${EPOCHREALTIME/./} - begin))
    gate_host down web >/dev/null
}

median() {
    sort -n | awk '{ value[NR] = $1 } END { printf "%.0f ms", value[int((NR + 1) / 2)] / 1000 }'
}

print_figures() {
    local images
    remove_relay_image >/dev/null
    start_to_accept >"$test_dir/first"
    for _ in 1 2 3; do
        start_to_accept >>"$test_dir/there"
        start_to_accept --options "$with_image" >>"$test_dir/script"
    done
    images=$(docker image ls --quiet localhost/claude-bottle-ssh-gate)
    printf 'FIGURE %s: start to first accepted connection: relay %s (first time, with the image: %s), socat image %s\n' \
        "$engine" "$(median <"$test_dir/there")" "$(median <"$test_dir/first")" "$(median <"$test_dir/script")"
    printf 'FIGURE %s: image of the relay: %s bytes\n' "$engine" \
        "$(docker image inspect --format '{{.Size}}' "$images")"
}

# ---- all of it ----

provide_engine
set_up_world
write_bottles

fresh_gate
check 'git clones, fetches and pushes, by URL, alias and host name' fetches
check 'ssh says why an upstream cannot be reached' says_why_not
check 'the agent finds the gate by its name' finds_the_gate_by_name
check 'host keys are checked' checks_host_keys
check 'the gate has no rights' has_no_rights
check 'the gate has no writable root' has_no_writable_root
check 'the gate has no file with setuid' has_no_setuid_file
check 'of the gate only its ports answer the agent' shows_only_its_ports
check 'of the gate nothing answers on the egress network' shows_the_egress_network_nothing
[ "$engine" = given ] || check 'the gate forwards nothing between its networks' is_shut claude-bottle-ssh-gate-web
[ "$engine" = given ] || check "the gate passes no frames of the agent's" passes_no_frames claude-bottle-ssh-gate-web 30009
check 'status has the counters' answers_status
check 'the container writes the events' writes_events
check 'a second start is a conflict' conflicts
check 'stop is idempotent, and meant for one instance' stops_twice
fresh_gate
check 'drain lets a session end' drains
fresh_gate
check 'without the gate the same fails' fetches_without_a_gate
check 'with a restart policy the engine starts it again, but not after a drain' restarts

fresh_gate --options "$with_image"
check 'image: git clones, fetches and pushes' fetches
check 'image: the agent finds the gate by its name' finds_the_gate_by_name
check 'image: host keys are checked' checks_host_keys
check 'image: the gate has no rights' has_no_rights
check 'image: of the gate only its ports answer the agent' shows_only_its_ports
check 'image: the script is the one that prepare wrote' script_is_as_prepared
check 'image: without the gate the same fails' fetches_without_a_gate
check 'image: from the environment' takes_the_image_from_the_environment
[ "$engine" = given ] || check 'image: one that has to be pulled' pulls_an_image
check 'image: one that cannot be had is an error' refuses_images

check 'networks that are missing or wrong are refused' refuses_networks
check 'the plugin alone refuses networks that are empty or missing' refuses_missing_networks
check 'sample-host makes the networks that are missing' makes_its_networks
check 'sample-host leaves the networks that were there' leaves_other_networks
check 'what is left of a dead gate is replaced' replaces_a_dead_gate
check "a stranger's container is never touched" leaves_a_strangers_container
check 'orphans are found by label' removes_orphans
check 'an empty bottle gets no gate' skips_an_empty_bottle
is_sanitized || print_figures
check 'nothing is left' nothing_is_left
