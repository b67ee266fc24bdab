#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A launcher without the loader library: ctypes alone.

    python_launcher.py PLUGIN

Shows what a launcher in any language with a foreign-function interface does with a sidecar: mirror the
structs of bottle/sidecar.h, call bottle_sidecar_entry, then the operations, and release what comes out.
It takes one gate through its whole life, in front of a server of its own, and checks each step.
"""

import ctypes
import json
import os
import random
import socket
import sys
import tempfile
import threading

# --- bottle/sidecar.h, in ctypes ---

ABI_MAJOR = 1
OK, INVALID, CONFLICT, NOT_FOUND = 0, 1, 2, 6

# void (*log)(void *log_context, enum bottle_log_level level, const char *text)
LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class Host(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("log", LogFunction),
        ("log_context", ctypes.c_void_p),
    ]


# In the structs below a string that goes in is a c_char_p, which ctypes makes of bytes.  One that comes
# out is a c_void_p: ctypes would turn a c_char_p into bytes of its own, and the pointer, which release()
# needs, would be lost.


class Prepare(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("host", ctypes.POINTER(Host)),
        ("bottle", ctypes.c_char_p),
        ("slug", ctypes.c_char_p),
        ("stage_dir", ctypes.c_char_p),
        ("plan", ctypes.c_void_p),
        ("message", ctypes.c_void_p),
    ]


class Start(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("host", ctypes.POINTER(Host)),
        ("plan", ctypes.c_char_p),
        ("backend", ctypes.c_char_p),
        ("options", ctypes.c_char_p),
        ("takeover", ctypes.c_char_p),
        ("target", ctypes.c_void_p),
        ("message", ctypes.c_void_p),
    ]


class Stop(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("host", ctypes.POINTER(Host)),
        ("target", ctypes.c_char_p),
        ("message", ctypes.c_void_p),
    ]


class Drain(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("host", ctypes.POINTER(Host)),
        ("target", ctypes.c_char_p),
        ("grace_ms", ctypes.c_int64),
        ("message", ctypes.c_void_p),
    ]


class Status(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("host", ctypes.POINTER(Host)),
        ("target", ctypes.c_char_p),
        ("status", ctypes.c_void_p),
        ("message", ctypes.c_void_p),
    ]


class Table(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("abi_major", ctypes.c_uint32),
        ("abi_minor", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("version", ctypes.c_char_p),
        ("description", ctypes.c_char_p),
        ("backends", ctypes.POINTER(ctypes.c_char_p)),
        ("prepare", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Prepare))),
        ("start", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Start))),
        ("stop", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Stop))),
        ("drain", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Drain))),
        ("status", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Status))),
        ("release", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
    ]


class SidecarError(Exception):
    """An operation failed; result is its enum bottle_result."""

    def __init__(self, result, message):
        super().__init__(message)
        self.result = result


class Sidecar:
    """A plugin, and its operations as methods that take and return str and raise SidecarError."""

    def __init__(self, path):
        # RTLD_NOW | RTLD_LOCAL, as bottle/host.h has it.
        library = ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
        library.bottle_sidecar_entry.restype = ctypes.POINTER(Table)
        pointer = library.bottle_sidecar_entry()
        if not pointer:
            raise SidecarError(INVALID, f"{path}: no table")
        self.table = pointer.contents
        if self.table.abi_major != ABI_MAJOR or self.table.struct_size < ctypes.sizeof(Table):
            raise SidecarError(INVALID, f"{path}: not a sidecar of ABI {ABI_MAJOR}.0 or later")
        self.log = []
        # Kept with the object: the callback must live as long as a plugin may call it.
        self._log_function = LogFunction(lambda _, level, text: self.log.append((level, text.decode())))
        self._host = Host(ctypes.sizeof(Host), self._log_function, None)

    def backends(self):
        names = []
        while self.table.backends[len(names)] is not None:
            names.append(self.table.backends[len(names)].decode())
        return names

    def _take(self, pointer):
        """The text at pointer, which is then given back to the plugin."""
        if not pointer:
            return None
        text = ctypes.string_at(pointer).decode()
        self.table.release(pointer)
        return text

    def _call(self, operation, arguments, output=None):
        arguments.struct_size = ctypes.sizeof(arguments)
        arguments.host = ctypes.pointer(self._host)
        result = operation(ctypes.byref(arguments))
        message = self._take(arguments.message)
        if result != OK:
            raise SidecarError(result, message)
        return self._take(getattr(arguments, output)) if output else None

    def prepare(self, bottle, slug, stage_dir):
        arguments = Prepare(bottle=bottle.encode(), slug=slug.encode(), stage_dir=stage_dir.encode())
        return self._call(self.table.prepare, arguments, "plan")

    def start(self, plan, backend, options):
        arguments = Start(plan=plan.encode(), backend=backend.encode(), options=options.encode())
        return self._call(self.table.start, arguments, "target")

    def stop(self, target):
        self._call(self.table.stop, Stop(target=target.encode()))

    def drain(self, target, grace_ms):
        self._call(self.table.drain, Drain(target=target.encode(), grace_ms=grace_ms))

    def status(self, target):
        return self._call(self.table.status, Status(target=target.encode()), "status")


# --- the upstream: a server on 127.0.0.2, and the same port of 127.0.0.1 left for the gate ---

GATE_ADDRESS = "127.0.0.1"
UPSTREAM_ADDRESS = "127.0.0.2"
BANNER = b"SSH-2.0-upstream\r\n"
TIMEOUT_S = 10


def listen_on_free_port():
    """A listener whose port number is free on GATE_ADDRESS as well, below those the kernel hands out."""
    while True:
        port = random.randrange(20000, 30000)
        try:
            with socket.create_server((GATE_ADDRESS, port)):
                return socket.create_server((UPSTREAM_ADDRESS, port))
        except OSError:
            continue


def serve(listener):
    """Says who it is, then sends everything back.  Ends with the program."""

    def echo(connection):
        with connection:
            connection.sendall(BANNER)
            while data := connection.recv(65536):
                connection.sendall(data)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def receive(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            break
        data += part
    return data


def echoes(connection, text):
    connection.sendall(text)
    return receive(connection, len(text)) == text


def connect(port):
    return socket.create_connection((GATE_ADDRESS, port), timeout=TIMEOUT_S)


def refuses(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    return False


# --- the steps ---

passed = 0
failed = 0


def check(name, condition):
    global passed, failed
    print(f"{'ok     ' if condition else 'FAILED '} {name}")
    if condition:
        passed += 1
    else:
        failed += 1


def check_fails(name, result, operation, *arguments):
    """The operation fails with this result, and says why in one line."""
    try:
        operation(*arguments)
    except SidecarError as error:
        message = str(error)
        check(f"{name}: {message}", error.result == result and message and "\n" not in message)
    else:
        check(f"{name}: it succeeded", False)


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def check_table(sidecar):
    table = sidecar.table
    check("the table names ssh_gate", table.name == b"ssh_gate")
    check("version and description are there", bool(table.version and table.description))
    check("the default backend is native", sidecar.backends()[0] == "native")


def check_prepare(sidecar, port, slug, stage_dir):
    """Returns the plan, with the networks filled in."""
    bottle = {"ssh": [{"Host": "example", "Hostname": UPSTREAM_ADDRESS, "Port": port}]}
    plan = json.loads(sidecar.prepare(json.dumps(bottle), slug, stage_dir))
    check("the plan is ours", (plan["sidecar"], plan["slug"]) == ("ssh_gate", slug))
    upstream = plan["upstreams"][0]
    check(
        "it has the upstream",
        (upstream["listen_port"], upstream["upstream_host"], upstream["upstream_port"])
        == (port, UPSTREAM_ADDRESS, port),
    )
    check("the networks are left to the launcher", plan["internal_network"] == plan["egress_network"] == "")
    check("the entrypoint script is there", os.path.isfile(os.path.join(stage_dir, "ssh_gate_entrypoint.sh")))

    bottle["ssh"][0]["Prot"] = 22
    check_fails("prepare refuses a typo", INVALID, sidecar.prepare, json.dumps(bottle), slug, stage_dir)
    check_fails("start refuses empty networks", INVALID, sidecar.start, json.dumps(plan), "native", "{}")
    plan["internal_network"] = GATE_ADDRESS
    plan["egress_network"] = "host"
    return plan


def check_running(sidecar, plan, target, port):
    check("the target names backend and slug", target.startswith(f"native:{plan['slug']}:"))
    with connect(port) as connection:
        check("the server answers through the gate", receive(connection, len(BANNER)) == BANNER)
        check("and echoes", echoes(connection, b"SSH-2.0-launcher\r\n" + b"x" * 100000))
        status = json.loads(sidecar.status(target))
        check(
            "status says what runs",
            (status["sidecar"], status["backend"], status["slug"], status["target"], status["state"])
            == ("ssh_gate", "native", plan["slug"], target, "serving"),
        )
        check("status says where", status["address"] == GATE_ADDRESS and len(status["upstreams"]) == 1)
    check_fails("a second start is refused", CONFLICT, sidecar.start, json.dumps(plan), "native", "{}")


def check_stop(sidecar, target, port):
    sidecar.stop(target)
    check("after stop nothing listens", refuses(port))
    check("stop again succeeds", sidecar.stop(target) is None)
    check_fails("status finds nothing", NOT_FOUND, sidecar.status, target)


def check_drain(sidecar, plan, port):
    target = sidecar.start(json.dumps(plan), "native", "{}")
    try:
        with connect(port) as connection:
            receive(connection, len(BANNER))
            echoes(connection, b"SSH-2.0-launcher\r\n")
            sidecar.drain(target, TIMEOUT_S * 1000)
            check("a draining gate accepts nothing new", refuses(port))
            check("what is established goes on", echoes(connection, b"still here"))
    finally:
        sidecar.stop(target)


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python_launcher.py PLUGIN")
    sidecar = Sidecar(sys.argv[1])
    check_table(sidecar)

    listener = listen_on_free_port()
    port = listener.getsockname()[1]
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    slug = f"python-{os.getpid()}"
    with tempfile.TemporaryDirectory() as stage_dir:
        plan = check_prepare(sidecar, port, slug, stage_dir)
        target = sidecar.start(json.dumps(plan), "native", "{}")
        try:
            check_running(sidecar, plan, target, port)
        finally:
            check_stop(sidecar, target, port)
        check_drain(sidecar, plan, port)
    check("no child was left to reap", not has_children())
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
