#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# readme.sh: what README.md and bottle-sidecar(3) show works as it stands there: the manifest, the launcher, the
# plugin.
set -euo pipefail

# shellcheck source=tests/checks.sh
source "$(dirname "$0")/checks.sh"

slug=readme-$$ # in place of the launcher's: a gate may run under that one
plugin_dir=
bottle=

finish() {
    local status=$?
    trap - EXIT
    [ -z "$bottle" ] || kill "$bottle"
    pkill -f "^ssh-gate-relay native:$slug:" || true # one that a failed check has left
    rm -rf "$dir"
    [ "$status" -eq 0 ] || failed=$((failed + 1))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    exit $((failed > 0))
}
trap finish EXIT

# block LANGUAGE N: the N-th fenced block of that language.
block() {
    awk -v fence="\`\`\`$1" -v wanted="$2" '
        $0 == "```" { inside = 0 }
        inside && count == wanted
        $0 == fence { inside = 1; count++ }
    ' "$SOURCE_DIR/README.md"
}

# literal PAGE: the literal display of a man page, which has only one.
literal() {
    awk '/^\.Ed/ { inside = 0 } inside; /^\.Bd -literal/ { inside = 1 }' "$SOURCE_DIR/$1" | sed 's/\\e/\\/g'
}

sample_host=$BUILD_DIR/sample-host/sample-host

manifest_gives_both_upstreams() {
    local plans
    plans=$("$sample_host" --manifest "$dir/claude-bottle.json" plan web)
    /usr/bin/python3 -c '
import json, sys
upstreams = json.load(sys.stdin)["ssh_gate"]["upstreams"]
assert [(u["upstream_host"], u["upstream_port"]) for u in upstreams] == [
    ("github.com", 22), ("gitea.example", 30009)], upstreams
' <<<"$plans"
}

# build PROGRAM: PROGRAM.c, against what is installed.
build() {
    local flags
    flags=$(PKG_CONFIG_PATH=$(echo "$dir"/installed/lib*/pkgconfig "$dir"/installed/lib/*/pkgconfig | tr ' ' :) \
        pkg-config --cflags --libs bottle-host json-c)
    # shellcheck disable=SC2086 # several words
    gcc -Wall -Wextra -Werror "${sanitize[@]}" -o "$dir/$1" "$dir/$1.c" $flags
}

compile_launcher() {
    cmake --install "$BUILD_DIR" --prefix "$dir/installed"
    build launcher
}

# An empty network, which this user may enter.
start_bottle() {
    unshare --user --map-root-user --net sleep 60 &
    bottle=$!
    until [ "$(cat "/proc/$bottle/comm")" = sleep ]; do
        sleep 0.01
    done
}

launcher_starts_a_gate() {
    plugin_dir=$(dirname "$(find "$dir/installed" -name ssh_gate.so)")
    /usr/bin/python3 -c '
import json, sys
json.dump(json.load(open(sys.argv[1]))["bottles"]["web"], open(sys.argv[2], "w"))
' "$dir/claude-bottle.json" "$dir/web.json"
    mkdir "$dir/stage"
    # The example leaves its memory to the end of the process.
    ASAN_OPTIONS=detect_leaks=0 BOTTLE_SIDECAR_PATH=$plugin_dir \
        "$dir/launcher" "$dir/web.json" "$dir/stage" "/proc/$bottle/ns/net" >"$dir/target" &&
        grep "^native:$slug:" "$dir/target" || return
    nsenter --user --net --preserve-credentials --target "$bottle" ss -Hltn >"$dir/listeners"
    grep -q '127.0.0.1:30009 ' "$dir/listeners" && grep -q '127.0.0.1:22 ' "$dir/listeners"
}

# From another process, as the example's comment says.
stop_gate() {
    cat >"$dir/stop.c" <<'END'
#include <bottle/host.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct bottle_plugin *gate;
    char *message = NULL;

    if (argc != 2 || bottle_plugin_load("ssh_gate", &gate, &message) ||
        bottle_plugin_stop(gate, NULL, argv[1], &message)) {
        fprintf(stderr, "%s\n", message ? message : "no target, or out of memory");
        return 1;
    }
    bottle_plugin_unload(gate);
    return 0;
}
END
    build stop && BOTTLE_SIDECAR_PATH=$plugin_dir "$dir/stop" "$(cat "$dir/target")" &&
        tail -n 1 "$dir/stage/ssh_gate_events.jsonl" | grep '"event":"stopped"'
}

# The example declares four operations, which are the reader's to write.
compile_plugin() {
    {
        cat "$dir/plugin.c"
        for operation in prepare start stop; do
            printf 'static enum bottle_result %s(struct bottle_%s *arguments)\n' "$operation" "$operation"
            printf '{\n    (void)arguments;\n    return BOTTLE_UNSUPPORTED;\n}\n'
        done
        printf 'static void release(char *text)\n{\n    (void)text;\n}\n'
    } >"$dir/my_proxy.c"
    gcc -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -I "$SOURCE_DIR/host-api/include" \
        -o "$dir/my_proxy.so" "$dir/my_proxy.c"
}

plugin_is_taken() {
    "$sample_host" --plugin "$dir/my_proxy.so" plugins | grep 'my_proxy *0\.1 *1\.1 *native'
}

block json 1 >"$dir/claude-bottle.json"
block c 1 | sed "s/\"web\", argv/\"$slug\", argv/" >"$dir/launcher.c"
literal host-api/man/bottle-sidecar.3 >"$dir/plugin.c"

check 'the manifest: both upstreams are in the plan' manifest_gives_both_upstreams
check 'the launcher compiles against what is installed' compile_launcher
start_bottle
check 'it gives the bottle its gate' launcher_starts_a_gate
check 'the gate stops' stop_gate
check 'the plugin compiles' compile_plugin
check 'sample-host takes it' plugin_is_taken
