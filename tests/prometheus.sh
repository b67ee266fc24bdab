#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# prometheus.sh: `sample-host status --prometheus`: promtool takes it, and it says what `status --json` says,
# of a gate with real ssh through it, of one that was killed, and of one whose status is hostile.
# shellcheck source=tests/lib.sh
source "$(dirname "$0")/lib.sh" "$@"

scripted=$test_dir/build/plugin/scripted.so
scripted_gate=$test_dir/build/plugin/scripted_gate.so
bottle='Say "hi" \ Ä'

# host [NAME=VALUE...] ARGUMENT...: sample-host, with these variables in its environment.
host() {
    local variables=()
    while [[ ${1-} =~ ^[A-Z_]+= ]]; do
        variables+=("$1")
        shift
    done
    as bottle env "${variables[@]}" "$test_dir/build/sample-host/sample-host" "$@"
}

up() {
    host "$@" --slug gate --internal-network 127.0.0.2
}

# shows_the_same STATUS ARGUMENT...: the metrics, which promtool takes, are those of the JSON; the exit status
# of both is STATUS.
shows_the_same() {
    local status=$1
    shift
    status_is "$status" host "$@" status --json >"$test_dir/json"
    status_is "$status" host "$@" status --prometheus >"$test_dir/metrics"
    cat "$test_dir/metrics"
    promtool check metrics <"$test_dir/metrics" >"$test_dir/complaints" 2>&1
    diff /dev/null "$test_dir/complaints"
    /usr/bin/python3 "$test_dir/compare.py" "$test_dir/json" "$test_dir/metrics"
}

# has_sample PATTERN: a line of the metrics just shown matches as a whole.
has_sample() {
    grep -Ex "$1" "$test_dir/metrics"
}

cat >"$test_dir/compare.py" <<'END'
# Parses the text strictly, makes the samples that the JSON should give, and compares.
import json, math, re, sys, time

LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(r'(ssh_gate_[a-z_]+)\{(' + LABEL + '(?:,' + LABEL + r')*)\} (NaN|[0-9.]+)')
ABOUT = {"ssh_gate_uptime_seconds", "ssh_gate_last_error_timestamp_seconds"}  # they move on

def unescape(text):
    return re.sub(r'\\(.)', lambda match: {"n": "\n"}.get(match[1], match[1]), text)

def read(path):
    samples, metric, seen = {}, None, set()
    for line in open(path, encoding="utf-8", newline="\n").read().split("\n")[:-1]:
        if line.startswith("# HELP "):
            metric = line.split(" ")[2]
            assert metric not in seen, line
            seen.add(metric)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == metric, line
        else:
            match = SAMPLE.fullmatch(line)
            assert match and re.fullmatch(metric + "(_sum|_count)?", match[1]), line
            labels = [(label, unescape(value)) for label, value in re.findall(LABEL, match[2])]
            key = (match[1], frozenset(labels))
            assert key not in samples, line
            samples[key] = float(match[7])
    return samples

def expected_of(bottle, sidecar):
    gate = {"bottle": bottle["bottle"], "slug": bottle["slug"], "backend": sidecar["backend"]}
    yield "ssh_gate_up", gate, sidecar["state"] in ("serving", "draining")
    if not sidecar["status"]:
        return
    if "uptime_ms" in sidecar["status"]:
        yield "ssh_gate_uptime_seconds", gate, sidecar["status"]["uptime_ms"] / 1000
    for upstream in sidecar["status"]["upstreams"]:
        labels = {**gate, "upstream": upstream["bottle_host_alias"], "listen_port": str(upstream["listen_port"])}
        for name, member, more in (("ssh_gate_connections", "connections_now", {}),
                                   ("ssh_gate_connections_total", "connections_total", {}),
                                   ("ssh_gate_refused_total", "connections_refused", {}),
                                   ("ssh_gate_bytes_total", "bytes_up", {"direction": "up"}),
                                   ("ssh_gate_bytes_total", "bytes_down", {"direction": "down"})):
            if isinstance(upstream.get(member), int):
                yield name, {**labels, **more}, upstream[member]
        if "dial_time" in upstream:
            times = upstream["dial_time"] or {"p50_us": math.nan, "p99_us": math.nan, "sum_us": 0, "count": 0}
            yield "ssh_gate_dial_seconds", {**labels, "quantile": "0.5"}, times["p50_us"] / 1e6
            yield "ssh_gate_dial_seconds", {**labels, "quantile": "0.99"}, times["p99_us"] / 1e6
            yield "ssh_gate_dial_seconds_sum", labels, times["sum_us"] / 1e6
            yield "ssh_gate_dial_seconds_count", labels, times["count"]
        error = upstream.get("last_error")
        if error:
            yield ("ssh_gate_last_error_timestamp_seconds", {**labels, "message": error["message"]},
                   time.time() - error["ago_ms"] / 1000)

def shown(text):
    harmful = "\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
    return re.sub(f"[{harmful}]", "\ufffd", text)

samples = read(sys.argv[2])
for bottle in json.load(open(sys.argv[1]))["bottles"]:
    for sidecar in bottle["sidecars"]:
        if sidecar["sidecar"] != "ssh_gate":
            continue
        for name, labels, value in expected_of(bottle, sidecar):
            key = (name, frozenset((label, shown(text)) for label, text in labels.items()))
            found = samples.pop(key)
            same = math.isnan(found) if value != value else abs(found - value) <= (60 if name in ABOUT else 5e-7)
            assert same, (key, found, value)
assert not samples, samples
END

set_up() {
    new_home bottle
    start_sshd bottle server 127.0.0.5:30021
    as bottle tee claude-bottle.json >/dev/null <<END
{"bottles": {"Say \"hi\" \\\\ Ä": {"ssh": [
    $(entry live 127.0.0.5 30021 bottle "$(host_key bottle server ed25519)"),
    {"Host": "dead", "Hostname": "127.0.0.5", "Port": 30022},
    {"Host": "rest", "Hostname": "127.0.0.5", "Port": 30023}]}}, "agents": {}}
END
}

through() {
    local stage=$test_dir/bottle/runtime/sample-host/gate/ssh_gate
    as bottle ssh -F "$stage/ssh_config" -o "UserKnownHostsFile=$stage/known_hosts" -o BatchMode=yes "$@"
}

nothing_is_up() {
    shows_the_same 0
    [ "$(grep -c '^# TYPE' "$test_dir/metrics")" -eq 8 ]
}

shows_real_traffic() {
    local labels='bottle="Say \"hi\" \\ Ä",slug="gate",backend="native",'
    up up "$bottle"
    shows_the_same 0
    has_sample 'ssh_gate_dial_seconds\{.*upstream="live".*,quantile="0.5"\} NaN'
    for _ in 1 2 3; do
        [ "$(through live cat /srv/name)" = server ]
    done
    status_is 255 through dead true
    status_is 255 through dead true
    wait_until has_settled
    shows_the_same 0
    grep -Fx "ssh_gate_connections_total{${labels}upstream=\"live\",listen_port=\"30021\"} 3" "$test_dir/metrics"
    has_sample 'ssh_gate_refused_total\{.*upstream="dead",listen_port="30022"\} 2'
    has_sample 'ssh_gate_dial_seconds_count\{.*upstream="live".*\} 3'
    has_sample 'ssh_gate_bytes_total\{.*upstream="live",.*,direction="up"\} [0-9]{4,}'
    has_sample 'ssh_gate_last_error_.*\{.*upstream="dead",.*message="cannot reach 127.0.0.5:30022: Connection refused"\} .*'
    host status | grep -E '^  live 127\.0\.0\.5:30021 +0 +3 +0 .*B +.*B +[0-9.]+ [um]?s +[0-9.]+ [um]?s +$'
}

# The last connections are closed, so that nothing changes from one look to the next.
has_settled() {
    host status --json | tr -d ' \n' | grep -F '"connections_now":0,"connections_total":5,'
}

shows_what_does_not_run() {
    local pid
    pid=$(host status --json | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
    kill -KILL "$pid"
    wait_until status_is 3 host status
    shows_the_same 3
    has_sample 'ssh_gate_up\{.*\} 0'
    [ "$(grep -vc '^#' "$test_dir/metrics")" -eq 1 ]
    host down "$bottle"
}

# A plugin that says it is the gate, and what no gate says.
survives_a_hostile_status() {
    local hostile
    hostile=$(/usr/bin/python3 -c '
import json
text = "".join(map(chr, range(1, 0x100))) + "\\n\"} 1\nssh_gate_up 7\n# HELP x\u2028\u202e\U0001f600"
upstream = {"bottle_host_alias": text, "listen_port": 1, "connections_now": 2**53, "bytes_up": 0,
            "last_error": {"message": text, "ago_ms": 1}}
few = {"bottle_host_alias": "few", "listen_port": 2, "dial_time": None, "last_error": None,
       "connections_now": text, "connections_total": 1.5}
print(json.dumps({"state": text, "uptime_ms": 1, "upstreams": [upstream, few]}))
')
    up --plugin "$scripted_gate" up "$bottle"
    shows_the_same 0 "SCRIPTED_STATUS=$hostile" --plugin "$scripted_gate"
    [ "$(grep -vc '^#' "$test_dir/metrics")" -eq 9 ]
    status_is 1 grep -aP '[\x00-\x09\x0b-\x1f]' "$test_dir/metrics"
    host --plugin "$scripted_gate" down "$bottle"
}

leaves_other_sidecars_out() {
    up --plugin "$scripted" up "$bottle"
    shows_the_same 0 SCRIPTED_STATUS=serving --plugin "$scripted"
    [ "$(grep -vc '^#' "$test_dir/metrics")" -eq 0 ]
    host --plugin "$scripted" down "$bottle"
}

install_build
for plugin in scripted scripted_gate; do
    install -m 644 "$BUILD_DIR/tests/fixtures/$plugin.so" "$test_dir/build/plugin/$plugin.so"
done
set_up
check 'nothing is up' nothing_is_up
check 'real ssh through the gate' shows_real_traffic
check 'a gate that was killed' shows_what_does_not_run
check 'a status with any characters, and one with few members' survives_a_hostile_status
check 'other sidecars are left out' leaves_other_sidecars_out
stop_servers
