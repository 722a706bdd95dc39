"""The programs under test in a folder of their own, as every end-to-end test runs them, and waiting for them."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

WAIT_SECONDS_MAX = 60
_bin = ""


def main():
    """Runs the tests of the script: `SCRIPT BIN_FOLDER [unittest's arguments]`."""
    global _bin
    _bin = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)


def program(name):
    return os.path.join(_bin, name)


def free_port(kind=socket.SOCK_STREAM, address="127.0.0.1"):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def until(condition, what, seconds=WAIT_SECONDS_MAX):
    """Waits, asking again, until `condition` holds; no fixed pauses decide a result."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"no {what} within {seconds} s")


def can_connect(address, port):
    with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
        return True
    return False


class Daemon:
    """A folder with `sluice.conf`, the daemon that runs with it, and whatever else is started beside it. `clean_up`:
    addCleanup of a test, or addClassCleanup of its class."""

    def __init__(self, clean_up, smtp_port):
        self.folder = tempfile.mkdtemp(prefix="sluice-e2e-")
        clean_up(shutil.rmtree, self.folder, ignore_errors=True)
        self.smtp_port = smtp_port
        self.children = []
        clean_up(self.stop_all)

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def spawn(self, *command, **options):
        child = subprocess.Popen(command, **options)
        self.children.append(child)
        return child

    def start_daemon(self, **options):
        self.daemon = self.spawn(program("sluiced"), "--config", f"{self.folder}/sluice.conf", **options)

        def listens():
            assert self.daemon.poll() is None, self.log()
            return can_connect("127.0.0.1", self.smtp_port)

        until(listens, "listener")
        return self.daemon

    def sluice(self, *words):
        done = subprocess.run([program("sluice"), "--socket", f"{self.folder}/control", *words], capture_output=True,
                              text=True, timeout=WAIT_SECONDS_MAX, check=False)
        return done.returncode, done.stdout + done.stderr

    def log(self):
        with contextlib.suppress(FileNotFoundError), open(f"{self.folder}/log", encoding="utf-8") as file:
            return file.read()
        return ""

    def stop_all(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe:
                    pipe.close()
