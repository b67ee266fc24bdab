# SPDX-License-Identifier: MIT
"""Where the benchmark's files are, and how much it measures."""

import os
import pathlib
import resource

SOURCE_DIR = pathlib.Path(__file__).resolve().parent.parent
BUILD_DIR = pathlib.Path(os.environ.get("BUILD_DIR", SOURCE_DIR / "build")).resolve()
LOAD = str(BUILD_DIR / "bench" / "load")
PLUGIN = str(BUILD_DIR / "plugin" / "ssh_gate.so")
BEFORE = os.environ.get("BENCH_BEFORE")  # ssh_gate.so of an earlier build, measured beside the present one
RESULTS = SOURCE_DIR / "bench" / "RESULTS.md"
README = SOURCE_DIR / "README.md"

QUICK = os.environ.get("BENCH_QUICK") == "1"
ROUNDS = 2 if QUICK else 5
BULK_BYTES = 300_000_000 if QUICK else 2_000_000_000  # of a measurement, over all its connections
MANY = 8  # connections at once, for bulk and for rate
RATE_SECONDS = 0.4 if QUICK else 1.5
PING_SECONDS = 0.3 if QUICK else 1
BESIDE = 4  # transfers beside which a session is timed
BESIDE_SECONDS = 0.5 if QUICK else 1.5
START_ROUNDS = 3 if QUICK else 11
SETTLE_S = 0.1  # until the end of a load has gone through a forwarder
TIMEOUT_S = 30

# Two descriptors a connection, and some for the forwarder itself.
IDLE_MANY = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 400) // 2)
IDLE_COUNTS = [1000] if QUICK else [1000, IDLE_MANY]
