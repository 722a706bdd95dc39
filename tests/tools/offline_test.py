#!/usr/bin/env python3
"""The commands of `sluice` that need no daemon, and `sluiced --check`, as an operator runs them.

Goal: exit status, streams and texts of check, settings, explain, fmt and directives; both programs say the same.
How:  small files in a folder of its own; the programs are started and their answers compared.

usage: offline_test.py SLUICE SLUICED
"""

import hashlib
import hmac
import http.server
import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

SLUICE, SLUICED = sys.argv.pop(1), sys.argv.pop(1)

GOOD = """postmaster ops@x.example
log-file {folder}/log
<spool {folder}/spool>
</spool>
<domain *>
    max-smtp-out   10   # connections
    use-starttls yes
</domain>
<virtual-mta news>
    <domain gmail.com>
    max-smtp-out 12
    </domain>
</virtual-mta>
"""


class Pages(http.server.BaseHTTPRequestHandler):
    """/isp.conf is a part of a configuration, /moved is elsewhere, /cut ends too early; nothing else is there."""

    def do_GET(self):
        text = b"<domain gmail.com>\nmax-smtp-out 7\n</domain>\n"
        status = {"/isp.conf": 200, "/cut": 200, "/moved": 301}.get(self.path, 404)
        self.send_response(status)
        self.send_header("Content-Length", len(text) + (self.path == "/cut"))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class NameServer:
    """Answers A for the names it knows, and NXDOMAIN for others."""

    def __init__(self, known):
        self.asked = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.known = known
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                query, client = self.socket.recvfrom(600)
            except OSError:
                return
            end = query.index(b"\0", 12)
            name, question = query[12:end].lower(), query[12:end + 5]
            self.asked.add(name)
            is_a = query[end + 1:end + 3] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if name in self.known and is_a else b""
            flags = b"\x81\x80" if name in self.known else b"\x81\x83"
            counts = b"\0\1" + (b"\0\1" if answer else b"\0\0") + b"\0\0\0\0"
            self.socket.sendto(query[:2] + flags + counts + question + answer, client)

    def close(self):
        self.socket.close()


class Offline(unittest.TestCase):
    def setUp(self):
        self.kept = tempfile.TemporaryDirectory()
        self.folder = Path(self.kept.name)

    def tearDown(self):
        self.kept.cleanup()

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text.replace("{folder}", str(self.folder)))
        return str(path)

    def run_it(self, *words, program=SLUICE, environment=None):
        done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60,
                              env={**os.environ, **(environment or {})})
        return done.returncode, done.stdout, done.stderr

    def test_a_good_file(self):
        path = self.write("good", GOOD)
        status, out, err = self.run_it("check", path, "--offline")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("without effect as yet:\n", out)
        self.assertIn("TLS: use-starttls (line 7)", out)
        self.assertTrue(out.endswith(f"{path}: the configuration is valid (0 errors, 0 warnings, 0 notes)\n"), out)

    def test_a_bad_file_says_everything_at_once(self):
        path = self.write("bad", GOOD + "max-smtp-uot 5\n<domain x>\nretry-after 10\n</domain>\n")
        status, out, err = self.run_it("check", path)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f'Error in line 14 of {path}: unknown directive "max-smtp-uot"\n', err)
        self.assertIn("    max-smtp-uot 5\n    ^\n", err)
        self.assertIn('did you mean "max-smtp-out"', err)
        self.assertIn(f"Error in line 16 of {path}: time without a unit\n", err)
        self.assertTrue(err.endswith("the configuration does not load (2 errors, 0 warnings, 0 notes)\n"), err)
        status, out, daemon = self.run_it("--check", path, program=SLUICED)
        self.assertEqual((status, out, daemon), (1, "", err))
        # A daemon that cannot start says the same.
        status, out, daemon = self.run_it("--config", path, program=SLUICED)
        self.assertEqual((status, out, daemon), (1, "", err))
        # And so does a command that needs the configuration.
        status, out, tool = self.run_it("--config", path, "explain", "x")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("time without a unit", tool)

    def serve(self, certificate=None):
        """Pages on a port of its own; answers the port."""
        server = http.server.HTTPServer(("127.0.0.1", 0), Pages)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def test_a_url_is_fetched(self):
        port = self.serve()

        def check(page, *options):
            path = self.write("urls", GOOD + f"include http://127.0.0.1:{port}/{page}\n")
            return path, *self.run_it("check", path, *options)

        path, status, out, err = check("isp.conf")
        self.assertEqual((status, err), (0, ""))
        self.assertIn(f"Note in line 14 of {path}: fetched 44 bytes from http://127.0.0.1:{port}/isp.conf\n", out)
        status, out, _ = self.run_it("--config", path, "explain", "gmail.com", "max-smtp-out")
        self.assertEqual(status, 0)
        self.assertIn(f"max-smtp-out 7                                  http://127.0.0.1:{port}/isp.conf:2", out)
        _, status, out, _ = check("isp.conf", "--offline")
        self.assertEqual(status, 0)
        self.assertIn("not fetched", out)
        for page, words in (("gone", "the server answers 404 Not Found"),
                            ("moved", "the server answers 301 Moved Permanently (redirects are not followed)"),
                            ("cut", "the server closed the connection in the middle of its answer")):
            _, status, out, err = check(page)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(f"cannot fetch http://127.0.0.1:{port}/{page}: {words}", err)
        # What listens on the port of a closed socket: nobody.
        path = self.write("urls", GOOD + "include http://127.0.0.1:1/x\ninclude http://name.invalid/x\n")
        status, _, err = self.run_it("check", path)
        self.assertEqual(status, 1)
        self.assertIn("cannot connect: Connection refused", err)
        self.assertIn('"name.invalid" does not resolve', err)

    @unittest.skipUnless(shutil.which("openssl"), "needs openssl to make a certificate")
    def test_a_certificate_has_to_be_good(self):
        key, both = self.folder / "key.pem", self.folder / "both.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                        "-out", self.folder / "cert.pem"], check=True, capture_output=True)
        both.write_text(key.read_text() + (self.folder / "cert.pem").read_text())
        port = self.serve(str(both))
        path = self.write("urls", GOOD + f"include https://localhost:{port}/isp.conf\n")
        trusted = {"SSL_CERT_FILE": str(self.folder / "cert.pem")}
        status, out, err = self.run_it("check", path, environment=trusted)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("fetched 44 bytes", out)
        status, _, err = self.run_it("check", path)
        self.assertEqual(status, 1)
        self.assertIn(f"cannot fetch https://localhost:{port}/isp.conf: TLS: ", err)
        other = self.write("other", GOOD + f"include https://127.0.0.1:{port}/isp.conf\n")
        status, _, err = self.run_it("check", other, environment=trusted)
        self.assertEqual(status, 1, "the certificate is for another name")
        self.assertIn("TLS: ", err)

    def test_json(self):
        path = self.write("bad", GOOD + 'user "a\\b"\n')
        status, out, err = self.run_it("check", path, "--json")
        self.assertEqual((status, err), (1, ""))
        answer = json.loads(out)
        self.assertEqual((answer["valid"], answer["errors"], answer["file"]), (False, 1, path))
        finding = answer["findings"][0]
        self.assertEqual((finding["severity"], finding["line"], finding["column"]), ("error", 14, 1))
        self.assertEqual(finding["text"], 'user "a\\b"')
        status, out, _ = self.run_it("check", self.write("good", GOOD), "--json", "--offline")
        answer = json.loads(out)
        self.assertEqual((status, answer["valid"], answer["findings"]), (0, True, []))
        self.assertIn({"directive": "use-starttls", "waits_for": "TLS", "file": str(self.folder / "good"), "line": 7},
                      answer["to_come"])

    def test_lenient_and_fragment(self):
        path = self.write("part", "<domain *>\nsmtp-pattern-list elsewhere\nnew-thing 5\n</domain>\n")
        self.assertEqual(self.run_it("check", path)[0], 1)
        self.assertEqual(self.run_it("check", path, "--fragment")[0], 1)
        status, out, _ = self.run_it("check", path, "--fragment", "--lenient")
        self.assertEqual(status, 0)
        self.assertIn('smtp-pattern-list "elsewhere" is not defined here', out)

    def test_the_host_is_looked_at(self):
        path = self.write("host", GOOD + "smtp-source-host 192.0.2.77 localhost\ndomain-key s,x.example,{folder}/no\n"
                          "<smtp-pattern-list l>\nreply /(x/ mode=backoff\n</smtp-pattern-list>\n")
        status, out, err = self.run_it("check", path)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("source IP 192.0.2.77 is not an address of this host", err)
        self.assertIn(f'DKIM key "{self.folder}/no" does not exist', err)
        self.assertIn("Error in line 17", err)
        self.assertIn("regular expression: ", err)
        # Not a matter of the host: nobody loads that.
        status, _, err = self.run_it("check", path, "--offline")
        self.assertEqual(status, 1)
        self.assertIn("regular expression: ", err)
        self.assertNotIn("192.0.2.77 is not an address", err)

    def test_the_configured_name_server_is_asked(self):
        names = NameServer({b"\x04here\x05names\x04test": True, b"\x05known\x05names\x04test": True})
        self.addCleanup(names.close)
        path = self.write("config", GOOD + f"name-server 127.0.0.1:{names.port}\nhost-name here.names.test\n"
                          "smtp-source-host 127.0.0.9 gone.names.test\nsmtp-source-host 127.0.0.8 known.names.test\n")
        # Many times: nothing that looks names up may still be at work when the program ends.
        for _ in range(20):
            status, out, err = self.run_it("check", path)
            self.assertEqual((status, err), (0, ""))
            self.assertIn('EHLO name "gone.names.test" does not resolve', out)
            self.assertEqual(out.count("does not resolve"), 1, out)
        self.assertIn(b"\x04gone\x05names\x04test", names.asked)
        self.assertNotIn(b"\x04gone\x05names\x04test\x04test", names.asked)

    def test_a_silent_name_server_is_not_waited_for(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            port = silent.getsockname()[1]
            path = self.write("config", GOOD + f"name-server 127.0.0.1:{port}\nhost-name a.names.test\n")
            status, out, err = self.run_it("check", path)
            self.assertEqual((status, err), (0, ""))
            self.assertNotIn("does not resolve", out)

    def test_one_error_hides_no_warning(self):
        path = self.write("config", GOOD + "max-smtp-uot 3\nsmtp-source-host 192.0.2.77 x.example\n"
                          "<domain y.example>\nmax-smtp-out 0\nrequire-starttls yes\n</domain>\n"
                          "<smtp-pattern-list l>\nreply /(x/ mode=backoff\n</smtp-pattern-list>\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            Path(path).write_text(Path(path).read_text() + f"name-server 127.0.0.1:{silent.getsockname()[1]}\n")
            status, out, err = self.run_it("check", path)
        self.assertEqual((status, out), (1, ""))
        for finding in ("unknown directive", "max-smtp-out 0 opens no connection", "held: require-starttls",
                        "192.0.2.77 is not an address", "regular expression: "):
            self.assertIn(finding, err)
        answer = json.loads(self.run_it("check", path, "--json", "--offline")[1])
        self.assertFalse(answer["valid"])
        self.assertIn("require-starttls", [one["directive"] for one in answer["to_come"]])

    def test_what_a_start_would_refuse(self):
        path = self.write("config", GOOD.replace("{folder}/log", "{folder}/nowhere/log"))
        status, _, err = self.run_it("check", path)
        self.assertEqual(status, 1)
        self.assertIn("a start would be refused", err)
        self.assertEqual(self.run_it("check", path, "--offline")[0], 0)

    def test_the_vendors_defaults_lie_beside_it(self):
        path = self.write("config", GOOD + "<domain a.example>\nsmtp-pattern-list common-errors\n</domain>\n")
        self.assertIn('"common-errors" is not defined', self.run_it("check", path, "--offline")[1])
        self.write("config-defaults", "<smtp-pattern-list common-errors>\nreply /x/ skip-mx\n</smtp-pattern-list>\n"
                   "<domain *>\nmax-smtp-out 3\n</domain>\n")
        self.assertNotIn("is not defined", self.run_it("check", path, "--offline")[1])
        self.assertIn("max-smtp-out 10 ", self.run_it("--config", path, "explain", "x.example", "max-smtp-out")[1])

    def test_settings_and_explain(self):
        path = self.write("good", GOOD)
        status, out, err = self.run_it("--config", path, "settings", "gmail.com/news")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith('VirtualMTA settings for "news":\n'), out)
        self.assertIn('\nQueue settings for "gmail.com/news":\n\nmax-smtp-out 12\n', out)
        self.assertEqual(self.run_it("--config", path, "show", "settings", "gmail.com/news")[1], out)
        self.assertEqual(self.run_it("settings", "gmail.com/news", "--config", path)[1], out)
        self.assertEqual(self.run_it("settings", "gmail.com/news", "--config")[0], 2)
        status, out, _ = self.run_it("--config", path, "explain", "gmail.com/news", "max-smtp-out")
        self.assertEqual(status, 0)
        self.assertIn(f"{path}:11  <domain gmail.com> in <virtual-mta news>\n", out)
        self.assertIn(f"over max-smtp-out 10  {path}:6  <domain *>\n", out)
        status, out, err = self.run_it("--config", path, "explain", "gmail.com/nevs")
        self.assertEqual((status, out), (1, ""))
        self.assertIn('did you mean "news"?', err)

    def test_fmt(self):
        path = self.write("good", GOOD)
        os.chmod(path, 0o640)
        self.assertEqual(self.run_it("fmt", path, "--check"), (1, f"{path}\n", ""))
        status, out, err = self.run_it("fmt", path)
        self.assertEqual((status, err), (0, ""))
        self.assertIn("    max-smtp-out 10  # connections\n", out)
        self.assertIn("    <domain gmail.com>\n        max-smtp-out 12\n    </domain>\n", out)
        before = self.run_it("--config", path, "settings", "gmail.com/news")[1]
        self.assertEqual(self.run_it("fmt", path, "--write"), (0, "", ""))
        self.assertEqual(Path(path).read_text(), out)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertEqual(self.run_it("fmt", path, "--check"), (0, "", ""))
        self.assertEqual(self.run_it("--config", path, "settings", "gmail.com/news")[1], before)
        self.assertEqual(self.run_it("fmt", str(self.folder / "none"))[0], 1)

    def test_digest_is_what_a_privacy_policy_writes(self):
        made = hmac.new(b"secret", b"bob", hashlib.sha256).hexdigest().upper()
        self.assertEqual(self.run_it("digest", "Bob", "--hmac-sha256", "--key=secret"), (0, f"Result: {made}\n", ""))
        self.assertEqual(self.run_it("digest", "bob", "--hmac-sha256", "--hexkey=736563726574")[1], f"Result: {made}\n")
        status, text, _ = self.run_it("digest", "bob", "--siphash", "--hexkey=736563726574")
        self.assertEqual(status, 0)
        self.assertRegex(text, "^Result: [0-9A-F]{16}\n$")
        self.assertEqual(self.run_it("digest", "BOB", "--siphash", "--key=secret")[1], text)
        for wrong in (["x"], ["x", "--siphash"], ["x", "--key=k"], ["x", "--siphash", "--hmac-sha256", "--key=k"],
                      ["x", "--siphash", "--hexkey=zz"], ["x", "--siphash", "--key=k", "--more"]):
            self.assertEqual(self.run_it("digest", *wrong)[0], 2, wrong)

    def test_help_and_version_need_no_daemon(self):
        nowhere = ("--socket", str(self.folder / "nobody"))
        for words in (["help"], ["--help"], ["-h"], ["help", "delete"], ["delete", "--help"], ["version"],
                      ["--version"], ["show", "license"], ["completion", "bash"], ["help", "--markdown"]):
            status, out, err = self.run_it(*nowhere, *words)
            self.assertEqual((status, err), (0, ""), words)
            self.assertTrue(out.endswith("\n"), words)
        self.assertIn("--older-than=TIME", self.run_it("delete", "--help")[1])
        self.assertEqual(self.run_it("version")[1], self.run_it("--version", program=SLUICED)[1])
        # What a daemon would say better is said all the same.
        status, out, err = self.run_it(*nowhere, "show", "version")
        self.assertEqual((status, out), (0, self.run_it("version")[1]))
        self.assertIn("no daemon answers at", err)
        status, out, err = self.run_it(*nowhere, "show", "status")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("no daemon answers at", err)

    def test_what_is_unknown_never_reaches_a_daemon(self):
        nowhere = ("--socket=" + str(self.folder / "nobody"),)
        for words, says in ((["delete", "--jobId=warm1", "--recipient=a@b"], "did you mean --rcpt?"),
                            (["reload", "--dryrun"], "did you mean --dry-run?"),
                            (["shutdown", "--now"], "shutdown takes none"),
                            (["shutdwon"], "did you mean `shutdown`?"), (["show", "top"], "may mean"),
                            (["delete", "--jobId="], "empty value"), (["pause", "queue", ""], "an empty QUEUE"),
                            (["delete", "--jobId=a", "--jobid=b"], "given twice"), (["--json"], "no command given")):
            status, out, err = self.run_it(*nowhere, *words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(says, err)
        status, _, err = self.run_it(*nowhere, "--json", "shutdown", "--now")
        self.assertEqual((status, json.loads(err)["status"]), (2, "error"))
        for words in (["--socket"], ["--socket="], ["--socket", "a", "--socket", "b", "show", "status"]):
            self.assertEqual(self.run_it(*words)[0], 2, words)

    @unittest.skipUnless(shutil.which("bash"), "needs bash")
    def test_completion_completes(self):
        script = self.run_it("completion", "bash")[1]

        def complete(*words):
            line = f"COMP_WORDS=(sluice {' '.join(words)}); COMP_CWORD={len(words)}; _sluice; echo ${{COMPREPLY[@]}}"
            done = subprocess.run(["bash", "-c", script + line], capture_output=True, text=True, timeout=60, check=True)
            return done.stdout.split()

        self.assertEqual(complete("rel"), ["reload"])
        self.assertEqual(complete("show", "top"), ["topqueues", "topdomains"])
        self.assertEqual(complete("reload", "--dr"), ["--dry-run"])
        self.assertEqual(complete("pause", "queue", "x", "--js"), ["--json"])
        self.assertEqual(complete("set", "queue", "--mo"), ["--mode="])

    def test_bad_commands(self):
        for words in (["check"], ["check", "a", "b"], ["check", "--jsn", "a"], ["fmt"], ["fmt", "--wrte", "a"],
                      ["directives", "x"]):
            status, out, err = self.run_it(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn("usage: ", err)
        self.assertEqual(self.run_it("--config", "x", "explain")[0], 2)
        status, _, err = self.run_it("check", str(self.folder / "none"))
        self.assertEqual(status, 1)
        self.assertIn("cannot read", err)


if __name__ == "__main__":
    unittest.main()
