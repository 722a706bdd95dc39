#!/usr/bin/env python3
"""Runs the sample installation of tools/quickstart: see there for what it shows. --build names build/release.

Parts: sluice-sink (receivers and their name server), sluiced, one sluice-load per stream, sluice-audit at the end.
Every part is a child of this process, in its own process group, and ends with it unless --keep was given.
"""

import argparse
import glob
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from figures import Accounting, Table  # noqa: E402

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
RUN_SECONDS_MAX = 600
# The end is when nothing but the mail for the dead provider is left and nothing moved for so long, or when nothing
# at all moved for much longer: then the summary says what is queued, and why.
QUIET_SECONDS = 3
STUCK_SECONDS = 40
DEAD_DOMAIN = "gone.example"

# Streams: virtual MTA, share of the messages, bytes, connections, job, and the mix of receiving domains.
STREAMS = (
    ("transactional", 0.20, "4k", 10, "receipts", {"bigmail.example": 60, "postbox.example": 25, "greylady.example": 10,
                                                  "strict.example": 5}),
    ("marketing", 0.72, "12k", 40, "spring-sale", {"bigmail.example": 50, "postbox.example": 20,
                                                   "greylady.example": 12, "strict.example": 17, "gone.example": 1}),
    ("cold", 0.08, "8k", 4, "warm-up", {"bigmail.example": 70, "strict.example": 30}),
)
DOMAINS = ("bigmail.example", "postbox.example", "greylady.example", "strict.example", DEAD_DOMAIN)


class Failure(Exception):
    """What went wrong, and where to look."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port, address="127.0.0.1"):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


class Installation:
    """The folder of one run with its rendered configuration, and the processes in it."""

    def __init__(self, build, folder):
        self.bin = os.path.join(build, "bin")
        self.folder = folder
        self.ports = {"SMTP": free_port()}
        self.running = []
        os.makedirs(os.path.join(folder, "spool"), exist_ok=True)

    def render(self, name):
        """Copies a sample file into the folder, with what is between @ signs filled in."""
        with open(os.path.join(HERE, name), encoding="utf-8") as file:
            text = file.read().replace("@FOLDER@", self.folder)
        for what, port in self.ports.items():
            text = text.replace(f"@{what}_PORT@", str(port))
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            raise Failure(f"{path} is not there: run tools/build")
        return path

    def start(self, name, *arguments):
        """Starts a part in the background; its output goes to NAME.out in the folder."""
        part = name if name != "sluice-load" else f"{name}-{len(self.running)}"
        with open(self.path(f"{part}.out"), "ab") as output:
            process = subprocess.Popen([self.program(name), *arguments], stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=output, cwd=self.folder, start_new_session=True)
        process.part = part
        self.running.append(process)
        return process

    def wait_for(self, done, what, process):
        end = time.monotonic() + START_SECONDS_MAX
        while not done():
            if process.poll() is not None:
                raise Failure(f"{what} ended with status {process.returncode}:\n{self.tail(process.part)}")
            if time.monotonic() > end:
                raise Failure(f"{what} is not ready after {START_SECONDS_MAX} seconds:\n{self.tail(process.part)}")
            time.sleep(0.05)

    def output(self, part):
        with open(self.path(f"{part}.out"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self, part):
        return "\n".join(self.output(part).rstrip().split("\n")[-15:])

    def ask(self, *words):
        """What the command line answers; errors are text, too."""
        done = subprocess.run([self.program("sluice"), "--socket", self.path("control"), *words], text=True,
                              capture_output=True, timeout=30, check=False)
        return (done.stdout + done.stderr).rstrip()

    def start_sink(self):
        """The sink chooses free ports and says which, before the configuration that has to name them is written."""
        self.ports["SINK"] = 0
        self.render("providers.conf")
        sink = self.start("sluice-sink", "--providers", self.path("providers.conf"), "--dns", "127.0.0.1:0",
                          "--ledger", self.path("sink.ledger"), "--stats-socket", self.path("sink.socket"))
        self.wait_for(lambda: "\nready\n" in self.output("sluice-sink"), "sluice-sink", sink)
        said = self.output("sluice-sink")
        self.ports["SINK"] = re.search(r"^listen .*:(\d+)$", said, re.MULTILINE).group(1)
        self.ports["DNS"] = re.search(r"^dns .*:(\d+)$", said, re.MULTILINE).group(1)

    def start_daemon(self):
        self.render("sluice.conf")
        checked = subprocess.run([self.program("sluiced"), "--check", self.path("sluice.conf")], text=True,
                                 capture_output=True, timeout=30, check=False)
        if checked.returncode:
            raise Failure(f"sluiced --check: {checked.stdout}{checked.stderr}")
        daemon = self.start("sluiced", "--config", self.path("sluice.conf"))
        self.wait_for(lambda: listens(self.ports["SMTP"]), "sluiced", daemon)

    def start_loads(self, messages):
        counts = [round(messages * stream[1]) for stream in STREAMS]
        counts[1] += messages - sum(counts)
        loads = []
        for (vmta, _, size, connections, job, mix), count in zip(STREAMS, counts):
            if count == 0:
                continue
            loads.append(self.start(
                "sluice-load", "--to", f"127.0.0.1:{self.ports['SMTP']}", "--messages", str(count), "--size", size,
                "--connections", str(connections), "--vmta", vmta, "--job", job,
                "--domain", ",".join(f"{domain}:{weight}" for domain, weight in mix.items()),
                "--sender", f"bounce@{vmta}.quickstart.example", "--ledger", self.path(f"load-{vmta}.ledger")))
        return loads

    def check_parts(self, loads):
        for process in self.running:
            status = process.poll()
            if status not in (None, 0) or (status == 0 and process not in loads):
                raise Failure(f"{process.part} ended with status {status}:\n{self.tail(process.part)}")

    def stop(self):
        """Ends what we started, the injectors first and the sink last."""
        for process in sorted(self.running, key=lambda p: ("load" not in p.part, "sink" in p.part)):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def watch(installation, loads, messages):
    """Shows one line a second until everything that can end has ended."""
    accounting = Accounting(installation.folder)
    table = Table([stream[0] for stream in STREAMS], DOMAINS)
    begun = time.monotonic()
    last, last_change = None, begun
    while True:
        time.sleep(1)
        installation.check_parts(loads)
        accounting.read()
        now = time.monotonic()
        table.line(now - begun, accounting)
        state = (accounting.total("r"), accounting.total("d"), accounting.total("b"), accounting.total("t"))
        if state != last:
            last, last_change = state, now
        injected = all(load.poll() is not None for load in loads)
        dead = sum(accounting.by_domain[kind, DEAD_DOMAIN] * sign for kind, sign in (("r", 1), ("d", -1), ("b", -1)))
        waiting = accounting.queued() - dead
        done = state[0] >= messages and waiting <= 0
        if injected and now - last_change >= (QUIET_SECONDS if done else STUCK_SECONDS):
            return accounting, last_change - begun
        if now - begun > RUN_SECONDS_MAX:
            raise Failure(f"not done after {RUN_SECONDS_MAX} seconds")


def queued_by_daemon(installation):
    """Recipients in the queues as the daemon itself counts them."""
    listing = installation.ask("show", "queues", "--maxitems=10000")
    return sum(int(count) for count in re.findall(r"^\S+/\S+ +(\d+) ", listing, re.MULTILINE))


def audit(installation, queued):
    """Lets sluice-audit compare promises, arrivals and records, id by id; its word decides the exit status."""
    def files(option, pattern):
        return [word for path in sorted(glob.glob(installation.path(pattern))) for word in (option, path)]

    done = subprocess.run(
        [installation.program("sluice-audit"), *files("--injected", "load-*.ledger.*"),
         *files("--received", "sink.ledger.*"), *files("--accounting", "acct-*.csv"), "--queued-count", str(queued)],
        text=True, capture_output=True, timeout=300, check=False)
    return done.returncode, (done.stdout + done.stderr).rstrip()


def summary(installation, accounting, seconds, messages):
    accepted, delivered, bounced = (accounting.total(kind) for kind in "rdb")
    queued = queued_by_daemon(installation)
    adds_up = accepted == delivered + bounced + queued
    print(f"\n{delivered:,} of {messages:,} messages delivered in {seconds:.0f} seconds "
          f"({accounting.total('t'):,} attempts were put off by a receiver and made again)\n"
          f"accepted {accepted:,} {'=' if adds_up else 'IS NOT'} delivered {delivered:,} + bounced {bounced:,} "
          f"+ still queued {queued:,}")
    for words in (("show", "status"), ("show", "vmtas"), ("show", "queues")):
        print(f"\n$ sluice {' '.join(words)}")
        print("\n".join("  " + line for line in installation.ask(*words).split("\n")))
    status, text = audit(installation, queued)
    print("\n$ sluice-audit   (every message by its id: what was promised, what the receivers hold, what was recorded)")
    print("\n".join("  " + line for line in text.split("\n")))
    return status if adds_up else 1


def what_next(installation, keep):
    folder = installation.folder
    print(f"\nspool and journal  {folder}/spool\nlog                {folder}/log\n"
          f"accounting CSV     {folder}/acct-*.csv\nconfiguration      {folder}/sluice.conf, {folder}/providers.conf")
    sluice = f"{installation.program('sluice')} --socket {installation.path('control')}"
    if keep:
        running = {process.part: process.pid for process in installation.running if process.poll() is None}
        print(f"\nStill running: {', '.join(f'{part} (process {pid})' for part, pid in running.items())}. "
              f"Speak with it:\n"
              f"  {sluice} show queues\n  {sluice} pause queue strict.example/marketing\n  {sluice} show vmtas\n"
              f"  swaks --server 127.0.0.1:{installation.ports['SMTP']} --to me@bigmail.example\n"
              f"Change {folder}/sluice.conf and say\n  {sluice} reload\nEnd it with\n"
              f"  {sluice} shutdown; kill {running['sluice-sink']}")
    else:
        print("\nNext: tools/quickstart --keep leaves it running to be spoken with; tools/quickstart.d/sluice.conf\n"
              "and providers.conf are made to be changed; docs/architecture.md follows one message through the\n"
              "code; bench/README.md measures; tools/test runs every test.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--folder")
    options = parser.parse_args()

    def interrupted(number, _):
        raise Failure(f"ended by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    folder = os.path.abspath(options.folder) if options.folder else tempfile.mkdtemp(prefix="sluice-", dir="/var/tmp")
    os.makedirs(folder, exist_ok=True)
    installation = Installation(os.path.abspath(options.build), folder)
    kept = False
    try:
        print(f"== running in {folder}", flush=True)
        installation.start_sink()
        installation.start_daemon()
        accounting, seconds = watch(installation, installation.start_loads(options.messages), options.messages)
        status = summary(installation, accounting, seconds, options.messages)
        what_next(installation, options.keep)
        kept = options.keep
        return status
    except Failure as failure:
        print(f"\nquickstart: {failure}\nlogs: {folder}", file=sys.stderr)
        return 1
    finally:
        if not kept:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            installation.stop()


if __name__ == "__main__":
    sys.exit(main())
