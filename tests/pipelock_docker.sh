#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pipelock_docker.sh: the sidecar pipelock.so as a container, alone and beside the gate; pipelock_podman.sh
# runs it with Podman.
#
# The image is one file, the stand-in for pipelock (fixtures/pipelock.c), from a registry of the test's own.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"
# shellcheck source=tests/lib_engine.sh
source "$(dirname "$0")/lib_engine.sh"

container=claude-bottle-pipelock-web

# host [NAME=VALUE...] ARGUMENT...: sample-host, with its two sidecars.
host() {
    local variables=("CLAUDE_BOTTLE_PIPELOCK_IMAGE=$pipelock_image")
    while [[ ${1-} =~ ^[A-Z_]+= ]]; do
        variables+=("$1")
        shift
    done
    as root env DOCKER_HOST="$DOCKER_HOST" "${variables[@]}" "$test_dir/build/sample-host/sample-host" "$@"
}

# up BOTTLE [OPTION...]
up() {
    host up "$1" --backend docker --internal-network inner --egress-network outer "${@:2}"
}

tool() {
    as root env DOCKER_HOST="$DOCKER_HOST" "CLAUDE_BOTTLE_PIPELOCK_IMAGE=$pipelock_image" "$test_dir/gate_tool" \
        "$test_dir/build/sample-host/pipelock.so" "$@"
}

# The registry ends with this script.
start_registry() {
    local root=$test_dir/pipelock_image
    mkdir "$root"
    install "$BUILD_DIR/tests/fixtures/pipelock" "$root/pipelock"
    tar -C "$root" --owner 0 --group 0 -cf "$test_dir/rootfs.tar" pipelock
    /usr/bin/python3 "$SOURCE_DIR/tests/fixtures/registry.py" 5000 "$test_dir/rootfs.tar" >"$test_dir/digest" &
    wait_until test -s "$test_dir/digest"
    pipelock_image=127.0.0.1:5000/pipelock@$(<"$test_dir/digest")
}

write_bottles() {
    as root tee claude-bottle.json >/dev/null <<END
{"bottles": {
   "web": {"egress": {"allowlist": ["gitea.example"]}},
   "both": {"egress": {"allowlist": ["gitea.example"]}, "ssh": [$(entry gitea gitea.example 30009 root "$host_key")]},
   "exits": {"egress": {"allowlist": ["exits.example"]}, "ssh": [$(entry gitea gitea.example 30009 root "$host_key")]},
   "silent": {"egress": {"allowlist": ["silent.example"]}},
   "empty": {"egress": {"allowlist": []}, "ssh": []}}}
END
}

# through HOST:PORT [SLUG]: what the agent hears from there through its proxy.
through() {
    # shellcheck disable=SC2016 # the shell in the container expands these
    in_container agent timeout 60 bash -c '
        exec 3<>"/dev/tcp/claude-bottle-pipelock-$2/8888"
        printf "CONNECT %s HTTP/1.1\r\n\r\n" "$1" >&3
        head -n 3 <&3' bash "$1" "${2-web}"
}

# container_is FORMAT VALUE
container_is() {
    local value
    value=$(docker inspect --format "$1" "$container")
    printf '%s is %s\n' "$1" "$value"
    [ "$value" = "$2" ]
}

lets_through_what_is_allowed() {
    through gitea.example:22 | grep '^SSH-2.0-OpenSSH'
    through server:22 >"$test_dir/said" || true
    cat "$test_dir/said"
    grep '^HTTP/1.1 403' "$test_dir/said"
    status_is 1 grep SSH "$test_dir/said"
    # Nothing else leads there.
    fails_with '' in_container agent timeout 2 bash -c ': <>/dev/tcp/gitea.example/22'
}

runs_as_it_should() {
    local process
    container_is '{{.Path}} {{.Args}}' '/pipelock [run --listen 0.0.0.0:8888 --config /pipelock.yaml]'
    container_is '{{.Config.Image}}' "$pipelock_image"
    container_is '{{.Config.User}}' 65534:65534
    container_is '{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}}' "256 $((256 << 20))"
    container_is '{{.HostConfig.Privileged}} {{len .HostConfig.PortBindings}}' 'false 0'
    process=$(docker inspect --format '{{.State.Pid}}' "$container")
    stat -c '%a %u:%g' "/proc/$process/root/pipelock.yaml"
    [ "$(stat -c '%a %u:%g' "/proc/$process/root/pipelock.yaml")" = '444 0:0' ]
    [ "$(grep -Ec '^(Cap(Inh|Prm|Eff|Bnd|Amb):\s0+|NoNewPrivs:\s1)$' "/proc/$process/status")" -eq 6 ]
}

shows_its_state() {
    host status web | grep -E "^web +web +pipelock +docker +serving +$container *\$"
    host status web --json | /usr/bin/python3 -c '
import json, re, sys
sidecar, = json.load(sys.stdin)["bottles"][0]["sidecars"]
status = sidecar["status"]
assert sidecar["target"] == status["target"] and re.fullmatch("docker:web:[0-9a-f]{16}", status["target"]), sidecar
assert (status["backend"], status["state"], status["address"]) == ("docker", "serving", sys.argv[1]), status
assert status["proxy"] == "http://" + sys.argv[1] + ":8888" and 0 <= status["uptime_ms"] < 600000, status
assert status["upstreams"] == [{"upstream_host": "gitea.example"}], status
' "$container"
}

refuses_a_second() {
    as root mkdir -p stage
    fails_with 'slug "web" runs pipelock already' tool start '{"egress": {"allowlist": ["gitea.example"]}}' web \
        stage inner outer docker '{}'
    through gitea.example:22 | grep '^SSH-2.0-OpenSSH'
    as root rm -r stage
}

stops_by_target() {
    tool stop docker:web:0123456789abcdef
    tool status docker:web | grep serving
    tool stop docker:web
    tool stop docker:web
    status_is 6 tool status docker:web
    host down web
    nothing_is_left
}

refuses_images() {
    local image absent
    absent=${pipelock_image%:*}:$(sha256sum </dev/null | cut -d ' ' -f 1)
    for image in '' pipelock pipelock:latest "pipelock@sha256:abc" "${pipelock_image}0" \
        "${pipelock_image/sha256/sha512}"; do
        fails_with 'name an image of pipelock by its digest' host "CLAUDE_BOTTLE_PIPELOCK_IMAGE=$image" up web \
            --backend docker --internal-network inner --egress-network outer
    done
    fails_with 'cannot pull it' up web --options 'pipelock={"image": "'"$absent"'"}'
    fails_with 'unknown key "dns_servers"' up web --options 'pipelock={"dns_servers": []}'
    nothing_is_left
}

refuses_networks() {
    fails_with 'is not internal' host up web --backend docker --internal-network outer --egress-network inner
    fails_with 'has no network "nowhere"' host up web --backend docker --internal-network nowhere --egress-network outer
    nothing_is_left
}

says_why_it_ended() {
    fails_with 'exits.example is allowed, so this ends' up exits
    nothing_is_left
}

gives_up_on_one_that_never_listens() {
    fails_with 'was not healthy within start_timeout_ms, 1000 ms' \
        up silent --options 'pipelock={"start_timeout_ms": 1000}'
    nothing_is_left
}

starts_both() {
    up both
    [ "$(host status both | grep -Ec '^both +both +(ssh_gate|pipelock) +docker +serving ')" -eq 2 ]
    through gitea.example:22 both | grep '^SSH-2.0-OpenSSH'
    host down both
    nothing_is_left
}

# With the bottle's own networks, which both share.
starts_both_in_own_networks() {
    host up both --backend docker
    docker network ls | grep claude-bottle-net-both
    host down both
    status_is 1 docker network inspect claude-bottle-net-both
    nothing_is_left
}

replaces_a_dead_one() {
    up web
    docker kill "$container"
    status_is 3 host status web
    up web
    through gitea.example:22 | grep '^SSH-2.0-OpenSSH'
    host down web
    nothing_is_left
}

leaves_a_strangers_container() {
    run_container "$container" inner
    fails_with "container $container exists, and is none of pipelock's" up web
    tool stop docker:web
    container_is '{{.State.Running}}' true
    docker rm --force "$container"
    nothing_is_left
}

skips_an_empty_bottle() {
    up empty >"$test_dir/up"
    [ "$(grep -cx '    nothing: not started' "$test_dir/up")" -eq 2 ]
    nothing_is_left
}

provide_engine
[ "$engine" != given ] || {
    check 'skipped: a given engine cannot reach the registry of this test' true
    exit 0
}
set_up_world
install -m 644 "$BUILD_DIR/sample-host/pipelock.so" "$test_dir/build/sample-host/pipelock.so"
install "$BUILD_DIR/tests/gate_tool" "$test_dir/gate_tool"
start_registry
write_bottles

check 'pipelock starts, from an image that is pulled' up web
check 'allowed hosts are reached through it, others are not' lets_through_what_is_allowed
check 'its command line, configuration and rights' runs_as_it_should
check 'it forwards nothing between its networks' is_shut "$container"
check "it passes no frames of the agent's" passes_no_frames "$container" 8888
check 'status shows it' shows_its_state
check 'a second start is a conflict' refuses_a_second
check 'stop is idempotent, and meant for one instance' stops_by_target
check 'an image must be named by its digest' refuses_images
check 'networks that are missing or wrong are refused' refuses_networks
check 'a program that ends at once, and the gate with it' says_why_it_ended
check 'a program that never listens' gives_up_on_one_that_never_listens
check 'both sidecars of a bottle' starts_both
check 'both in networks of their own' starts_both_in_own_networks
check 'one that was killed is replaced' replaces_a_dead_one
check "a stranger's container is never touched" leaves_a_strangers_container
check 'an empty bottle gets no sidecar' skips_an_empty_bottle
check 'nothing is left' nothing_is_left
