"""Processes under measurement: free ports, bounded waits, CPU time and memory of a process tree, a counting sink.

Everything here runs on Linux /proc and needs no rights. Only processes started by this module are ever ended, and
only by their own process id.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS_MAX = 20
POLL_SECONDS = 0.05


class Failure(Exception):
    """Something a person has to know about; the text says what to do."""


def free_port(address="127.0.0.1"):
    """A TCP port nobody listens on now. Another program may take it before we do; then the start fails and says so."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def program(name, *folders):
    """The full path of a program: in one of the folders, on the PATH, or where Debian keeps daemons."""
    for folder in (*folders, *os.environ.get("PATH", "").split(":"), "/usr/sbin", "/usr/lib/postfix/sbin"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise Failure(f"the program {name} is missing: run tools/packages bench, or tools/build for our own")


def raise_file_limit():
    """Thousands of connections need descriptors; the hard limit is as far as a program may go."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def wait_until(done, seconds_max, what, process=None):
    """Polls `done` until it is true. Fails after `seconds_max`, or when `process` ends meanwhile."""
    end = time.monotonic() + seconds_max
    while not done():
        if process is not None and process.poll() is not None:
            raise Failure(f"{what}: the program ended with status {process.returncode}")
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds_max} seconds")
        time.sleep(POLL_SECONDS)


def listens(address, port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def stop(process, how=signal.SIGTERM):
    """Ends a process we started, kindly first."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the program's name, or None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def children_of(root):
    """Process ids of `root` and all its living descendants."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(name)
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(parents.get(pid, ()))
    return found


def tree_cpu_seconds(root):
    """CPU time of a process tree so far, user and system, of the living and of the ended.

    A parent's own counters include its children once it has waited for them, so the sum over the living processes of
    (own + waited-for) misses nothing. Resolution is the kernel's tick, 10 ms, once per process.
    """
    ticks = 0
    for pid in children_of(root):
        fields = stat_fields(pid)
        if fields:
            ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / TICKS_PER_SECOND


def tree_memory_kib(root):
    """Proportional set size: pages shared between processes are counted once."""
    total = 0
    for pid in children_of(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.MULTILINE).group(1))
        except (OSError, AttributeError):
            pass
    return total


class SmtpSink:
    """Postfix's smtp-sink: accepts everything, counts messages."""

    def __init__(self, folder):
        self.port = free_port()
        self.count = 0
        command = [program("smtp-sink"), "-c", f"127.0.0.1:{self.port}", "1000"]
        if os.geteuid() == 0:
            command[1:1] = ["-u", "nobody"]  # it refuses to run as root
        self.errors = open(os.path.join(folder, "smtp-sink.log"), "wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL)
        # Bytes, not lines: the counters overwrite each other with carriage returns.
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_until(lambda: listens("127.0.0.1", self.port), 10, "starting smtp-sink", self.process)

    def _read(self):
        rest = b""
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            found = re.findall(rb"mesg=(\d+)\r", rest + chunk)
            if found:
                self.count = int(found[-1])
            rest = (rest + chunk)[-64:]

    def stop(self):
        stop(self.process)
        self.errors.close()


class OwnSink:
    """sluice-sink as one provider that takes everything."""

    def __init__(self, folder, build):
        self.socket = os.path.join(folder, "sink.socket")
        output = os.path.join(folder, "sluice-sink.log")
        self.log = open(output, "wb")
        self.process = subprocess.Popen(
            [program("sluice-sink", os.path.join(build, "bin")), "--listen", "127.0.0.1:0",
             "--stats-socket", self.socket], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

        def said():
            with open(output, encoding="utf-8", errors="replace") as file:
                return file.read()

        wait_until(lambda: "\nready\n" in said(), 10, "starting sluice-sink", self.process)
        self.port = int(re.search(r"^listen .*:(\d+)$", said(), re.MULTILINE).group(1))

    @property
    def count(self):
        """Messages so far. Asked for twenty times a second while a round ends, not more."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(5)
            door.connect(self.socket)
            door.sendall(b"GET / HTTP/1.0\r\n\r\n")
            reply = b""
            while chunk := door.recv(65536):
                reply += chunk
        figures = json.loads(reply.partition(b"\r\n\r\n")[2])
        return sum(provider["messages"] for provider in figures["providers"])

    def stop(self):
        stop(self.process)
        self.log.close()


def smtp_source_command(target, messages, connections, size):
    """The load: Postfix's smtp-source, one message at a time on each connection, connections kept open."""
    return [program("smtp-source"), "-d", "-s", str(connections), "-m", str(messages), "-l", str(size),
            "-M", "load.example", "-f", "sender@load.example", "-t", "rcpt@peer.example", target]


def own_load_command(build, target, messages, connections, size):
    """The same by sluice-load, which pipelines."""
    return [program("sluice-load", os.path.join(build, "bin")), "--to", target, "--messages", str(messages),
            "--connections", str(connections), "--size", str(size), "--domain", "peer.example"]


class Run:
    """What one side did with one load."""

    def __init__(self, name, messages, accept_seconds, seconds, cpu_seconds, memory_kib):
        self.name = name
        self.messages = messages
        self.accept_rate = messages / accept_seconds
        self.rate = messages / seconds
        self.cpu_us = cpu_seconds * 1e6 / messages
        self.memory_mib = memory_kib / 1024

    HEAD = f"{'':12}{'messages/s':>12}{'accepted/s':>12}{'CPU us/msg':>12}{'memory MiB':>12}"

    def __str__(self):
        return (f"{self.name:12}{self.rate:12.0f}{self.accept_rate:12.0f}{self.cpu_us:12.1f}"
                f"{self.memory_mib:12.1f}")


def measure(side, sink, load, messages, seconds_max):
    """Runs the load against the side until the sink has everything; CPU time is the side's alone."""
    before_count, before_cpu, begun = sink.count, tree_cpu_seconds(side.pid), time.monotonic()
    memory = 0
    with open(os.path.join(side.folder, "load.log"), "ab") as log:
        process = subprocess.Popen(load, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        def injected():
            nonlocal memory
            memory = max(memory, tree_memory_kib(side.pid))
            return process.poll() is not None

        end = begun + seconds_max
        while not injected():
            if time.monotonic() > end:
                raise Failure(f"{side.name}: the load did not end within {seconds_max} seconds")
            time.sleep(0.5)
        if process.returncode:
            raise Failure(f"{side.name}: the load ended with status {process.returncode}, see {side.folder}/load.log")
        accepted = time.monotonic()
        wait_until(lambda: sink.count - before_count >= messages, max(end - time.monotonic(), 1),
                   f"{side.name}: delivery of {messages} messages")
        done = time.monotonic()
    finally:
        stop(process)
    cpu = tree_cpu_seconds(side.pid) - before_cpu
    return Run(side.name, messages, accepted - begun, done - begun, cpu, max(memory, tree_memory_kib(side.pid)))


def remove_folder(path):
    shutil.rmtree(path, ignore_errors=True)


def fail(error):
    print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
    return 1
