#!/usr/bin/env python3
"""Goal: whoever reads a configuration refuses the same ones: `sluice check`, with and without `--offline`,
`sluiced --check`, a start, `reload` and `reload --dry-run` of a running daemon.
How:  a sound configuration and many that are broken in one place each, from the first byte to patterns that only fail
when they are compiled, through all of them; the verdicts are compared.

usage: refusals_test.py SLUICE SLUICED
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SLUICE, SLUICED = sys.argv.pop(1), sys.argv.pop(1)
SECONDS_MAX = 60

SOUND = """host-name refusals.test
postmaster ops@x.example
log-file {folder}/log
run-dir {folder}/run
smtp-listener 127.0.0.1:{port}
shards 1
<spool {folder}/spool>
</spool>
<virtual-mta v>
</virtual-mta>
<source 127/8>
</source>
"""
HUGE = "/((a{1,1000}){1,1000}){1,1000}/"
BROKEN = {
    "an unknown directive": "no-such-directive 5\n",
    "a block that is not closed": "<domain x.example>\n",
    "a value that is none": "<domain x.example>\nmax-smtp-out many\n</domain>\n",
    "a file that is missing": "include /nowhere/at/all\n",
    "a list nobody defines": "<domain x.example>\nbounce-actions none\n</domain>\n",
    "a pattern of messages": f"<pattern-list p>\nmail-from {HUGE} virtual-mta=v\n</pattern-list>\n",
    "a pattern inside of another list": "<pattern-list p>\nmail-from /a/ <pattern-list>\n"
                                        f"rcpt-to {HUGE} virtual-mta=v\n</pattern-list>\n</pattern-list>\n",
    "an open bracket": "<pattern-list p>\nmail-from /(a/ virtual-mta=v\n</pattern-list>\n",
    "a pattern of replies": f"<smtp-pattern-list p>\nreply {HUGE} mode=backoff\n</smtp-pattern-list>\n",
    "a pattern of bounces": "<bounce-category-patterns>\n/(a/ bad-mailbox\n</bounce-category-patterns>\n",
    "a pattern of addresses": "<address-list a>\naddress /(a/\n</address-list>\n",
    "a pattern of relaying": "relay-address /(a/\n",
    "a list of patterns that calls itself": "<pattern-list p>\nmail-from /a/ call-to:p\n</pattern-list>\n",
    "a list that calls one that is not there": "<pattern-list p>\nmail-from /a/ call-to:q\n</pattern-list>\n",
    "a file of addresses that is missing": "<address-list a>\naddress-file /nowhere\n</address-list>\n",
    "a column nobody knows": "<acct-file {folder}/acct.csv>\nrecord-fields d no-such-column\n</acct-file>\n",
    "one accounting file twice": "<acct-file {folder}/acct.csv>\n</acct-file>\n" * 2,
    "one spool twice": "<spool {folder}/spool>\n</spool>\n",
    "a host name that is none": "host-name \"a b\"\n",
    "a line in a host name": "host-name a;b\n",
    "an address for a host name": "host-name 192.0.2.1\n",
    "a host name of a virtual MTA": "<virtual-mta w>\nhost-name <b>\n</virtual-mta>\n",
    "an EHLO name that is none": "<virtual-mta w>\nsmtp-source-host 127.0.0.1 a,b\n</virtual-mta>\n",
    "a label that is too long": "host-name " + "a" * 64 + ".example\n",
}


class Refusals(unittest.TestCase):
    """One folder with one daemon that runs throughout."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-refusals-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.file = f"{self.folder}/config"
        self.write("")
        self.daemon = subprocess.Popen([SLUICED, "--config", self.file], stderr=subprocess.DEVNULL)
        self.addCleanup(self.daemon.wait, SECONDS_MAX)
        self.addCleanup(self.daemon.terminate)
        end = time.monotonic() + SECONDS_MAX
        while self.ask("show", "version")[0] != 0:
            self.assertLess(time.monotonic(), end, "no daemon")
            self.assertIsNone(self.daemon.poll())
            time.sleep(0.02)

    def write(self, more):
        text = (SOUND + more).replace("{folder}", self.folder).replace("{port}", str(self.port))
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)

    def run_program(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
        return done.returncode, done.stdout + done.stderr

    def ask(self, *command):
        return self.run_program(SLUICE, "--socket", f"{self.folder}/run/control", *command)

    def verdicts(self):
        out = {"check": self.run_program(SLUICE, "check", self.file),
               "check --offline": self.run_program(SLUICE, "check", "--offline", self.file),
               "sluiced --check": self.run_program(SLUICED, "--check", self.file),
               "test config": self.run_program(SLUICE, "--config", self.file, "test", "config"),
               "reload --dry-run": self.ask("reload", "--dry-run"),
               "reload": self.ask("reload")}
        return out

    def test_all_refuse_the_same(self):
        for name, (status, text) in self.verdicts().items():
            self.assertEqual(status, 0, f"{name}: {text}")
        for what, more in BROKEN.items():
            with self.subTest(what):
                self.write(more)
                verdicts = self.verdicts()
                # A start would take the living daemon's place last of all: what it reads comes before.
                verdicts["a start"] = self.run_program(SLUICED, "--config", self.file)
                for name, (status, text) in verdicts.items():
                    self.assertEqual(status, 1, f"{name} takes it: {text}")
                    self.assertNotIn("another sluiced", text, name)
        self.write("")
        self.assertEqual(self.ask("reload")[0], 0)


if __name__ == "__main__":
    unittest.main()
