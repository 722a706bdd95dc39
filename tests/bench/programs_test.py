#!/usr/bin/env python3
"""Goal: sluice-sink, sluice-load and sluice-audit work together and with other people's programs.
How: the sink listens where the system lets it; smtplib, swaks, smtp-source, dig and sluice-load talk to it; what
they sent has to be in its ledger and figures. Programs that are not installed are left out and named.
Usage: programs_test.py DIRECTORY_OF_PROGRAMS
"""
import glob
import json
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAMS = ""
WAIT_SECONDS = 20

PROVIDERS = """
port 0
provider good
  domain good.example d[0-999].bulk.example
  mx 10 mx1.good.example 127.0.1.1
end
provider moody
  domain moody.example
  mx 10 mx.moody.example 127.0.1.2
  at dot 10% reply "451 4.3.0 later"
  at dot 5% accept-and-drop
end
"""


def find(program):
    """Administration programs are often outside the PATH of a user."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Sink:
    """A running sluice-sink."""

    def __init__(self, folder, *options):
        self.folder = folder
        self.socket = os.path.join(folder, "sink.socket")
        self.output = open(os.path.join(folder, "sink.out"), "w+", encoding="utf-8")
        file = os.path.join(folder, "providers.conf")
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(PROVIDERS)
        self.process = subprocess.Popen(
            [os.path.join(PROGRAMS, "sluice-sink"), "--providers", file, "--dns", "127.0.0.1:0", "--ledger",
             os.path.join(folder, "received"), "--stats-socket", self.socket, *options],
            stdout=self.output, stderr=subprocess.STDOUT)
        end = time.monotonic() + WAIT_SECONDS
        while "\nready\n" not in self.said():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("sluice-sink did not start:\n" + self.said())
            time.sleep(0.01)
        self.at = {}
        for line in self.said().splitlines():
            words = line.split()
            if words[0] == "listen":
                self.at[words[2]] = words[3]
            if words[0] == "dns":
                self.dns = words[1]

    def said(self):
        with open(self.output.name, encoding="utf-8") as stream:
            return stream.read()

    def figures(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WAIT_SECONDS)
            client.connect(self.socket)
            client.sendall(b"json\n")
            text = b""
            while piece := client.recv(65536):
                text += piece
        return {one["name"]: one for one in json.loads(text)["providers"]}

    def end(self):
        self.process.terminate()
        status = self.process.wait(WAIT_SECONDS)
        self.output.close()
        return status


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def program(name, *options):
    return run(os.path.join(PROGRAMS, name), *options)


class Programs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-bench-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def sink(self, *options):
        sink = Sink(self.folder, *options)
        self.addCleanup(lambda: sink.process.poll() is None and sink.process.kill())
        return sink

    def ledgers(self, prefix, option):
        return [word for path in glob.glob(os.path.join(self.folder, prefix + ".*")) for word in (option, path)]

    def test_smtplib(self):
        sink = self.sink()
        host, port = sink.at["mx1.good.example"].split(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.sendmail("a@s.example", ["b@good.example", "c@D7.bulk.example"],
                            "Message-ID: <one@s>\r\n\r\n.dotted\r\nend\r\n")
            with self.assertRaises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@s.example", ["b@moody.example"], "x")
        self.assertEqual(sink.figures()["good"]["recipients"], 2)
        self.assertEqual(sink.figures()["good"]["misrouted"], 1)
        self.assertEqual(sink.end(), 0)
        with open(os.path.join(self.folder, "received.0"), encoding="utf-8") as stream:
            taken = [line.split("\t") for line in stream if line.startswith("A")]
        self.assertEqual([line[5:8] for line in taken],
                         [["one@s", "b@good.example", "a"], ["one@s", "c@D7.bulk.example", "a"]])

    def test_swaks(self):
        if not find("swaks"):
            self.skipTest("swaks is not installed")
        sink = self.sink()
        host, port = sink.at["mx1.good.example"].split(":")
        done = run(find("swaks"), "--server", host, "--port", port, "--to", "b@good.example", "--from", "a@s.example")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(sink.figures()["good"]["messages"], 1)
        self.assertEqual(sink.end(), 0)

    def test_smtp_source(self):
        if not find("smtp-source"):
            self.skipTest("smtp-source (Postfix) is not installed")
        sink = self.sink("--threads", "2")
        host, port = sink.at["mx1.good.example"].split(":")
        done = run(find("smtp-source"), "-m", "200", "-s", "10", "-l", "4096", "-t", "u@good.example", "-f",
                   "a@s.example", f"inet:{host}:{port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sink.figures()["good"]["messages"], 200)
        self.assertEqual(sink.end(), 0)

    def test_dig(self):
        if not find("dig"):
            self.skipTest("dig is not installed")
        sink = self.sink()
        host, port = sink.dns.split(":")
        for transport in ("+notcp", "+tcp"):
            done = run(find("dig"), "+short", transport, "-p", port, "@" + host, "d999.bulk.example", "MX")
            self.assertEqual(done.stdout.strip(), "10 mx1.good.example.", done.stderr)
        done = run(find("dig"), "-p", port, "@" + host, "d1000.bulk.example", "MX")
        self.assertIn("status: NXDOMAIN", done.stdout)
        self.assertEqual(sink.end(), 0)

    def test_load_and_audit(self):
        sink = self.sink("--threads", "2")
        for provider, domain in (("mx1.good.example", "d[0-999].bulk.example"), ("mx.moody.example", "moody.example")):
            done = program("sluice-load", "--to", sink.at[provider], "--messages", "500", "--connections", "8",
                           "--threads", "2", "--recipients", "1..3", "--domain", domain, "--reconnect", "20s",
                           "--size", "2k", "--ledger", os.path.join(self.folder, "injected-" + domain[:5]), "--json")
            self.assertIn(done.returncode, (0, 1), done.stderr)
            result = json.loads(done.stdout)
            self.assertEqual(result["accepted"] + result["refused"] + result["unknown"] + result["unsent"], 500)
        self.assertEqual(sink.end(), 0)
        files = self.ledgers("injected-*", "--injected") + self.ledgers("received", "--received")
        done = program("sluice-audit", *files, "--json")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(json.loads(done.stdout)["delivered"], json.loads(done.stdout)["accepted"])
        # The same without one of the sink's ledgers is a loss, and is told.
        received = self.ledgers("received", "--received")
        done = program("sluice-audit", *self.ledgers("injected-*", "--injected"), *received[:2])
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("lost: load.", done.stdout)

    def test_audit_reads_accounting(self):
        sink = self.sink()
        done = program("sluice-load", "--to", sink.at["mx1.good.example"], "--messages", "50", "--domain",
                       "good.example", "--ledger", os.path.join(self.folder, "injected"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sink.end(), 0)
        with open(os.path.join(self.folder, "injected.0"), encoding="utf-8") as stream:
            recipients = [line.split("\t")[6] for line in stream]
        accounting = os.path.join(self.folder, "acct.csv")
        with open(accounting, "w", encoding="utf-8", newline="") as stream:
            stream.write("type,timeLogged,rcpt,dsnDiag\r\n")
            for recipient in recipients:
                stream.write(f'd,2026-01-01 00:00:00+0000,{recipient},"smtp;250 a, b"\r\n')
        files = self.ledgers("injected", "--injected") + self.ledgers("received", "--received")
        done = program("sluice-audit", *files, "--accounting", accounting)
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(accounting, "a", encoding="utf-8", newline="") as stream:
            stream.write(f"d,x,{recipients[0]},y\r\n")
        done = program("sluice-audit", *files, "--accounting", accounting)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("two endings", done.stdout)

    def test_sample_provider_files(self):
        samples = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "providers", "*.txt")
        self.assertTrue(glob.glob(samples))
        for sample in glob.glob(samples):
            done = program("sluice-sink", "--check", "--providers", sample)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_mistakes_are_told(self):
        for words, says in ((("sluice-sink", "--providers", "/nonexistent"), "/nonexistent"),
                            (("sluice-sink", "--nosuch"), "--nosuch"),
                            (("sluice-load", "--to", "nowhere"), "--to"),
                            (("sluice-load", "--to", "127.0.0.1:1", "--messages", "1", "--connections", "1"), ""),
                            (("sluice-audit",), "nothing to do"),
                            (("sluice-audit", "--injected", "/nonexistent"), "/nonexistent")):
            done = program(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(says, done.stderr)
        for name in ("sluice-sink", "sluice-load", "sluice-audit"):
            self.assertEqual(program(name, "--help").returncode, 0)


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main()
