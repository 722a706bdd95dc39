#!/usr/bin/env python3
"""Goal: with few descriptors clients hear 421, the command line and accounting go on, nothing spins, and all is well
      again once there are some; with too little memory the start says what, how much and what to do.
How:  a daemon under RLIMIT_NOFILE and RLIMIT_AS, and more clients than it may have.

usage: bounds_test.py BIN_FOLDER"""

import contextlib
import glob
import os
import resource
import smtplib
import socket
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from daemon import Daemon, free_port, main, program, until  # noqa: E402  the folder is known only now

DESCRIPTORS = 400
CLIENTS = 500


def limited(which, most):
    return lambda: resource.setrlimit(which, (most, most))


class Small(Daemon):
    def __init__(self, test):
        super().__init__(test.addCleanup, free_port())
        self.write("sluice.conf", f"""
host-name mail.e2e.test
postmaster ops@e2e.test
log-file {self.folder}/log
run-dir {self.folder}
shards 1
smtp-listener 127.0.0.1:{self.smtp_port}
name-server 127.0.0.1:{free_port()}
total-max-smtp-in 10000
run-as-root yes
<source 127/8>
    always-allow-relaying yes
</source>
<spool {self.folder}/spool>
</spool>
<domain *>
    type discard
</domain>
<acct-file {self.folder}/acct.csv>
    records d
</acct-file>
""")

    def cpu_seconds(self):
        with open(f"/proc/{self.daemon.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def accounted(self):
        text = ""
        for path in glob.glob(f"{self.folder}/acct-*.csv"):
            with open(path, encoding="utf-8") as file:
                text += file.read()
        return text.count("\nd,")

    def send(self, sender):
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as client:
            client.sendmail(sender, ["u@far.test"], "Subject: x\r\n\r\nbody\r\n")


class Descriptors(unittest.TestCase):
    def test_they_run_out_and_come_back(self):
        node = Small(self)
        node.start_daemon(preexec_fn=limited(resource.RLIMIT_NOFILE, DESCRIPTORS))
        early = smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=30)
        self.addCleanup(early.close)
        clients, said = [], []
        for _ in range(CLIENTS):
            client = socket.create_connection(("127.0.0.1", node.smtp_port), 30)
            self.addCleanup(client.close)
            client.settimeout(30)
            said.append(client.recv(1000)[:9].decode())
            clients.append(client)
        welcome = sum(1 for one in said if one.startswith("220"))
        refused = sum(1 for one in said if one.startswith("421 4.3.2"))
        self.assertEqual(welcome + refused, CLIENTS, said)
        self.assertGreater(welcome, 100)
        self.assertGreater(refused, 100)
        status, text = node.sluice("show", "status")
        self.assertEqual(status, 0, text)
        before = node.cpu_seconds()
        time.sleep(2)
        self.assertLess(node.cpu_seconds() - before, 1)
        early.sendmail("early@e2e.test", ["u@far.test"], "Subject: x\r\n\r\nbody\r\n")
        until(lambda: node.accounted() >= 1, "accounting")
        self.assertEqual(node.log().count("Descriptors are used up"), 1, node.log())
        for client in clients:
            client.close()

        def is_served():
            with contextlib.suppress(smtplib.SMTPException, OSError):
                node.send("later@e2e.test")
                return True
            return False

        until(is_served, "service")
        until(lambda: node.accounted() >= 2, "accounting")
        until(lambda: node.log().count("Descriptors are free again") == 1, "line in the log")


class Memory(unittest.TestCase):
    def test_a_start_without_enough_says_so(self):
        for which, most, words in ((resource.RLIMIT_AS, 100 << 20, "the address space"),
                                   (resource.RLIMIT_DATA, 60 << 20, "data (ulimit -d")):
            node = Small(self)
            done = subprocess.run([program("sluiced"), "--config", f"{node.folder}/sluice.conf"], capture_output=True,
                                  text=True, timeout=60, check=False, preexec_fn=limited(which, most))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("Startup error: not enough memory: 1 shard needs", done.stderr)
            self.assertIn(words, done.stderr)
            self.assertIn("Raise the limit", done.stderr)


if __name__ == "__main__":
    main()
