#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The rooms of the source tree: includes and calls go down, never up, and no two files call each other in a circle.

    layout.py SOURCE_DIR BUILD_DIR

What a file includes is what the compiler wrote down (ninja -t deps), and so what its headers include as well.
What it calls is what the linker has to find elsewhere (nm on its object file), within one program or plugin.
"""

import pathlib
import re
import subprocess
import sys

LONGEST_FILE = 450

# From the top.  A room may use itself and those below it; rooms on one line do not use each other.  The longest
# path that fits a file is its room.
COMMON = ["plugin/common/sidecar", "plugin/common/process", "plugin/common/text", "plugin/common", "host-api/include"]
STAIRCASES = {
    "the plugin": [
        "plugin",
        "plugin/native plugin/docker",
        "plugin/backend.h",  # what native and docker are to the plugin
        "plugin/bottle",
        "plugin/container",
        "plugin/engine",
        "plugin/wire",
        *COMMON,
    ],
    "the relay": [
        "plugin/relay",
        "plugin/relay/setup",
        "plugin/relay/serve",
        "plugin/relay/dial",
        "plugin/relay/base",
        "plugin/wire",
        *COMMON,
    ],
    "sample-host": ["sample-host", "host-api", "plugin/container", "plugin/engine", *COMMON],
    "pipelock": ["sample-host/pipelock", "plugin/container", "plugin/engine", *COMMON],
}
ROOMS = {room for stairs in STAIRCASES.values() for line in stairs for room in line.split()}

# Targets of the build that become one program or plugin.
PROGRAMS = {
    "the plugin": "ssh_gate sidecar-container docker-engine sidecar-common",
    "the relay": "ssh-gate-relay",
    "sample-host": "sample-host bottle-host sidecar-container docker-engine sidecar-common",
    "pipelock": "pipelock sidecar-container docker-engine sidecar-common",
}

passed = failed = 0


def check(name, faults):
    """Passes if there are none."""
    global passed, failed
    if faults:
        failed += 1
        print(f"FAILED: {name}")
        for fault in sorted(faults):
            print(f"    {fault}")
    else:
        passed += 1
        print(f"ok: {name}")


def room_of(path):
    """The longest that fits; None for what is no part of the tree, such as the system's headers."""
    fitting = [room for room in ROOMS if path == room or path.startswith(room + "/")]
    return max(fitting, key=len, default=None)


def step(stairs, room):
    """How many steps down; None if the room is not in this staircase."""
    return next((i for i, line in enumerate(stairs) if room in line.split()), None)


def upward(uses, verb):
    """uses: {(file, file it uses, by what)}.  Those that go up, or to a neighbour."""
    faults = set()
    for user, used, what in uses:
        rooms = room_of(user), room_of(used)
        if None in rooms or rooms[0] == rooms[1]:
            continue
        for program, stairs in STAIRCASES.items():
            place = step(stairs, rooms[0])
            if place is None:
                continue
            other = step(stairs, rooms[1])
            if other is None or other <= place:
                faults.add(f"{user} {verb} {used}{what}: {rooms[0]} is not above {rooms[1]} in {program}")
    return faults


def circles(uses):
    """The sets of files that reach each other (Tarjan's strongly connected components)."""
    graph = {}
    for user, used, _ in uses:
        graph.setdefault(user, set()).add(used)
        graph.setdefault(used, set())
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            members = set()
            while node not in members:
                members.add(stack.pop())
            if len(members) > 1:
                found.append(members)

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return {
        "; ".join(f"{user} → {used}{what}" for user, used, what in sorted(uses) if {user, used} <= members)
        for members in found
    }


# --- what the build knows ---


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def source_of(build, target_directory, relative):
    """plugin/relay, ../wire/x.c → plugin/wire/x.c"""
    path = (build / target_directory / relative.replace("__/", "../")).resolve()
    return str(path.relative_to(build.resolve()))


def objects(build):
    """{target: {source: object}}"""
    found = {}
    for path in build.rglob("*.c.o"):
        match = re.fullmatch(r"(.*/)?CMakeFiles/([^/]+)\.dir/(.*)\.o", str(path.relative_to(build)))
        if match:
            directory, target, relative = match.groups()
            source = source_of(build, directory or ".", relative)
            found.setdefault(target, {})[source] = path
    return found


def includes(source_dir, build):
    """{(file, header it includes, "")}, headers' own includes with them."""
    uses, source = set(), None
    for line in run("ninja", "-C", str(build), "-t", "deps").splitlines():
        if not line.startswith(" "):
            match = re.match(r"(?:(.*)/)?CMakeFiles/[^/]+\.dir/(.*)\.o: #deps", line)
            source = match and source_of(build, match.group(1) or ".", match.group(2))
            continue
        path = (build / line.strip()).resolve()
        if source and path.is_relative_to(source_dir) and not path.is_relative_to(build):
            uses.add((source, str(path.relative_to(source_dir)), ""))
    return {use for use in uses if use[0] != use[1]}


def calls(sources):
    """sources: {source: object} of one program.  {(file, file whose symbols it takes, " (symbols)")}"""
    taken, home = {}, {}
    for source, path in sources.items():
        for line in run("nm", str(path)).splitlines():
            kind, symbol = line.split()[-2:]
            if kind == "U":
                taken.setdefault(source, set()).add(symbol)
            elif kind in "TDBRVW":
                home[symbol] = source
    symbols = {}
    for source, names in taken.items():
        for name in names:
            if home.get(name, source) != source:
                symbols.setdefault((source, home[name]), set()).add(name)
    return {(*pair, f" ({', '.join(sorted(names))})") for pair, names in symbols.items()}


# --- the checks ---


def sources(source_dir):
    for top in ("plugin", "sample-host", "host-api"):
        for path in (source_dir / top).rglob("*.[ch]"):
            yield str(path.relative_to(source_dir)), path.read_text()


def is_about(room, path, text):
    """Whether a file of the room says what belongs in it."""
    if str(pathlib.PurePath(path).parent).removesuffix("/src") != room:
        return False
    name, words = room.split("/")[-1], re.sub(r"\s*\n \*\s*", " ", text)
    return f"What belongs in {name}/" in words or f"In {name}/ belongs" in words


def notice_faults():
    """The checks themselves, on a tree that is wrong."""
    uses = {
        ("plugin/relay/base/loop.c", "plugin/relay/serve/flow.h", ""),
        ("plugin/wire/config.h", "plugin/relay/base/list.h", ""),
        ("plugin/native/native.c", "plugin/docker/docker.h", ""),
        ("plugin/relay/serve/flow.c", "plugin/relay/base/loop.h", ""),
    }
    wrong = " ".join(sorted(upward(uses, "includes")))
    check(
        "an include that goes up, or to a neighbour, is noticed",
        [path for path in ("serve/flow.h", "base/list.h", "docker/docker.h") if f"includes plugin/{path}" not in wrong
         and f"includes plugin/relay/{path}" not in wrong]
        + ["base/loop.h is below"] * ("base/loop.h" in wrong),
    )
    ring = {("a.c", "b.c", " (b)"), ("b.c", "c.c", " (c)"), ("c.c", "a.c", " (a)"), ("c.c", "d.c", " (d)")}
    check(
        "a circle is noticed",
        [] if circles(ring) == {"a.c → b.c (b); b.c → c.c (c); c.c → a.c (a)"} else [str(circles(ring))],
    )


def main(source_dir, build):
    source_dir, build = pathlib.Path(source_dir).resolve(), pathlib.Path(build).resolve()
    notice_faults()
    found = objects(build)
    texts = dict(sources(source_dir))

    used_headers = includes(source_dir, build)
    check("the compiler said what is included", [] if len(used_headers) > 500 else [f"{len(used_headers)} only"])
    check("no include goes up", upward(used_headers, "includes"))
    for program, targets in PROGRAMS.items():
        parts = {source: path for target in targets.split() for source, path in found.get(target, {}).items()}
        uses = calls(parts)
        check(f"{program}: the objects are there", [] if len(uses) > 10 else [f"{len(uses)} uses only"])
        check(f"{program}: no call goes up", upward(uses, "calls"))
        check(f"{program}: no circle", circles(uses))
    check(
        f"no file is longer than {LONGEST_FILE} lines",
        [f"{path} has {text.count(chr(10))}" for path, text in texts.items() if text.count("\n") > LONGEST_FILE],
    )
    check(
        "each room says what belongs in it",
        [
            f"no file of {room}/ says \"What belongs in {room.split('/')[-1]}/\" or \"In {room.split('/')[-1]}/ belongs\""
            for room in sorted(ROOMS - {"host-api/include"})
            if "." not in room and not any(is_about(room, path, text) for path, text in texts.items())
        ],
    )
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
