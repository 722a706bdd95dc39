#!/usr/bin/env python3
"""Goal: the queue types file, pipe, http-delivery and discard, x-schedule, the pickup directory and accounting programs
      do with real folders, programs and servers what the simulated tests say: what arrives, what is recorded, and what
      a hostile address cannot do.
How:  a real sluiced on free loopback ports in a folder of its own; Python reads the mailboxes, holds the locks and is
      the HTTP server.

usage: local_test.py BIN_FOLDER"""

import base64
import fcntl
import glob
import http.server
import json
import mailbox
import os
import smtplib
import stat
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from daemon import main, until  # noqa: E402  the folder is known only now
from installation import Installation  # noqa: E402


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers POSTs with the statuses in `server.answers`, the last one for ever."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), json.loads(body), self.client_address))
        status = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass


class Local(unittest.TestCase):
    def setUp(self):
        self.place = Installation(self)
        self.folder = self.place.folder

    def configure(self, text):
        with open(f"{self.folder}/sluice.conf", encoding="utf-8") as file:
            before = file.read().replace("records d,b,t,r", "records d,b,t,tq,r")
        self.place.write("sluice.conf", before + text)
        self.place.start_daemon()

    def send(self, recipients, subject="hello", extra="", body="From here\r\nbody\r\n", sender="a@e2e.test"):
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            text = f"From: {sender}\r\nTo: b@x.test\r\nSubject: {subject}\r\n{extra}\r\n{body}"
            return client.sendmail(sender, recipients, text.encode("latin-1"))

    def wait_rows(self, kind, count):
        return until(lambda: len(self.place.rows(kind)) >= count and self.place.rows(kind), f"{count} rows of {kind}")

    def script(self, name, text):
        path = f"{self.folder}/{name}"
        self.place.write(name, "#!/bin/sh\n" + text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def test_new_files(self):
        os.mkdir(f"{self.folder}/in")
        os.mkdir(f"{self.folder}/x.test")
        self.configure(f"""
<domain f.test>
    type file
    file-destination {self.folder}/in
</domain>
<domain x.test>
    type file
    file-format newfile-pickup
    file-destination {self.folder}/$domain
</domain>
""")
        self.send(["One@f.test", "two@f.test", "Three@x.test"])
        rows = self.wait_rows("d", 3)
        self.assertEqual({row["dlvType"] for row in rows}, {"file"})
        names = os.listdir(f"{self.folder}/in")
        self.assertEqual(len(names), 2)
        for name in names:
            self.assertTrue(name.endswith(".msg"))
            with open(f"{self.folder}/in/{name}", "rb") as file:
                text = file.read()
            self.assertTrue(text.startswith(b"Return-Path: <a@e2e.test>\nReceived: "))
            self.assertTrue(text.endswith(b"Subject: hello\n\nFrom here\nbody\n"))
        (path,) = glob.glob(f"{self.folder}/x.test/*.msg")
        with open(path, "rb") as file:
            self.assertTrue(file.read().startswith(b"x-sender: a@e2e.test\nx-receiver: Three@x.test\nReceived: "))

    def put(self, name, text, at=None):
        """Into the pickup directory, by rename; as if it had been written at `at`."""
        self.place.write(f"outside-{name}", text)
        if at is not None:
            os.utime(f"{self.folder}/outside-{name}", (at, at))
        os.rename(f"{self.folder}/outside-{name}", f"{self.folder}/pickup/{name}")

    def waiting(self):
        return sorted(os.listdir(f"{self.folder}/pickup"))

    def configure_pickup(self, bad=None, more=""):
        for name in ["pickup", "bad", "in"]:
            os.mkdir(f"{self.folder}/{name}")
        self.configure(f"""
pickup {self.folder}/pickup {bad or self.folder + "/bad"}
<domain f.test>
    type file
    file-destination {self.folder}/in
</domain>
{more}""")

    def delivered(self):
        return sorted(row["rcpt"] for row in self.place.rows("d"))

    def test_pickup(self):
        self.configure_pickup()
        self.put("one", "x-sender: a@e2e.test\nx-receiver: one@f.test\nx-receiver: two@f.test\nx-job: j1\n"
                        "Subject: from a file\n\nbody\n")
        self.put("batch", "EHLO app\r\nMAIL FROM:<a@e2e.test>\r\nRCPT TO:<three@f.test>\r\nDATA\r\n"
                          "Subject: batch\r\n\r\n..dot\r\n.\r\nQUIT\r\n")
        self.put("wrong", "XMRG FROM:<a@e2e.test>\r\n")
        rows = self.wait_rows("d", 3)
        self.assertEqual({row["srcType"] for row in rows}, {"pickup"})
        self.assertEqual({row["jobId"] for row in rows if row["rcpt"] != "three@f.test"}, {"j1"})
        until(lambda: self.waiting() == [], "an empty pickup directory")
        until(lambda: os.listdir(f"{self.folder}/bad") == ["wrong"], "the wrong file in the bad directory")
        until(lambda: "wrong: line 1: XMRG: mail merge is not supported yet" in self.place.log(), "the reason")
        with open(f"{self.folder}/pickup/slow", "w", encoding="utf-8") as held, \
                open(f"{self.folder}/pickup/java", "w", encoding="utf-8") as other:
            for lock, file, name in [(fcntl.flock, held, "four"), (fcntl.lockf, other, "five")]:
                lock(file, fcntl.LOCK_EX)
                file.write(f"x-sender: a@e2e.test\nx-receiver: {name}@f.test\nSubject: slow\n\nfirst\n")
                file.flush()
                os.utime(file.name, (1, 1))  # at rest for long, as far as times tell
            self.put("next", "x-sender: a@e2e.test\nx-receiver: six@f.test\nSubject: next\n\nx\n")
            self.wait_rows("d", 4)
            until(lambda: self.waiting() == ["java", "slow"], "the locked ones alone")
            for file in [held, other]:
                file.write("last\n")
        self.wait_rows("d", 6)
        names = ["five", "four", "one", "six", "three", "two"]
        self.assertEqual(self.delivered(), [f"{name}@f.test" for name in names])
        texts = []
        for path in glob.glob(f"{self.folder}/in/*.msg"):
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
        self.assertEqual(len(texts), 6)
        self.assertEqual(sum(text.endswith("first\nlast\n") for text in texts), 2)
        self.assertEqual(sum(text.endswith("\n\n.dot\n") for text in texts), 1)
        self.assertFalse(any("x-receiver" in text for text in texts))

    def test_pickup_follows_no_links_and_waits_for_no_pipe(self):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
            self.configure_pickup(bad=elsewhere)
            folder = f"{self.folder}/pickup"
            good = "x-sender: a@e2e.test\nx-receiver: {}@f.test\nSubject: x\n\nx\n"
            self.place.write("foreign", good.format("foreign"))
            os.symlink(f"{self.folder}/foreign", f"{folder}/link")
            os.symlink("/dev/zero", f"{folder}/zero")
            os.mkfifo(f"{folder}/pipe")
            os.mkdir(f"{folder}/below")
            self.place.write("pickup/below/file", good.format("below"))
            self.put("wrong", "nothing of the kind\n")
            for number in range(20):
                self.put(f"f{number}", good.format(f"u{number}"))
            # Somebody who exchanges what was seen for something else, all the time.
            stop = threading.Event()

            def exchange():
                while not stop.is_set():
                    for name in ["race1", "race2"]:
                        self.put(name, good.format(name), at=1)
                        time.sleep(0.001)
                        for trick in [lambda at: os.symlink(f"{self.folder}/foreign", at), os.mkfifo]:
                            trick(f"{self.folder}/outside-trick")
                            os.rename(f"{self.folder}/outside-trick", f"{folder}/{name}")
                            time.sleep(0.001)

            racer = threading.Thread(target=exchange)
            racer.start()
            try:
                until(lambda: {f"u{n}@f.test" for n in range(20)} <= set(self.delivered()), "the good ones")
                time.sleep(3)
                self.put("late", good.format("late"))
                until(lambda: "late@f.test" in self.delivered(), "one behind all the tricks")
            finally:
                stop.set()
                racer.join()
            self.assertFalse({"foreign@f.test", "below@f.test"} & set(self.delivered()))
            self.assertTrue(os.path.isfile(f"{self.folder}/foreign"))
            self.assertEqual(os.listdir(elsewhere), ["wrong"])
            with open(f"{elsewhere}/wrong", encoding="utf-8") as file:
                self.assertEqual(file.read(), "nothing of the kind\n")
            self.assertEqual(stat.S_IMODE(os.stat(f"{elsewhere}/wrong").st_mode), 0o600)
            log = self.place.log()
            for name in ["link", "zero", "pipe"]:
                self.assertEqual(log.count(f"/pickup/{name} is a link, a pipe or the like: left alone"), 1, log)
                self.assertIn(name, self.waiting())
            self.assertNotIn("below", log)

    def test_pickup_loses_nothing_to_kill(self):
        self.configure_pickup()
        total = 600
        for number in range(total):
            self.put(f"f{number}", f"x-sender: a@e2e.test\nx-receiver: u{number}@f.test\nSubject: x\n\nx\n")
        for _ in range(6):
            before = len(self.waiting())
            until(lambda before=before: len(self.waiting()) <= max(0, before - 60), "files taken")
            self.place.daemon.kill()
            self.place.daemon.wait()
            self.place.start_daemon()
        until(lambda: not self.waiting(), "an empty pickup directory")
        until(lambda: len(set(self.delivered())) == total, "every one delivered")
        # Only files under way can come twice: at most 32 for each of the six deaths.
        self.assertLessEqual(len(self.delivered()) - total, 6 * 32)
        self.assertEqual(os.listdir(f"{self.folder}/bad"), [])

    def test_pickup_folders_come_and_go(self):
        self.configure_pickup()
        text = "x-sender: a@e2e.test\nx-receiver: {}@f.test\nSubject: x\n\nx\n"
        os.rename(f"{self.folder}/pickup", f"{self.folder}/away")
        until(lambda: f"cannot use the folder {self.folder}/pickup: " in self.place.log(), "the trouble in the log")
        os.rename(f"{self.folder}/away", f"{self.folder}/pickup")
        self.put("one", text.format("one"))
        self.wait_rows("d", 1)
        until(lambda: "no longer: cannot use the folder" in self.place.log(), "its end in the log")
        with open(f"{self.folder}/sluice.conf", encoding="utf-8") as file:
            before = file.read()
        self.place.write("sluice.conf", before.replace("\npickup ", "\n# pickup "))
        self.assertEqual(self.place.sluice("reload")[0], 0)
        self.put("two", text.format("two"))
        time.sleep(3)
        self.assertEqual(self.waiting(), ["two"])
        self.place.write("sluice.conf", before)
        self.assertEqual(self.place.sluice("reload")[0], 0)
        self.wait_rows("d", 2)
        self.assertEqual(self.place.log().count("cannot use the folder"), 2)

    def test_accounting_program(self):
        feed = self.script("feed", f"""
out="{self.folder}/fed-$$"
while IFS= read -r line; do
  printf '%s\n' "$line" >> "$out"
  case "$line" in *die@x.test*) echo cannot go on >&2; exit 3 ;; esac
done
""")
        self.configure(f"""
<domain x.test>
    type discard
</domain>
<acct-file |{feed} now>
    records d
    record-fields d rcpt,jobId
    retry-interval 1s
</acct-file>
""")

        def fed():
            out = []
            for path in sorted(glob.glob(f"{self.folder}/fed-*"), key=os.path.getmtime):
                with open(path, encoding="utf-8", newline="") as file:
                    out.append(file.read().split("\r\n")[:-1])
            return out

        until(lambda: fed() == [["type,rcpt,jobId"]], "the header row")
        self.send(["one@x.test", "two@x.test"])
        until(lambda: len(fed()[0]) == 3, "two rows")
        self.send(["die@x.test"])
        until(lambda: f'Error executing "{feed} now": ended with exit status 3: cannot go on' in self.place.log(),
              "the program's end in the log")
        self.send(["three@x.test"])
        until(lambda: len(fed()) == 2 and len(fed()[1]) == 2, "the next program")
        self.assertEqual(fed()[1], ["type,rcpt,jobId", "d,three@x.test,"])
        self.assertEqual(sorted(fed()[0][1:]), ["d,die@x.test,", "d,one@x.test,", "d,two@x.test,"])
        self.assertEqual(len(self.wait_rows("d", 4)), 4)

    def test_mbox_waits_for_its_lock_and_can_be_read(self):
        self.configure(f"""
<domain m.test>
    type file
    file-format append-mbox
    file-destination {self.folder}/box-$user
</domain>
""")
        with open(f"{self.folder}/box-joe", "w", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for number in range(10):
                self.send(["Joe+tag@m.test", "other@m.test"], subject=f"number {number}")
            # The others get theirs while this one is locked.
            until(lambda: len(self.place.rows("d")) == 10, "deliveries to the other box")
            self.assertEqual(os.path.getsize(held.name), 0)
        self.wait_rows("d", 20)
        box = mailbox.mbox(f"{self.folder}/box-joe", create=False)
        self.assertEqual(sorted(message["Subject"] for message in box), [f"number {n}" for n in range(10)])
        for message in box:
            self.assertEqual(message.get_payload(), ">From here\nbody\n")
            self.assertEqual(message["Return-Path"], "<a@e2e.test>")

    def test_programs(self):
        program = self.script("deliver", f"""
out="{self.folder}/got-$$"
for word; do printf '%s\\n' "$word" >> "$out.words"; done
code="${{4#user=}}"
case "$code" in deaf) exec 0<&-; exit 0 ;; esac
cat > "$out.text"
case "$code" in [0-9]*) echo "said $code" >&2; exit "$code" ;; esac
exit 0
""")
        self.configure(f"""
<domain p.test>
    type pipe
    command "{program} --from=""$from"" --to=""$to"" 'a b' user=$user"
    macro-variables-preserve-case yes
    max-smtp-out 4
</domain>
""")
        hostile = '"x;touch${IFS}owned $(touch owned) `touch owned`"@p.test'
        self.send(["Good+tag@p.test", "deaf@p.test", "67@p.test", "75@p.test", hostile], body="line\r\n" * 100_000)
        delivered = self.wait_rows("d", 3)
        self.assertEqual({row["dsnDiag"] for row in delivered}, {"x-unix;exit status 0 (EX_OK)"})
        self.assertEqual({row["dlvType"] for row in delivered}, {"pipe"})
        bounced = self.wait_rows("b", 1)[0]
        self.assertEqual(bounced["rcpt"], "67@p.test")
        self.assertEqual(bounced["dsnDiag"], "x-unix;exit status 67 (EX_NOUSER): said 67")
        self.assertTrue(bounced["dsnStatus"].startswith("5.1.1"))
        delayed = self.wait_rows("t", 1)[0]
        self.assertEqual(delayed["rcpt"], "75@p.test")
        self.assertEqual(delayed["dsnDiag"], "x-unix;exit status 75 (EX_TEMPFAIL): said 75")
        words = []
        for path in glob.glob(f"{self.folder}/got-*.words"):
            with open(path, encoding="utf-8") as file:
                words.append(file.read().split("\n")[:-1])
        by_to = {one[1]: one for one in words}
        good = by_to["--to=Good+tag@p.test"]
        self.assertEqual(good, ["--from=a@e2e.test", "--to=Good+tag@p.test", "a b", "user=good"])
        self.assertIn("--to=" + hostile, by_to)
        self.assertEqual(len(by_to["--to=" + hostile]), 4)
        self.assertFalse(glob.glob("owned") + glob.glob(f"{self.folder}/owned"))
        sizes = {os.path.getsize(path) for path in glob.glob(f"{self.folder}/got-*.text")}
        self.assertTrue(all(size > 500_000 for size in sizes), sizes)

    def test_shells_the_operator_starts(self):
        script = f'""cat > /dev/null; cd {self.folder}; echo $to > said""'
        self.configure(f'''
<domain p.test>
    type pipe
    command "/bin/sh -c {script}"
</domain>
''')
        self.send(['"a$(touch owned);touch${IFS}owned"@p.test'])
        self.wait_rows("d", 1)
        with open(f"{self.folder}/said", encoding="utf-8") as file:
            self.assertEqual(file.read(), "_a__touch_owned__touch__ifs_owned_@p.test\n")
        self.assertFalse(os.path.exists(f"{self.folder}/owned"))

    def test_http(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        server.seen, server.answers = [], [503, 200]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.place.write("headers", "# secret\nAuthorization: Bearer k\nX-Empty:\n")
        self.configure(f"""
<domain h.test>
    type http-delivery
    http-delivery-url http://127.0.0.1:{server.server_port}/in?x=1
    http-delivery-extra-headers {self.folder}/headers
    max-smtp-out 1
</domain>
""")
        self.send(["first@h.test"])
        delayed = self.wait_rows("t", 1)[0]
        self.assertEqual(delayed["dsnDiag"], "x-http;503 Service Unavailable: ok")
        self.wait_rows("d", 1)
        for number in range(20):
            self.send([f"u{number}@h.test"], body="gr\xfc\xdfe\r\n" if number == 0 else "plain\r\n")
        rows = self.wait_rows("d", 21)
        self.assertEqual({row["dlvType"] for row in rows}, {"http-delivery"})
        self.assertEqual({row["dsnDiag"] for row in rows}, {"x-http;200 OK"})
        path, headers, body, _ = server.seen[0]
        self.assertEqual(path, "/in?x=1")
        self.assertEqual((headers["Authorization"], headers["X-Empty"]), ("Bearer k", ""))
        self.assertEqual((body["msg_from"], body["rcpt_to"]), ("a@e2e.test", "first@h.test"))
        self.assertIn({"Subject": "hello"}, body["content"]["headers"])
        self.assertTrue(body["content"]["email_rfc822"].endswith("\r\n\r\nFrom here\r\nbody\r\n"))
        latin = next(one[2] for one in server.seen if one[2]["rcpt_to"] == "u0@h.test")
        self.assertIs(latin["content"]["email_rfc822_is_base64"], True)
        self.assertTrue(base64.b64decode(latin["content"]["email_rfc822"]).endswith(b"gr\xfc\xdfe\r\n"))
        self.assertLess(len({one[3] for one in server.seen}), 21, "connections are used again")

    def test_discard_and_schedule(self):
        self.configure("""
<domain d.test>
    type discard
</domain>
<source 127/8>
    process-x-schedule yes
</source>
""")
        opens = int(time.time()) + 3
        window = "/".join(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) for at in (opens, opens + 3600))
        self.send(["later@d.test"], extra=f"X-Schedule: {window}\r\n")
        self.send(["now@d.test"])
        self.assertEqual(self.wait_rows("d", 1)[0]["rcpt"], "now@d.test")
        self.assertIn("d.test/{default}", self.place.sluice("show", "schedule")[1])
        self.wait_rows("d", 2)
        self.assertGreaterEqual(time.time(), opens)
        with self.assertRaises(smtplib.SMTPDataError) as refused:
            self.send(["x@d.test"], extra="X-Schedule: tomorrow\r\n")
        self.assertEqual(refused.exception.smtp_code, 554)
        self.assertIn(b"x-schedule", refused.exception.smtp_error)


if __name__ == "__main__":
    main()
