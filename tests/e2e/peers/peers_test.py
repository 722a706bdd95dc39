#!/usr/bin/env python3
"""Goal: Sluice works with programs we did not write: Postfix's smtp-sink and smtp-source, Python's smtplib, swaks, and
      Knot as the name server, and as a process it behaves: signals, kill -9, reload, exit status.
How:  every test runs a real sluiced on free loopback ports in a folder of its own, with knotd serving the zone and
      smtp-sink as the mail host, and reads the accounting files as an operator's tools would.

usage: peers_test.py BIN_FOLDER"""

import contextlib
import email
import email.policy
import glob
import os
import signal
import smtplib
import socket
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from daemon import WAIT_SECONDS_MAX, free_port, main, program, until  # noqa: E402  the folder is known only now
from installation import Installation  # noqa: E402


class Peers(unittest.TestCase):
    def setUp(self):
        self.place = Installation(self)
        self.place.start_dns()

    def run_command(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS_MAX, check=False)

    def message(self, subject, extra=""):
        return f"From: a@e2e.test\r\nTo: b@far.test\r\nSubject: {subject}\r\n{extra}\r\n.dot line\r\nbody\r\n"

    def test_smtplib_to_smtp_sink_by_knot(self):
        self.place.start_sink()
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port, "client.e2e.test") as client:
            client.ehlo()
            for word in ("pipelining", "size", "8bitmime", "enhancedstatuscodes", "chunking", "dsn"):
                self.assertTrue(client.has_extn(word), word)
            refused = client.sendmail("a@e2e.test", ["b@far.test", "c@plain.far.test"], self.message("first"))
            self.assertEqual(refused, {})
        delivered = until(lambda: len(self.place.rows("d")) == 2 and self.place.rows("d"), "two deliveries")
        by_rcpt = {row["rcpt"]: row for row in delivered}
        self.assertEqual(by_rcpt["b@far.test"]["dsnMta"], "mx.far.test (127.0.2.1)")
        self.assertEqual(by_rcpt["b@far.test"]["header_Subject"], "first")
        self.assertEqual(by_rcpt["c@plain.far.test"]["dsnMta"], "plain.far.test (127.0.2.1)")
        self.assertEqual(by_rcpt["b@far.test"]["dsnStatus"], "2.0.0 (success)")

    def test_dns_refusals_bounce(self):
        self.place.start_sink()
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", ["x@null.far.test", "y@nowhere.far.test"], self.message("nowhere"))
        bounced = until(lambda: len(self.place.rows("b")) == 2 and self.place.rows("b"), "two bounces")
        by_rcpt = {row["rcpt"]: row for row in bounced}
        self.assertTrue(by_rcpt["x@null.far.test"]["dsnStatus"].startswith("5.1.10"))
        self.assertTrue(by_rcpt["y@nowhere.far.test"]["dsnStatus"].startswith("5.1.2"))
        self.assertEqual(by_rcpt["y@nowhere.far.test"]["bounceCat"], "bad-domain")

    def test_senders_get_reports_that_mail_programs_read(self):
        """One report about the recipients of a message, in a form that Python's email package takes apart; kill -9 of
        the daemon in between takes none away."""
        dumps = f"{self.place.folder}/dumps"
        os.mkdir(dumps)
        os.chmod(dumps, 0o777)
        os.chmod(self.place.folder, 0o711)
        self.place.start_sink("-d", f"{dumps}/m")
        with open(f"{self.place.folder}/sluice.conf", "a", encoding="utf-8") as file:
            file.write("custom-dsn-from-header \"Bounces <bounces@e2e.test>\"\n"
                       "<source 127/8>\n    suppress-local-dsn no\n</source>\n")
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("sender@far.test", ["x@null.far.test", "y@null.far.test", "ok@far.test"],
                            self.message("reported"), mail_options=["RET=FULL", "ENVID=e+2B1"])
            self.place.daemon.kill()
        self.place.daemon.wait()
        self.place.start_daemon()

        def reports():
            out = []
            for path in glob.glob(f"{dumps}/m*"):
                with open(path, "rb") as file:
                    message = email.message_from_binary_file(file, policy=email.policy.default)
                if message["Subject"] == "Delivery report":
                    out.append(message)
            return out

        def reported():
            return {group["Final-Recipient"] for one in reports() if one.is_multipart()
                    for part in one.walk() if part.get_content_type() == "message/delivery-status"
                    for group in part.get_payload()[1:]}

        until(lambda: reported() == {"rfc822;x@null.far.test", "rfc822;y@null.far.test"}, "reports")
        until(lambda: len(self.place.rows("b")) == 2, "two bounces")
        report = reports()[0]
        self.assertEqual(report.defects, [])
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report["Content-Type"].params["report-type"], "delivery-status")
        self.assertEqual((report["From"], report["To"]), ("Bounces <bounces@e2e.test>", "sender@far.test"))
        self.assertIn("<>", report["X-Mail-Args"])
        parts = list(report.iter_parts())
        self.assertEqual([part.get_content_type() for part in parts],
                         ["text/plain", "message/delivery-status", "message/rfc822"])
        whole = parts[1].get_payload()[0]
        self.assertEqual((whole["Reporting-MTA"], whole["Original-Envelope-Id"]), ("dns;mail.e2e.test", "e+1"))
        for group in parts[1].get_payload()[1:]:
            self.assertEqual(group["Action"], "failed")
            self.assertTrue(group["Status"].startswith("5.1.10"), group["Status"])
        returned = parts[2].get_payload()[0]
        self.assertEqual(returned["Subject"], "reported")
        self.assertIn(".dot line", returned.get_payload())
        delivered = [row for row in self.place.rows("d") if row["rcpt"] == "sender@far.test"]
        self.assertEqual({(row["orig"], row["srcType"]) for row in delivered}, {("", "local")})

    def test_smtp_source_floods(self):
        self.place.start_sink()
        self.place.start_daemon()
        done = self.run_command("/usr/sbin/smtp-source", "-s", "20", "-m", "1000", "-l", "10000", "-f", "a@e2e.test",
                                "-t", "b@far.test", f"127.0.0.1:{self.place.smtp_port}")
        self.assertEqual(done.returncode, 0, done.stderr)
        until(lambda: len(self.place.rows("d")) == 1000, "thousand deliveries")
        self.assertEqual(len(self.place.rows("r")), 1000)

    def test_swaks_chooses_the_virtual_mta(self):
        self.place.start_sink()
        self.place.start_daemon()
        done = self.run_command("swaks", "--server", "127.0.0.1", "--port", str(self.place.smtp_port),
                                "--from", "a@e2e.test", "--to", "b@far.test", "--header", "X-Virtual-MTA: tx",
                                "--header", "X-Job: news-7")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        row = until(lambda: self.place.rows("d"), "delivery")[0]
        self.assertEqual((row["vmta"], row["jobId"], row["dlvSourceIp"]), ("tx", "news-7", "127.0.1.1"))

    def test_pools_suppression_verp_and_jobs(self):
        """What an application sees through a library it did not write: refusals by their exact text, VERP as an option
        of MAIL, turns of a pool, and a job that is paused and deleted."""
        self.place.start_sink()
        with open(f"{self.place.folder}/sluice.conf", "a", encoding="utf-8") as file:
            file.write(f"""
<virtual-mta ty>
    smtp-source-host 127.0.1.2 ty.e2e.test
</virtual-mta>
<virtual-mta-pool both>
    virtual-mta tx weight=3
    virtual-mta ty
</virtual-mta-pool>
<address-list never>
    address-file {self.place.folder}/never.txt
</address-list>
<source 127/8>
    suppression-lists never
    default-virtual-mta both
</source>
""")
        self.place.write("never.txt", "gone@far.test\nblocked\n")
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port, "client.e2e.test") as client:
            with self.assertRaises(smtplib.SMTPRecipientsRefused) as refused:
                client.sendmail("a@e2e.test", ["gone@far.test"], self.message("never"))
            code, text = refused.exception.recipients["gone@far.test"]
            self.assertEqual((code, text.decode()),
                             (550, '5.7.1 recipient is in suppression list "never": <gone@far.test>'))
            with self.assertRaises(smtplib.SMTPDataError) as unknown:
                client.sendmail("a@e2e.test", ["b@far.test"], self.message("none", "X-Virtual-MTA: none\r\n"))
            self.assertEqual(unknown.exception.smtp_error.decode(),
                             "5.5.0 specified Virtual MTA 'none' does not exist")
            client.sendmail("list@e2e.test", ["b@far.test"], self.message("verp"), mail_options=["VERP"])
            for number in range(7):
                client.sendmail("a@e2e.test", ["b@far.test"], self.message(f"turn {number}"))
            until(lambda: len(self.place.rows("d")) == 8, "eight deliveries")
            rows = self.place.rows("d")
            self.assertEqual([row["orig"] for row in rows if row["header_Subject"] == "verp"],
                             ["list-b=far.test@e2e.test"])
            self.assertEqual(sorted(row["vmta"] for row in rows), ["tx"] * 6 + ["ty"] * 2)
            self.assertEqual({row["vmtaPool"] for row in rows}, {"both"})
            status, text = self.place.sluice("pause", "job", "news")
            self.assertEqual((status, text.splitlines()[0]), (0, "paused job."))
            client.sendmail("a@e2e.test", ["b@far.test", "c@plain.far.test"], self.message("held", "X-Job: news\r\n"))
            self.assertIn("news ", self.place.sluice("show", "jobs")[1])
            self.assertEqual(self.place.sluice("delete", "--jobId=news"), (0, "2 recipient(s) deleted.\n"))
        bounced = until(lambda: len(self.place.rows("b")) == 2 and self.place.rows("b"), "two records")
        self.assertEqual({row["dsnDiag"] for row in bounced}, {"smtp;deleted by administrator"})
        self.assertEqual(len(self.place.rows("d")), 8)

    def test_smtp_sink_without_extensions(self):
        self.place.start_sink("-e", "-p", "-8")  # no ESMTP at all
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            for number in range(5):
                client.sendmail("a@e2e.test", ["b@far.test"], self.message(f"plain {number}"))
        until(lambda: len(self.place.rows("d")) == 5, "five deliveries")

    def test_smtp_sink_that_refuses(self):
        self.place.start_sink("-r", "DATA")  # 4xx to DATA
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", ["b@far.test"], self.message("later"))
        until(lambda: len(self.place.rows("t")) >= 2, "second attempt")
        self.assertEqual(self.place.rows("d"), [])

    def connect(self):
        """A client. Right after a kill -9 the kernel may still hold the dead process's listening socket for a moment
        (its ring is taken down in the background), and a connection that meets it is reset. As clients do, it
        tries again."""

        def attempt():
            with contextlib.suppress(smtplib.SMTPServerDisconnected, OSError):
                return smtplib.SMTP("127.0.0.1", self.place.smtp_port)
            return None

        return until(attempt, "connection")

    def test_kill_9_loses_nothing(self):
        self.place.start_sink("-w", "1")
        promised = []
        for round_number in range(3):
            self.place.start_daemon()
            with self.connect() as client:
                for number in range(20):
                    name = f"m{round_number}-{number}@far.test"
                    client.sendmail("a@e2e.test", [name], self.message(name))
                    promised.append(name)
                self.place.daemon.kill()
            self.place.daemon.wait()
        self.place.start_daemon()
        until(lambda: set(promised) <= {row["rcpt"] for row in self.place.rows("d")}, "delivery of everything promised")
        finals = [row["rcpt"] for row in self.place.rows("d")]
        self.assertEqual(len(finals), len(set(finals)), "a recipient has two final records")

    def test_two_spools_over_kill_9(self):
        """Mail lies in both; a start without the second one is refused, and nothing of what was promised is lost."""
        self.place.start_sink("-w", "1")
        config = f"{self.place.folder}/sluice.conf"
        with open(config, encoding="utf-8") as file:
            one = file.read()
        second = f"{self.place.folder}/spool2"
        block = f"<spool {second}>\n    delete-file-holders yes\n</spool>\n"
        two = one.replace("<virtual-mta tx>", block + "<virtual-mta tx>")
        self.place.write("sluice.conf", two)
        promised = []
        for round_number in range(3):
            self.place.start_daemon()
            with self.connect() as client:
                for number in range(20):
                    name = f"m{round_number}-{number}@far.test"
                    client.sendmail("a@e2e.test", [name], self.message(name, "X-Long: " + "x" * 900 + "\r\n"))
                    promised.append(name)
                self.place.daemon.kill()
            self.place.daemon.wait()
        self.assertTrue(glob.glob(f"{self.place.folder}/spool/shard-*/msg-*.seg"))
        self.assertTrue(glob.glob(f"{second}/shard-*/msg-*.seg"))
        sluiced = program("sluiced")
        self.place.write("sluice.conf", one)
        left_out = self.run_command(sluiced, "--config", config)
        self.assertEqual(left_out.returncode, 1)
        self.assertIn(f"the spool {second} still holds mail and is not in the configuration", left_out.stderr)
        self.place.write("sluice.conf", two)
        os.rename(second, second + ".away")
        unmounted = self.run_command(sluiced, "--config", config)
        self.assertEqual(unmounted.returncode, 1)
        self.assertIn(f"the spool {second} was in use and is empty now", unmounted.stderr)
        os.rename(second + ".away", second)
        self.place.start_daemon()
        # A second server on the same spools, with a socket, a log and a port of its own.
        self.place.write("other.conf", two.replace(f"run-dir {self.place.folder}", f"run-dir {self.place.folder}/other")
                         .replace(f"127.0.0.1:{self.place.smtp_port}", f"127.0.0.1:{free_port()}")
                         .replace(f"log-file {self.place.folder}/log", f"log-file {self.place.folder}/other.log"))
        twice = self.run_command(sluiced, "--config", f"{self.place.folder}/other.conf")
        self.assertEqual(twice.returncode, 1)
        self.assertIn("another sluiced is running with the spool", twice.stderr)
        until(lambda: set(promised) <= {row["rcpt"] for row in self.place.rows("d")}, "delivery of everything promised")
        finals = [row["rcpt"] for row in self.place.rows("d")]
        self.assertEqual(len(finals), len(set(finals)), "a recipient has two final records")

    def test_signals_reload_and_status(self):
        self.place.start_sink()
        daemon = self.place.start_daemon()
        self.assertEqual(self.place.sluice("show", "version")[0], 0)
        status, text = self.place.sluice("show", "status")
        self.assertEqual(status, 0, text)
        self.assertIn("running", text)
        config = f"{self.place.folder}/sluice.conf"
        with open(config, encoding="utf-8") as file:
            good = file.read()
        self.place.write("sluice.conf", good + "\nno-such-directive 1\n")
        status, text = self.place.sluice("reload")
        self.assertEqual(status, 1)
        self.assertIn("no-such-directive", text)
        checked = self.run_command(program("sluiced"), "--check", config)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("Error in line", checked.stderr)
        late = "\n<virtual-mta late>\n smtp-source-host 127.0.1.9 late.e2e.test\n</virtual-mta>\n"
        self.place.write("sluice.conf", good + late)
        self.assertEqual(self.place.sluice("reload")[0], 0)
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", ["b@far.test"], self.message("late", "X-Virtual-MTA: late\r\n"))
        self.assertEqual(until(lambda: self.place.rows("d"), "delivery")[0]["dlvSourceIp"], "127.0.1.9")
        daemon.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait(30), 0)
        self.assertIn("Stopped", self.place.log())

    def test_a_start_that_fails_says_why_and_ends(self):
        """Whatever the start has got to: one line for the operator and exit status 1, not a crash."""
        def start():
            return self.run_command(program("sluiced"), "--config", f"{self.place.folder}/sluice.conf")

        with socket.socket() as other:
            other.bind(("127.0.0.1", self.place.smtp_port))
            other.listen()
            done = start()
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, f"Startup error: .*127.0.0.1:{self.place.smtp_port}")
        state = f"{self.place.folder}/spool/accounting.state"
        with contextlib.suppress(FileNotFoundError):
            os.remove(state)
        os.mkdir(state)
        done = start()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, "Startup error: .*accounting.state")

    def test_paused_queues_hold_mail(self):
        self.place.start_sink()
        self.place.start_daemon()
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", ["b@far.test"], self.message("first"))
        until(lambda: len(self.place.rows("d")) == 1, "first delivery")
        self.assertEqual(self.place.sluice("pause", "queue", "far.test/*")[0], 0)
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", ["b@far.test"], self.message("second"))
        _, text = until(lambda: (lambda got: got if " P " in got[1] else None)(self.place.sluice("show", "queues")),
                        "paused queue in the list")
        self.assertIn("far.test/{default}", text)
        self.assertEqual(len(self.place.rows("d")), 1)
        self.assertEqual(self.place.sluice("resume", "queue", "far.test/*")[0], 0)
        until(lambda: len(self.place.rows("d")) == 2, "second delivery")
        # A pause holds for what comes later; taking one back that is not there is a mistake.
        status, text = self.place.sluice("pause", "queue", "nobody.test/*")
        self.assertEqual(status, 0, text)
        self.assertEqual(self.place.sluice("resume", "queue", "nobody.test/*")[0], 0)
        status, text = self.place.sluice("resume", "queue", "nobody.test/*")
        self.assertEqual(status, 1, text)


if __name__ == "__main__":
    main()
