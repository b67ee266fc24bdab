#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The system calls of the relay's sandbox are those that its code makes: none is missing, none is too many.

    sandbox_calls.py FILTERS RELAY CARES_ARCHIVE OBJECT...

FILTERS is the directory of what sandbox_filter.c printed for the build, RELAY is the linked program with its
symbols, CARES_ARCHIVE is libcares.a, and the OBJECTs are the relay's own.

What is allowed is found by running the filter itself on every call.  What is needed is found in the symbols
(nm) that the objects take from the C library: CALLS below says which system calls a function of the C
library makes, OTHER_FUNCTIONS which functions make none.  A function in neither fails the test, so no call
comes in unseen.  Only objects that run behind the sandbox count: those of serve/, dial/, base/ and the main
file, and what these use of wire/ and common/.

The C library is not disassembled: where its wrappers put the number of a call differs from version to
version, while their names do not.  That CALLS is right about this machine's C library is what the tests
show that run the whole relay behind the filter (test_sandbox and all that start a gate).
"""

import os
import platform
import re
import subprocess
import sys

# Functions of the C library: the system calls that they make, on any machine type and in any version.
CALLS = {
    # descriptors
    "accept4": "accept4",
    "bind": "bind",
    "close": "close",
    "closefrom": "close_range",
    "connect": "connect",
    "dup2": "dup2 dup3",
    "epoll_create1": "epoll_create1",
    "epoll_ctl": "epoll_ctl",
    "epoll_wait": "epoll_wait epoll_pwait",
    "fcntl": "fcntl",
    "fstat": "fstat newfstatat",
    "ftruncate": "ftruncate",
    "getsockname": "getsockname",
    "getsockopt": "getsockopt",
    "ioctl": "ioctl",
    "if_indextoname": "socket ioctl",
    "if_nametoindex": "socket ioctl",
    "open": "openat",
    "pipe2": "pipe2",
    "poll": "poll",
    "pread": "pread64",
    "pwrite": "pwrite64",
    "read": "read",
    "recv": "recvfrom",
    "recvfrom": "recvfrom",
    "recvmsg": "recvmsg",
    "send": "sendto",
    "sendmsg": "sendmsg",
    "sendto": "sendto",
    "setsockopt": "setsockopt",
    "shutdown": "shutdown",
    "socket": "socket",
    "socketpair": "socketpair",
    "splice": "splice",
    "stat": "stat newfstatat",
    "write": "write",
    "writev": "writev",
    # files by name
    "chdir": "chdir",
    "fopen": "openat",
    "gethostname": "uname",
    # memory
    "calloc": "brk mmap munmap",
    "free": "brk munmap madvise",
    "malloc": "brk mmap munmap",
    "malloc_trim": "brk madvise",
    "realloc": "brk mmap munmap mremap",
    "strdup": "brk mmap munmap",
    # time and random numbers
    "arc4random_buf": "getrandom",
    "clock_gettime": "clock_gettime",
    "getrandom": "getrandom",
    "gettimeofday": "gettimeofday",
    "nanosleep": "clock_nanosleep",
    "time": "time",
    # processes and their settings
    "_exit": "exit_group",
    "fork": "clone",
    "getpid": "getpid",
    "getrlimit": "prlimit64",
    "getsid": "getsid",
    "prctl": "prctl",
    "setrlimit": "prlimit64",
    "setsid": "setsid",
    "sigaction": "rt_sigaction",
    "signal": "rt_sigaction",
    "sigprocmask": "rt_sigprocmask",
    "sigtimedwait": "rt_sigtimedwait",
    "umask": "umask",
    "waitid": "waitid",
    "waitpid": "wait4",
}

# Functions of the C library that make no system call, or only those of malloc and free.
OTHER_FUNCTIONS = set(
    """
    __errno_location __fdelt __stack_chk_fail __stack_chk_guard _GLOBAL_OFFSET_TABLE_ in6addr_any in6addr_loopback stderr
    bcmp memchr memcmp memcpy memmove memset snprintf sigaddset sigemptyset stpcpy strcasecmp strchr strcmp
    strcpy strcspn strerror strlen strncasecmp strncmp strncpy strnlen strrchr strsep strspn strstr strtok_r
    strtol strtoll strtoul vsnprintf inet_ntop inet_pton
    """.split()
)

# Functions that a room calls only before the sandbox closes, or in a process that is not the relay.
BEFORE_SANDBOX = {
    "base": {
        "dup2": "event_log.c takes standard error over",
        "epoll_create1": "loop.c makes the loop",
        "getrlimit": "event_log.c lifts the bound on the size of files",
        "setrlimit": "event_log.c lifts the bound on the size of files",
    },
    "dial": {
        "closefrom": "the process of dns_opener.c, as it begins",
        "dup2": "the process of dns_opener.c, as it begins",
        "fork": "dns_opener.c makes its process",
        "gethostname": "dns_files.c: the search list where resolv.conf has none; EPERM means none",
        "open": "dns_files.c, in the process of dns_opener.c and before the sandbox",
        "prctl": "the process of dns_opener.c, as it begins",
        "socketpair": "dns_opener.c makes its process",
        "stat": "dns_files.c, in the process of dns_opener.c and before the sandbox",
    },
    "main": {
        name: "the first steps of the process"
        for name in "chdir closefrom fwrite getsid prctl setsid signal sigprocmask umask".split()
    },
}

# Functions that setup/ calls behind the sandbox.
SETUP_AFTERWARDS = {
    "closefrom": "a start from arguments that failed",
    "sigtimedwait": "a takeover in a container: the signal to go on",
}

# Functions that the process of dns_opener.c calls in its own, narrower sandbox; openat(2) has a rule for the
# flags of its two files.
OPENER_FUNCTIONS = "_exit clock_gettime close fstat recv sendmsg".split()

# Calls that no symbol shows.
WITHOUT_SYMBOL = {
    "restart_syscall": "made by the kernel, for epoll_wait(2) after the process was stopped",
}

# Calls of libraries in some of the versions that the relay is built with.
OTHER_VERSIONS = {
    "getrandom": "c-ares since 1.20",
    "gettimeofday": "c-ares before 1.34, where there is no clock_gettime(2)",
    "time": "c-ares since 1.22",
    "writev": "c-ares before 1.34, over TCP",
}

# Functions that c-ares has and that nothing in the relay makes it call behind the sandbox, or that it does
# without: their calls need not be allowed, and must not be for their sake.
CARES_DOES_WITHOUT = {
    "bind": "only for a local address that the program gives",
    "fopen": "its files, which the relay reads for it (dns_files.c)",
    "gethostname": "the domain of this machine, as the relay gives it a search list",
    "stat": "whether its files have changed, which the relay looks after",
}


# ---- the filter ----

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
ACTION_ALLOW, ACTION_ERRNO = 0x7FFF0000, 0x00050000

# Arguments with which calls are tried that are allowed for some only: socket(AF_INET, SOCK_STREAM),
# ioctl(0, SIOCGIFINDEX).
ARGUMENTS = [(0, 0, 0), (2, 1, 0), (0, 0x8933, 0)]


def run_filter(program, number, arguments):
    """What the instructions (classic BPF on struct seccomp_data) return."""
    words = {0: number, 4: ARCHITECTURES[platform.machine()]}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        words[16 + 8 * index] = value & 0xFFFFFFFF
        words[20 + 8 * index] = value >> 32
    accumulator, position = 0, 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        if code == 0x20:
            accumulator = words[operand]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x05:
            position += operand
        elif code == 0x06:
            return operand
        elif code in (0x15, 0x25, 0x35, 0x45):
            true = {
                0x15: accumulator == operand,
                0x25: accumulator > operand,
                0x35: accumulator >= operand,
                0x45: accumulator & operand != 0,
            }[code]
            position += if_true if true else if_false
        else:
            raise ValueError(f"instruction {code:#x}, which libseccomp did not use before")


def read_filter(filter_path, names_path):
    """The names of all calls, of those that are allowed for some arguments, and of those refused."""
    with open(filter_path, encoding="utf-8") as file:
        program = [
            tuple(int(value, 0) for value in line.strip("{},\n").split(","))
            for line in file
        ]
    with open(names_path, encoding="utf-8") as file:
        names = ["".join(re.findall("'(.)'", line)) for line in file]
    allowed, refused = set(), set()
    for number, name in enumerate(names):
        actions = {
            run_filter(program, number, arguments) & 0xFFFF0000
            for arguments in ARGUMENTS
        }
        if name and ACTION_ALLOW in actions:
            allowed.add(name)
        elif name and ACTION_ERRNO in actions:
            refused.add(name)
    return set(names) - {""}, allowed, refused


# ---- symbols ----


def function_name(symbol):
    """As the source has it: without fortification, large files, and what a newer C standard changes."""
    name = symbol.split("@")[0]
    name = re.sub(r"^__isoc(99|23)_", "", name)
    name = re.sub(r"^__(\w+)_chk$", r"\1", name) if name != "__stack_chk_fail" else name
    if name.endswith("64") and name[:-2] in CALLS:
        name = name[:-2]
    return name


def read_symbols(*paths):
    """Of each object: the names that it defines, and those that it takes from elsewhere."""
    text = subprocess.run(
        ["nm", "--format=posix", "-A", *paths], check=True, capture_output=True, text=True
    ).stdout
    objects = {}
    for line in text.splitlines():
        place, _, rest = line.rpartition(": ")
        name, kind = rest.split()[:2]
        defined, undefined = objects.setdefault(place, (set(), set()))
        if kind in "Uwv":
            undefined.add(name)
        elif kind.isupper():
            defined.add(name)
    return objects


def room(path):
    """The folder of a source of the relay, below relay/ or plugin/; main for those in relay/ itself."""
    source = path.split(".dir/")[1].replace("__/", "")
    return os.path.dirname(source) or "main"


def serving_objects(objects):
    """What runs behind the sandbox, and all that it uses, but for setup/ and the command `control`."""
    candidates = {
        path: symbols
        for path, symbols in objects.items()
        if room(path) != "setup" and "control_command" not in path
    }
    reached = {path for path in candidates if room(path) in ("base", "dial", "serve", "main")}
    while True:
        wanted = set().union(*(candidates[path][1] for path in reached))
        more = {path for path, (defined, _) in candidates.items() if defined & wanted} - reached
        if not more:
            return {path: candidates[path] for path in reached}
        reached |= more


# ---- the comparison ----


class Comparison:
    """What the symbols need, against a filter."""

    def __init__(self, names, relay, cares_archive, object_paths):
        objects = read_symbols(*map(os.path.normpath, object_paths))
        self.names = names
        self.serving = serving_objects(objects)
        self.own = set().union(*(defined for defined, _ in objects.values()))
        self.setup = set().union(
            *(undefined for path, (_, undefined) in objects.items() if room(path) == "setup")
        )
        linked = set().union(*(defined for defined, _ in read_symbols(relay).values()))
        self.cares = set()
        for path, (defined, undefined) in read_symbols(cares_archive).items():
            if "ares_event" in path:  # its own thread, which the relay does not ask for
                continue
            if any(name.startswith("ares_") and name in linked for name in defined):
                self.cares |= {function_name(symbol) for symbol in undefined}

    def calls(self, function):
        """Those that this machine has; a function that is called as a system call makes that one."""
        default = function if function in self.names else ""
        return set(CALLS.get(function, default).split()) & self.names

    def faults(self, allowed, refused):
        """One line for each call that is missing, or that nothing needs."""
        faults, needed = set(), set()
        for path, (_, undefined) in self.serving.items():
            before = BEFORE_SANDBOX.get(room(path), {})
            for function in map(function_name, undefined):
                if function in self.own or function in before or function in OTHER_FUNCTIONS:
                    continue
                if function.startswith("ares_"):
                    continue
                if function not in CALLS:
                    faults.add(
                        f"{source(path)} calls {function}(): name it in CALLS, OTHER_FUNCTIONS or "
                        "BEFORE_SANDBOX of this test"
                    )
                for call in self.calls(function):
                    needed.add(call)
                    if call not in allowed:
                        faults.add(f"{call} is not allowed, and {source(path)} calls {function}()")
        for function in self.cares - CARES_DOES_WITHOUT.keys():
            for call in self.calls(function):
                needed.add(call)
                if call not in allowed | refused:
                    faults.add(f"{call} is neither allowed nor refused, and c-ares calls {function}()")
        for function in SETUP_AFTERWARDS:
            if function in self.setup:
                needed |= self.calls(function)
            else:
                faults.add(f"nothing in setup/ calls {function}(), as SETUP_AFTERWARDS has it")
        needed |= (WITHOUT_SYMBOL.keys() | OTHER_VERSIONS.keys()) & self.names
        for call in needed - allowed - refused:
            faults.add(f"{call} is neither allowed nor refused, and is needed")
        for call in (WITHOUT_SYMBOL.keys() | OTHER_VERSIONS.keys()) & self.names - allowed:
            faults.add(f"{call} is not allowed, and is needed")
        for call in allowed - needed:
            faults.add(f"{call} is allowed, and nothing calls it")
        return sorted(faults)


    def opener_faults(self, allowed):
        """The same for the process of dns_opener.c, whose functions OPENER_FUNCTIONS lists."""
        used = set().union(
            *(symbols[1] for path, symbols in self.serving.items() if room(path) != "serve")
        )
        needed = set().union(*(self.calls(function) for function in OPENER_FUNCTIONS))
        needed |= WITHOUT_SYMBOL.keys()
        return (
            [f"nothing calls {name}()" for name in OPENER_FUNCTIONS if name not in used]
            + [f"{call} is not allowed, and is needed" for call in sorted(needed - allowed)]
            + [f"{call} is allowed, and nothing calls it" for call in sorted(allowed - needed)]
        )


def source(path):
    """For people: the file's path below relay/."""
    return path.split(".dir/")[1].replace("__/", "../").removesuffix(".o").removesuffix(":")


passed = failed = 0


def check(name, faults):
    """Passes if there are none."""
    global passed, failed
    if faults:
        failed += 1
        print(f"FAILED: {name}")
        for fault in faults:
            print(f"    {fault}")
    else:
        passed += 1
        print(f"ok: {name}")


def main(filters, relay, cares_archive, *object_paths):
    """Compares, and then shows that the comparison would have found a fault."""
    assert cares_archive.endswith(".a"), f"{cares_archive} is not libcares.a"
    names_path = os.path.join(filters, "sandbox_names.inc")
    names, allowed, refused = read_filter(os.path.join(filters, "sandbox_filter.inc"), names_path)
    opener = read_filter(os.path.join(filters, "sandbox_opener_filter.inc"), names_path)[1]
    comparison = Comparison(names, relay, cares_archive, object_paths)
    rooms = {room(path) for path in comparison.serving}
    check(
        "there are objects of each room",
        [f"no object of {name}/" for name in ("base", "dial", "main", "serve") if name not in rooms],
    )
    check("the filter is what the code needs", comparison.faults(allowed, refused))
    check("the filter of the process that opens files as well", comparison.opener_faults(opener))
    check(
        "a call less is noticed, whichever it is",
        [
            f"without {call} there is no fault"
            for call in sorted(allowed)
            if not any(
                fault.startswith(f"{call} is n") and fault not in comparison.faults(allowed, refused)
                for fault in comparison.faults(allowed - {call}, refused)
            )
        ],
    )
    check(
        "a call more is noticed, whichever it is",
        [
            f"with {call} there is no fault"
            for call in sorted(names - allowed)
            if f"{call} is allowed, and nothing calls it"
            not in comparison.faults(allowed | {call}, refused - {call})
        ],
    )
    print(f"FIGURE calls the relay's filter allows: {len(allowed)}, refuses: {len(refused)}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
