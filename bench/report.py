# SPDX-License-Identifier: MIT
"""The benchmark's figures and the report made of them."""

import os
import pathlib
import re
import statistics
import sys

from forwarders import Gate, GateBefore, Program, run_command
from settings import BESIDE, IDLE_COUNTS, MANY, README, RESULTS, ROUNDS, START_ROUNDS

# In README.md.
SUMMARY_BEGIN = "<!-- ./dev bench writes what is between these two lines. -->\n"
SUMMARY_END = "<!-- end -->\n"
KEEP_LINE = "<!-- ./dev bench writes what is above this line, and keeps what is below it. -->\n"


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Results:
    def __init__(self):
        self.samples = {}  # forwarder's name → measure's name → list
        self.notes = []

    def add(self, forwarder, figures):
        for name, value in figures.items():
            self.samples.setdefault(forwarder.name, {}).setdefault(name, []).append(value)

    def note(self, forwarder, error):
        self.notes.append(f"{forwarder.name}: {error}")
        progress(self.notes[-1])

    def median(self, forwarder, name):
        samples = self.samples.get(forwarder.name, {}).get(name, [])
        known = [sample for sample in samples if sample is not None]
        return statistics.median(known) if known else None


# Key, heading, digits after the point.
SPEED = (
    ("bulk_1", "GB/s, 1 connection", 2),
    (f"bulk_{MANY}", f"GB/s, {MANY} connections", 2),
    ("cpu_gb_1", "CPU-s a GB, 1 connection", 2),
    (f"cpu_gb_{MANY}", f"CPU-s a GB, {MANY} connections", 2),
    ("rate", "new connections/s", 0),
    ("cpu_connection", "CPU µs a new connection", 0),
)
LATENCY = (
    ("p50", "p50, µs", 1),
    ("p99", "p99, µs", 1),
    ("beside_p50", f"p50 beside {BESIDE} transfers, µs", 1),
    ("beside_p99", f"p99 beside {BESIDE} transfers, µs", 0),
    ("beside_bulk", f"GB/s of those {BESIDE}", 2),
)
MEMORY = (
    ("start_ms", "start to first accept, ms", 1),
    ("pss", "idle, KiB", 0),
    *((f"pss_{count}", f"KiB with {count:,} idle", 0) for count in IDLE_COUNTS),
    *((f"idle_{count}", f"KiB for each of {count:,}", 2) for count in IDLE_COUNTS),
)

SUMMARY = (
    SPEED[0],
    SPEED[1],
    SPEED[2],
    SPEED[4],
    ("p50", "round trip p50, µs", 1),
    (f"pss_{IDLE_COUNTS[0]}", f"KiB with {IDLE_COUNTS[0]:,} idle connections", 0),
)

# Key, what it is, whether more is better, the ratio to the best peer that is aimed at.
AIMS = (
    ("bulk_1", "GB/s, 1 connection", True, 1.8),
    (f"bulk_{MANY}", f"GB/s, {MANY} connections", True, 1.4),
    ("cpu_gb_1", "CPU-s a GB, 1 connection", False, 0.35),
    ("rate", "new connections/s", True, 1.05),
    ("cpu_connection", "CPU µs a new connection", False, 0.85),
    ("p50", "round trip p50, µs", False, 0.95),
    ("pss", "idle memory, KiB", False, 0.1),
    *((f"pss_{count}", f"memory with {count:,} idle connections, KiB", False, 0.1) for count in IDLE_COUNTS),
)
START_AIM_MS = 5


def cell(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figures_table(results, columns, forwarders):
    rows = [
        [forwarder.name] + [cell(results.median(forwarder, key), digits) for key, _, digits in columns]
        for forwarder in forwarders
    ]
    return table([""] + [heading for _, heading, _ in columns], rows)


def best_peer(results, peers, key, more_is_better):
    known = [(results.median(peer, key), peer) for peer in peers]
    known = [(value, peer) for value, peer in known if value is not None]
    return (max if more_is_better else min)(known, key=lambda pair: pair[0], default=(None, None))


def figure(value):
    """With four digits that count."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def aims_table(results, gate, peers):
    rows = []
    for key, what, more_is_better, aim in AIMS:
        ours = results.median(gate, key)
        theirs, peer = best_peer(results, peers, key, more_is_better)
        row = [what, f"{'at least' if more_is_better else 'at most'} {aim} ×"]
        if ours is None or not theirs:
            rows.append([*row, "–", "–", "–", "not measured"])
            continue
        ratio = ours / theirs
        met = ratio >= aim if more_is_better else ratio <= aim
        rows.append(
            [*row, figure(ours), f"{figure(theirs)} ({peer.name})", f"{ratio:.2f} ×", "yes" if met else "no"]
        )
    start_ms = results.median(gate, "start_ms")
    met = "yes" if start_ms < START_AIM_MS else "no"
    rows.append(["start to first accept, ms", f"under {START_AIM_MS}", f"{start_ms:.1f}", "", "", met])
    return table(["", "aim", "ssh_gate", "best peer", "ratio", "met"], rows)


def machine():
    cpu = re.search(r"^model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory_kib = re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.MULTILINE)
    release = re.search(r'^PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)
    load_average = pathlib.Path("/proc/loadavg").read_text().split()[0]
    return (
        f"{cpu.group(1) if cpu else os.uname().machine}, {len(os.sched_getaffinity(0))} cores, "
        f"{int(memory_kib.group(1)) / (1 << 20):.0f} GiB, {release.group(1)}, Linux {os.uname().release}. "
        f"Load average when it began: {load_average}."
    )


def version(package):
    if package is None:
        return ""
    return run_command("dpkg-query", "-W", "-f", "${Version}", package)


def in_user_space(forwarders):
    """The gate first."""
    gate = next(forwarder for forwarder in forwarders if isinstance(forwarder, Gate))
    return [gate, *(forwarder for forwarder in forwarders if isinstance(forwarder, Program))]


def against_before(results, forwarders):
    """The gate against its earlier build; nothing if there is none."""
    gate, before = in_user_space(forwarders)[0], [one for one in forwarders if isinstance(one, GateBefore)]
    if not before:
        return ""
    rows = []
    for key, what, _ in (*SPEED, *LATENCY, *MEMORY):
        now, then = results.median(gate, key), results.median(before[0], key)
        if now is not None and then:
            rows.append([what, figure(now), figure(then), f"{now / then:.2f} ×"])
    return "## Against the earlier build\n\n" + table(["", "now", "before", "ratio"], rows) + "\n"


def render(results, forwarders, machine_text):
    gate, *peers = in_user_space(forwarders)
    notes = "".join(f"- {note}\n" for note in results.notes)
    return f"""# Benchmark

`./dev bench` writes this; bench/run says how it measures. Medians of {ROUNDS} interleaved rounds, one machine,
one run. {machine_text}

The client, the forwarder and the server share the machine's cores, so a forwarder that uses less of them
leaves more to the ends: that is a part of what it is worth, and why GB/s and CPU time belong together.

## Against the aims

The peers are the forwarders in user space. Direct and kernel DNAT (below) are bounds, not peers: neither ends a
connection and begins another, so they do half of the work.

{aims_table(results, gate, peers)}
{against_before(results, forwarders)}## Speed

{figures_table(results, SPEED, forwarders)}
CPU time is the forwarder's own. For direct and kernel DNAT there is no process to ask.

## Round trips of 64 bytes

{figures_table(results, LATENCY, forwarders)}
The first two columns have all processes on one CPU; beside transfers they run as the scheduler places them.

## Start and memory

{figures_table(results, MEMORY, [gate, *peers])}
PSS, which leaves out what the kernel holds for sockets. start: median of {START_ROUNDS}.

## What ran

{table(["", "version", "how"], [[one.name, version(one.package), one.how] for one in forwarders])}
{notes}"""


def write_summary(results, forwarders):
    before, begin, rest = README.read_text().partition(SUMMARY_BEGIN)
    _, end, after = rest.partition(SUMMARY_END)
    if not end:
        raise ValueError(f"{README} has no place for the figures: {SUMMARY_BEGIN.strip()} … {SUMMARY_END.strip()}")
    README.write_text(before + begin + "\n" + figures_table(results, SUMMARY, in_user_space(forwarders)) + "\n" + end + after)


def write_results(text):
    """Keeps what people wrote below the line that says so."""
    before = RESULTS.read_text() if RESULTS.exists() else ""
    _, line, kept = before.partition(KEEP_LINE)
    RESULTS.write_text(text + "\n" + KEEP_LINE + (kept if line else "\n"))
