#!/usr/bin/env python3
"""Goal: a daemon that cannot have its control socket, its log or its spool says so in one line with what, where and
what to do, ends with status 1 and leaves nothing behind; no daemon takes a living one's place, and a killed one's
place is taken over.
How: real daemons in folders of their own, with everything that can stand in the way put there."""

import datetime
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from daemon import Daemon, free_port, main, program, until

STOP_SECONDS_MAX = 30


class Place(Daemon):
    """A folder for one daemon."""

    def __init__(self, test):
        super().__init__(test.addCleanup, free_port())

    def configure(self, **other):
        """`other`: run_dir, control_socket, log_file, spool, address, port, more lines; the rest lies in the folder."""
        spool = other.get("spool", f"{self.folder}/spool")
        control = f"control-socket {other['control_socket']}\n" if "control_socket" in other else ""
        self.write("sluice.conf", f"""
host-name start.e2e.test
{other.get("postmaster", "postmaster ops@e2e.test")}
log-file {other.get("log_file", self.folder + "/log")}
run-dir {other.get("run_dir", self.folder + "/run")}
{control}shards 1
smtp-listener {other.get("address", "127.0.0.1")}:{other.get("port", self.smtp_port)}
<spool {spool}>
</spool>
{other.get("more", "")}""")

    def sluice(self, *words, at=None):
        done = subprocess.run([program("sluice"), "--socket", at or f"{self.folder}/run/control", *words],
                              capture_output=True, text=True, timeout=STOP_SECONDS_MAX, check=False)
        return done.returncode, done.stdout + done.stderr

    def run_to_end(self, **options):
        return subprocess.run([program("sluiced"), "--config", f"{self.folder}/sluice.conf"], capture_output=True,
                              text=True, timeout=STOP_SECONDS_MAX, check=False, **options)


class StartTest(unittest.TestCase):
    """What is in the way, one thing after the other."""

    def setUp(self):
        self.place = Place(self)

    def assert_refused(self, place, *words, **options):
        done = place.run_to_end(**options)
        lines = [line for line in done.stderr.splitlines() if line.startswith("Startup error: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertEqual(done.returncode, 1, done.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        return lines[0]

    def assert_clean(self, place, *left):
        """Nothing but `left` and the log in the folder: not even a spool was begun."""
        there = set(os.listdir(place.folder)) - {"sluice.conf", "log"}
        self.assertEqual(there, set(left))

    def test_a_path_longer_than_a_socket_may_have(self):
        run = f"{self.place.folder}/{'r' * 100}"
        self.place.configure(run_dir=run)
        self.assert_refused(self.place, run, "at most 107", "shorter run-dir")
        self.assertEqual(os.listdir(run) if os.path.isdir(run) else [], [])
        self.assert_clean(self.place, *([os.path.basename(run)] if os.path.isdir(run) else []))

    def test_a_file_instead_of_the_folder(self):
        self.place.write("run", "mine")
        self.place.configure()
        self.assert_refused(self.place, f"{self.place.folder}/run", "not a directory")
        self.assert_clean(self.place, "run")

    def test_a_folder_that_is_missing(self):
        at = f"{self.place.folder}/none/control"
        self.place.configure(control_socket=at)
        self.assert_refused(self.place, at, "does not exist", "control-socket")
        self.assert_clean(self.place, "run")

    def test_something_else_in_its_place(self):
        run = f"{self.place.folder}/run"
        control = f"{run}/control"
        self.place.configure()
        kinds = {"a directory": lambda: os.mkdir(control),
                 "a file": lambda: self.place.write("run/control", "mine"),
                 "a symbolic link": lambda: os.symlink("sluice.conf", control),
                 "a symbolic link ": lambda: os.symlink("nowhere", control)}
        for kind, make in kinds.items():
            with self.subTest(kind):
                os.mkdir(run)
                make()
                before = os.lstat(control)
                self.assert_refused(self.place, control, kind.strip(), "remove it")
                self.assertEqual(os.lstat(control).st_ino, before.st_ino)
                self.assertEqual(os.listdir(run), ["control"])
                self.assert_clean(self.place, "run")
                shutil.rmtree(run)

    def test_a_folder_that_is_a_dangling_link(self):
        os.symlink("nowhere", f"{self.place.folder}/run")
        self.place.configure()
        self.assert_refused(self.place, f"{self.place.folder}/run")
        self.assert_clean(self.place, "run")

    def test_a_read_only_file_system(self):
        run = f"{self.place.folder}/run"
        os.mkdir(run)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", run], capture_output=True,
                          check=False).returncode:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", run], check=False)
        self.place.configure()
        self.assert_refused(self.place, run, "read-only")
        self.assert_clean(self.place, "run")

    def test_a_folder_of_somebody_else(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be somebody else")
        run = f"{self.place.folder}/run"
        os.mkdir(run)
        os.chmod(self.place.folder, 0o777)
        os.chmod(run, 0o755)
        self.place.configure()
        if subprocess.run([program("sluiced"), "--version"], user=65534, capture_output=True, check=False).returncode:
            self.skipTest("nobody may not run the program")
        self.assert_refused(self.place, run, "permission", user=65534, group=65534, extra_groups=[])
        self.assertEqual(os.listdir(run), [])

    def test_a_living_one_keeps_its_place(self):
        self.place.configure()
        self.place.start_daemon()
        until(lambda: self.place.sluice("show", "version")[0] == 0, "answer")
        second = Place(self)
        second.configure(run_dir=f"{self.place.folder}/run")
        self.assert_refused(second, f"{self.place.folder}/run/control", "another sluiced", "run-dir of its own")
        self.assert_clean(second)
        self.assertEqual(self.place.sluice("show", "version")[0], 0)
        # Nor do those that ask for the same spool or log.
        second.configure(spool=f"{self.place.folder}/spool")
        self.assert_refused(second, f"{self.place.folder}/spool", "another sluiced")
        self.assertEqual(os.listdir(f"{second.folder}/run"), [])
        second.configure(log_file=f"{self.place.folder}/log")
        self.assert_refused(second, f"{self.place.folder}/log", "another sluiced")
        self.assertEqual(os.listdir(f"{second.folder}/run"), [])
        # A port that is taken, after everything else was opened.
        second.configure(port=self.place.smtp_port)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            second.configure(port=taken.getsockname()[1])
            self.assert_refused(second, str(taken.getsockname()[1]))
        self.assertEqual(os.listdir(f"{second.folder}/run"), [])
        self.assertEqual(self.place.sluice("show", "version")[0], 0)
        self.place.daemon.terminate()
        self.assertEqual(self.place.daemon.wait(STOP_SECONDS_MAX), 0)
        self.assertEqual(os.listdir(f"{self.place.folder}/run"), [])

    def test_a_killed_one_is_followed(self):
        self.place.configure()
        self.place.start_daemon()
        until(lambda: self.place.sluice("show", "version")[0] == 0, "answer")
        self.place.daemon.send_signal(signal.SIGKILL)
        self.place.daemon.wait(STOP_SECONDS_MAX)
        self.assertTrue(os.path.exists(f"{self.place.folder}/run/control"))
        self.place.start_daemon()
        until(lambda: self.place.sluice("show", "version")[0] == 0, "answer")

    def test_an_address_of_another_daemon(self):
        self.place.configure()
        self.place.start_daemon()
        port = self.place.smtp_port
        second = Place(self)
        for address in ("127.0.0.1", "0.0.0.0"):
            with self.subTest(address):
                second.configure(port=port, address=address)
                self.assert_refused(second, f"cannot listen on {address}:{port}", "another process listens there")
        second.configure()
        second.start_daemon()
        until(lambda: " Ready" in second.log(), "line about the start")
        self.assertEqual(second.log().count(f"Listening for SMTP on 127.0.0.1:{second.smtp_port}\n"), 1)
        with open(f"{second.folder}/sluice.conf", "a", encoding="utf-8") as file:
            file.write(f"smtp-listener 127.0.0.1:{port}\n")
        status, said = second.sluice("reload")
        self.assertNotEqual(status, 0)
        self.assertIn("another process listens there", said)
        self.assertIn("another process listens there", second.log())
        # The place of one that is gone is free, whatever its clients have left behind.
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.recv(100)
            self.place.daemon.send_signal(signal.SIGKILL)
            self.place.daemon.wait(STOP_SECONDS_MAX)
            status, said = second.sluice("reload")
        self.assertEqual(status, 0, said)

    def test_the_log_says_what_matters_about_the_configuration(self):
        self.place.configure(more="<virtual-mta gone>\n smtp-source-host 192.0.2.77 gone.e2e.test\n</virtual-mta>\n",
                             postmaster="")
        self.place.start_daemon()
        gone = "virtual MTA gone: source IP 192.0.2.77 is not an address of this host"
        until(lambda: " Ready" in self.place.log(), "line about the start")
        self.assertIn(gone, self.place.log())
        self.assertIn("The configuration has 1 warning(s)", self.place.log())
        before = len(self.place.log())
        self.assertEqual(self.place.sluice("reload")[0], 0)
        self.assertIn(gone, self.place.log()[before:])
        self.assertIn("no postmaster specified", self.place.log()[before:])
        before = len(self.place.log())
        self.place.write("sluice.conf", "smtp-listenr 127.0.0.1:1\nrun-dirr x\n")
        self.place.daemon.send_signal(signal.SIGHUP)
        until(lambda: "Reload refused" in self.place.log()[before:], "refusal")
        self.assertIn("line 1", self.place.log()[before:])
        self.assertIn("line 2", self.place.log()[before:])

    def test_the_zone_is_that_of_tz(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        cases = {"<+0530>-5:30": 330, ":<+0530>-5:30": 330, "EST5": -300, "": 0, "No/Such_Zone": 0}
        if os.path.exists("/usr/share/zoneinfo/Asia/Tokyo"):
            cases |= {"Asia/Tokyo": 540, ":Asia/Tokyo": 540, "/usr/share/zoneinfo/Asia/Tokyo": 540}
        for name, minutes in cases.items():
            with self.subTest(name):
                place = Place(self)
                place.configure()
                place.start_daemon(env={**os.environ, "TZ": name})
                until(lambda: " Ready" in place.log(), "line about the start")
                logged = datetime.datetime.strptime(place.log()[:19], "%Y-%m-%d %H:%M:%S")
                ahead = logged.replace(tzinfo=datetime.timezone.utc) - now
                self.assertLess(abs(ahead - datetime.timedelta(minutes=minutes)), datetime.timedelta(minutes=5))

    def test_of_many_at_once_one_starts(self):
        places = [Place(self) for _ in range(4)]
        run = f"{self.place.folder}/run"
        daemons = []
        for place in places:
            place.configure(run_dir=run)
            daemons.append(place.spawn(program("sluiced"), "--config", f"{place.folder}/sluice.conf",
                                       stderr=subprocess.PIPE))
        until(lambda: sum(one.poll() is None for one in daemons) == 1 and
              self.place.sluice("show", "version")[0] == 0, "end of all but one")
        self.assertEqual({one.poll() for one in daemons}, {None, 1})


if __name__ == "__main__":
    main()
