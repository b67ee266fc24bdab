# SPDX-License-Identifier: MIT
"""What the benchmark compares: ssh_gate, and the forwarders beside it.  Each has start and stop; run says how
they are used.  They are alone in namespaces that run made."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from settings import BEFORE, IDLE_MANY, LOAD, PLUGIN, SOURCE_DIR, TIMEOUT_S

sys.path.insert(0, str(SOURCE_DIR / "tests"))
from python_launcher import Sidecar  # noqa: E402 (its directory is known only now)

SERVER = "127.0.0.2"
LISTEN = "127.0.0.1"
PORT = 2222  # the server's; and the gate's, which listens on the port that it dials


class Unavailable(Exception):
    """A forwarder does not run here, or cannot do what was asked; says why."""


# --- processes ---


def run_command(*command, text=None):
    """What a command prints."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{' '.join(command)}: no end within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise Unavailable(f"{command[0]}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout


def end_process(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def processes_named(pattern):
    """The pids of the processes whose name fits; /proc has no others than those of this benchmark."""
    pids = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and re.fullmatch(pattern, process_name(entry)):
                pids.append(int(entry.name))
    return pids


def process_name(entry):
    """For a relay with the target that it shows, which is its first argument: two gates may run."""
    name = (entry / "comm").read_text().strip()
    if name == "ssh-gate-relay":
        name += " " + (entry / "cmdline").read_text().split("\0")[1]
    return name


# --- the forwarders ---


class Direct:
    """The server itself: what the machine can do."""

    name = "direct"
    package = None
    how = "no forwarder"
    pattern = None  # of the names of its processes
    enter = []  # what runs a client where it reaches the forwarder
    address, port = SERVER, PORT
    idle_most = IDLE_MANY  # idle connections that it is asked to hold

    def start(self, scratch):
        pass

    def stop(self):
        pass


class Gate(Direct):
    name = "ssh_gate"
    how = "backend native, its event log on, limits above what is measured"
    options = {
        "max_connections_per_upstream": 16384,
        "max_dials_per_second": 1000000,
        "max_dials_per_second_per_upstream": 1000000,
    }
    address, port = LISTEN, PORT
    slug = "bench"
    plugin = PLUGIN

    def __init__(self):
        self.pattern = f"ssh-gate-relay native:{self.slug}:.*"
        self.sidecar = Sidecar(self.plugin)

    def prepare(self, stage_dir):
        stage_dir.mkdir(exist_ok=True)
        bottle = {"ssh": [{"Host": "server", "Hostname": SERVER, "Port": PORT}]}
        return json.loads(self.sidecar.prepare(json.dumps(bottle), self.slug, str(stage_dir)))

    def start(self, scratch):
        plan = self.prepare(scratch / self.slug)
        plan["internal_network"] = self.address
        plan["egress_network"] = "host"
        self.plan = json.dumps(plan)
        started = time.monotonic()
        self.target = self.sidecar.start(self.plan, "native", json.dumps(self.options))
        return started

    def stop(self):
        pids = processes_named(self.pattern)
        self.sidecar.stop(self.target)
        for pid in pids:  # the relay is nobody's child, so in this namespace it is process 1's: ours
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


class GateBefore(Gate):
    """Another build of the gate, to compare the present one with."""

    name = "ssh_gate before"
    address = "127.0.0.3"
    slug = "bench-before"
    plugin = BEFORE


class Program(Direct):
    """A forwarder that is a program in the foreground."""

    address = LISTEN

    def command(self, scratch):
        raise NotImplementedError

    def start(self, scratch):
        command = self.command(scratch)
        self.output = (scratch / f"{self.package}.log").open("w")
        started = time.monotonic()
        # A session of its own, as a service has, and as the relay has: some kernels share CPU time by session.
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=self.output, start_new_session=True
        )
        return started

    def stop(self):
        """Ends its session: children that it leaves behind become this process's, number 1 in here."""
        session = self.process.pid
        deadline = time.monotonic() + 5
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            while True:
                os.killpg(session, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
                os.waitpid(-session, os.WNOHANG)
                time.sleep(0.001)
        self.process.wait()
        self.output.close()


class Socat(Program):
    name = "socat"
    package = "socat"
    pattern = "sh|socat"
    idle_most = 1000
    port = 2301
    how = "the entrypoint script that `prepare` writes, with another port to listen on"

    def command(self, scratch):
        plan = Gate().prepare(scratch / "socat")
        script = pathlib.Path(plan["entrypoint_script"]).read_text()
        changed = script.replace(f"TCP-LISTEN:{PORT},", f"TCP-LISTEN:{self.port},")
        if changed == script:
            raise Unavailable(f"{plan['entrypoint_script']} does not listen on port {PORT}")
        path = scratch / "socat.sh"
        path.write_text(changed)
        return ["sh", path]


class Haproxy(Program):
    name = "HAProxy"
    package = "haproxy"
    pattern = "haproxy"
    port = 2302
    how = f"`mode tcp`, `option splice-auto`, `maxconn {IDLE_MANY}`, `maxpipes 64`"

    def command(self, scratch):
        path = scratch / "haproxy.cfg"
        path.write_text(f"""
global
    maxconn {IDLE_MANY}
    maxpipes 64
defaults
    mode tcp
    option splice-auto
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind {LISTEN}:{self.port}
    server server {SERVER}:{PORT}
""")
        return ["haproxy", "-db", "-f", path]


class Nginx(Program):
    name = "nginx"
    package = "nginx"
    pattern = "nginx"
    port = 2303
    how = f"stream module, `proxy_half_close on`, `worker_processes auto`, `worker_connections {2 * IDLE_MANY + 100}`"

    def command(self, scratch):
        path = scratch / "nginx.conf"
        path.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.error crit;
worker_processes auto;
worker_rlimit_nofile {2 * IDLE_MANY + 150};
events {{ worker_connections {2 * IDLE_MANY + 100}; }}
stream {{
    server {{
        listen {LISTEN}:{self.port};
        proxy_pass {SERVER}:{PORT};
        proxy_timeout 1h;
        proxy_half_close on;
    }}
}}
""")
        return ["nginx", "-e", scratch / "nginx.error", "-c", path]


class Pasta(Program):
    """It forwards into a namespace that it makes, on loopback, where it runs a server of its own."""

    name = "pasta"
    package = "passt"
    pattern = "pasta|passt.*"
    port = 2304
    how = "`--tcp-ports`: its splice path, from loopback to loopback of a namespace"

    def __init__(self):
        # It wants an interface with a default route.  This one leads nowhere.
        for words in (
            "link add bench0 type veth peer name bench1",
            "address add 192.0.2.1/24 dev bench0",
            "link set bench0 up",
            "link set bench1 up",
            "route add default via 192.0.2.254",
        ):
            run_command("ip", *words.split())

    def command(self, scratch):
        forward = f"{LISTEN}/{self.port}:{PORT}"
        options = ["--runas", "0:0", "--quiet", "--foreground", "--ipv4-only", "--config-net"]
        none = ["--tcp-ns", "none", "--udp-ports", "none", "--udp-ns", "none"]
        return ["pasta", *options, "--tcp-ports", forward, *none, LOAD, "server", LISTEN, str(PORT)]


class KernelDnat(Direct):
    """nftables, in a namespace of its own: connection tracking would slow the others down."""

    name = "kernel DNAT"
    package = "nftables"
    how = "nftables, `dnat` in the output hook, connection tracking"
    address, port = LISTEN, 2305
    rules = f"""
table ip bench {{
    chain output {{
        type nat hook output priority -100
        ip daddr {LISTEN} tcp dport {port} dnat to {SERVER}:{PORT}
    }}
}}
"""

    def start(self, scratch):
        self.process = start_server("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
        try:
            self.enter = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]
            set_network_up(self.enter)
            run_command(*self.enter, "nft", "-f", "-", text=self.rules)
        except Unavailable:
            self.stop()
            raise

    def stop(self):
        end_process(self.process)


def set_network_up(enter):
    """Loopback, and settings that make a figure depend neither on the last one nor on the machine's."""
    run_command(*enter, "ip", "link", "set", "lo", "up")
    for setting in (
        "ip_local_port_range=10000 65535",
        "tcp_max_tw_buckets=1000",  # an ended connection does not hold its port for a minute
        "tcp_congestion_control=reno",  # every kernel has it; there is no loss here
    ):
        run_command(*enter, "sysctl", "-qw", f"net.ipv4.{setting}")


def start_server(*wrapper):
    process = subprocess.Popen([*wrapper, LOAD, "server", SERVER, str(PORT)], stdout=subprocess.PIPE)
    if not process.stdout.readline():  # it prints a line when it listens
        end_process(process)
        raise Unavailable("the server does not listen")
    return process
