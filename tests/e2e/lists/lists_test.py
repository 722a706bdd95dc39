#!/usr/bin/env python3
"""Goal: lists of more rows than a page holds are complete and in order, in every form; many readers at once cost
little memory, and one that does not read is cut.
How:  one message a hundred recipients, each at a domain of its own, to a daemon that can deliver to none; then every
command that lists, through the program and straight at the socket."""

import concurrent.futures
import contextlib
import json
import os
import pty
import smtplib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from daemon import Daemon, free_port, main, program, until

MESSAGES, RECIPIENTS = 60, 100
QUEUES = MESSAGES * RECIPIENTS  # more than one page
READERS, STALLED = 30, 8
GROWTH_MAX = 100 << 20
CUT_SECONDS_MAX = 30


class ListsTest(unittest.TestCase):
    """All share one daemon."""

    @classmethod
    def setUpClass(cls):
        daemon = cls.daemon = Daemon(cls.addClassCleanup, free_port())
        daemon.write("sluice.conf", f"""
host-name lists.e2e.test
postmaster ops@e2e.test
log-file {daemon.folder}/log
run-dir {daemon.folder}
shards 2
smtp-listener 127.0.0.1:{daemon.smtp_port}
<source 127/8>
    always-allow-relaying yes
    process-x-job yes
    suppress-local-dsn yes
</source>
<spool {daemon.folder}/spool>
</spool>
<domain *>
    smtp-hosts [127.0.0.1]:{free_port()}
    retry-after 1h
</domain>
""")
        daemon.start_daemon(stderr=subprocess.DEVNULL)
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port) as client:
            for one in range(MESSAGES):
                to = [f"r@d{one * RECIPIENTS + i:05}.test" for i in range(RECIPIENTS)]
                client.sendmail("s@lists.test", to, f"x-job: j{one:03}\r\nSubject: x\r\n\r\nx\r\n")

        def queued():
            return len(cls.rows("show", "queues", "--maxitems=1000000")) == QUEUES

        until(queued, "queues")

    @classmethod
    def rows(cls, *words):
        """First words of the rows, cut out as PowerMTA's scripts do: tail -n +3 | head -n -2."""
        status, text = cls.daemon.sluice(*words)
        assert status == 0, text
        return [line.split()[0] for line in text.splitlines()[2:-2]]

    def test_queues_and_domains(self):
        names = [f"d{i:05}.test" for i in range(QUEUES)]
        queues = [f"{name}/{{default}}" for name in names]
        self.assertEqual(self.rows("show", "queues", "--maxitems=1000000"), queues)
        self.assertEqual(self.rows("show", "queues", "--maxitems=5000"), queues[:5000])
        self.assertEqual(self.rows("show", "queues", "*1.test", "--maxitems=5"), queues[1:50:10])
        self.assertEqual(self.rows("show", "topqueues", "--maxitems=1000000"), queues)
        self.assertEqual(self.rows("show", "queues"), queues[:20])
        self.assertEqual(self.rows("show", "queues", "--maxitems=0"), [])
        self.assertEqual(self.rows("show", "domains", "--maxitems=1000000"), names)
        self.assertEqual(self.rows("show", "topdomains", "--maxitems=30"), names[:30])
        answer = json.loads(self.daemon.sluice("show", "queues", "--maxitems=1000000", "--json")[1])["data"]
        self.assertEqual([one["name"] for one in answer["queue"]], queues)
        self.assertEqual((answer["totalRcp"], answer["totalQueuesWithRcp"]), (QUEUES, QUEUES))
        dom = self.daemon.sluice("show", "queues", "--maxitems=1000000", "--dom")[1].splitlines()
        self.assertIn(f'queue[{QUEUES - 1}].name="{queues[-1]}"', dom)

    def test_recipients_and_jobs(self):
        listed = self.rows("list", "--maxitems=1000000")
        self.assertEqual(sorted(listed), [f"r@d{i:05}.test" for i in range(QUEUES)])
        self.assertEqual(len(self.rows("list", "--maxitems=777")), 777)
        self.assertEqual(len(self.rows("list")), 100)
        self.assertEqual(self.rows("list", "--rcpt=*00001*"), ["r@d00001.test"])
        self.assertEqual(self.rows("show", "jobs"), [f"j{i:03}" for i in range(MESSAGES)])
        self.assertEqual(self.rows("show", "jobs", "--maxitems=2"), ["j000", "j001"])

    def memory(self):
        with open(f"/proc/{self.daemon.daemon.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self, *words):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(CUT_SECONDS_MAX)
        client.connect(f"{self.daemon.folder}/control")
        client.sendall(b"".join(word.encode() + b"\0" for word in words))
        client.shutdown(socket.SHUT_WR)
        return client

    def read_all(self, client):
        out = b""
        while part := client.recv(1 << 20):
            out += part
        return out

    def test_many_readers_and_some_who_do_not_read(self):
        command = ("show", "queues", "--maxitems=1000000")
        whole = self.read_all(self.connect(*command))
        before = self.memory()
        stalled = [self.connect("list", "--maxitems=1000000") for _ in range(STALLED)]
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(lambda _: self.read_all(self.connect(*command)), range(READERS)))
        self.assertEqual({len(one) for one in answers}, {len(whole)})
        self.assertLess(self.memory() - before, GROWTH_MAX)
        for client in stalled:
            # What the kernel holds for it comes, then the end: not the whole answer.
            until(lambda: self.daemon.sluice("show", "version")[0] == 0, "answer")
        until(lambda: self.sockets() <= 1, "end of those who do not read", CUT_SECONDS_MAX)
        for client in stalled:
            self.assertLess(len(self.read_all(client)), QUEUES * 100)

    def sockets(self):
        """Connections at the control socket."""
        with open("/proc/net/unix", encoding="ascii") as file:
            return sum(line.rstrip().endswith(f"{self.daemon.folder}/control") for line in file)

    def at_a_terminal(self, answer, *words):
        """What the program says when somebody sits there and types `answer`; its exit status, too."""
        here, there = pty.openpty()
        child = subprocess.Popen([program("sluice"), "--socket", f"{self.daemon.folder}/control", *words], stdin=there,
                                 stdout=there, stderr=there, close_fds=True)
        os.close(there)
        os.write(here, answer)
        said = b""
        with contextlib.suppress(OSError):  # EIO: the child has ended
            while part := os.read(here, 65536):
                said += part
        os.close(here)
        return child.wait(60), said.decode().replace("\r\n", "\n")

    def test_delete_asks_at_a_terminal(self):
        def mail():
            with smtplib.SMTP("127.0.0.1", self.daemon.smtp_port) as client:
                client.sendmail("s@lists.test", ["a@d00000.test", "b@d00001.test"],
                                "x-job: gone\r\nSubject: x\r\n\r\nx\r\n")

        def left():
            return self.daemon.sluice("delete", "--jobId=gone", "--dry-run")[1]

        mail()
        will = "2 recipient(s) of job gone in 2 queue(s) would be deleted: d0000"
        until(lambda: left().startswith(will), "recipients")
        status, said = self.at_a_terminal(b"n\n", "delete", "--jobId=gone")
        self.assertEqual(status, 1, said)
        self.assertIn(will, said)
        self.assertIn("Delete them? [y/N] ", said)
        self.assertIn("Nothing was deleted.\n", said)
        self.assertEqual(self.at_a_terminal(b"\x04", "delete", "--jobId=gone")[0], 1, "the end of input is no yes")
        self.assertEqual(self.at_a_terminal(b"y\n", "delete", "--jobId=gone", "--recipient=a@d00000.test")[0], 2)
        self.assertTrue(left().startswith("2 "), left())
        status, said = self.at_a_terminal(b"y\n", "delete", "--jobId=gone", "--rcpt", "a@d00000.test")
        self.assertEqual(status, 0, said)
        self.assertTrue(said.endswith("1 recipient(s) deleted.\n"), said)
        # Nobody is asked with --yes, where there is nothing to delete, or without a terminal.
        status, said = self.at_a_terminal(b"", "delete", "--jobId=gone", "--yes")
        self.assertEqual((status, said), (0, "1 recipient(s) deleted.\n"))
        status, said = self.at_a_terminal(b"", "delete", "--jobId=gone")
        self.assertEqual((status, said), (0, "0 recipient(s) of job gone in 0 queue(s) would be deleted\n"))
        mail()
        until(lambda: left().startswith("2 "), "recipients")
        self.assertEqual(self.daemon.sluice("delete", "--jobId=gone"), (0, "2 recipient(s) deleted.\n"))

    def test_the_daemon_tests_its_own_file(self):
        path = f"{self.daemon.folder}/sluice.conf"
        with open(path, encoding="utf-8") as file:
            good = file.read()
        self.addCleanup(self.daemon.write, "sluice.conf", good)
        self.assertEqual(self.daemon.sluice("test", "config")[0], 0)
        self.daemon.write("sluice.conf", good + "max-smtp-uot 5\n")
        status, said = self.daemon.sluice("test", "config")
        self.assertEqual(status, 1)
        self.assertIn(f"of {path}: unknown directive", said)


if __name__ == "__main__":
    main()
