#!/usr/bin/env python3
"""Goal: hundreds of reloads under load lose nothing, deliver nothing twice, and leave neither descriptors nor memory.
How:  a real sluiced between sluice-load and sluice-sink gets a configuration made by chance several times a second:
      other limits, source addresses that change shards, virtual MTAs, pools, listeners, accounting files and pattern
      lists that come and go, and now and then one that does not load. sluice-audit is the judge.

usage: reload_test.py BIN_FOLDER    SLUICE_RELOADS=1000 for the long run (default 200), SLUICE_SEED=N"""

import glob
import os
import random
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "support"), os.path.join(HERE, "..", "limits")]
from daemon import free_port, main, program, until  # noqa: E402  the folders are known only now
from rig import Place  # noqa: E402

RELOADS = int(os.environ.get("SLUICE_RELOADS", "200"))
SEED = int(os.environ.get("SLUICE_SEED", "1"))
MESSAGES_A_RELOAD = 20
PAUSE_SECONDS_MAX = 0.1
REFUSED_EVERY = 10
# What caches and pools may still grow by after the first quarter.
MEMORY_KB_MAX = 24 * 1024
# Segments of spool and journals that are open for what is under way.
FILES_MORE_MAX = 16

ALWAYS = """
host-name mail.reload.test
postmaster ops@reload.test
log-file {folder}/log
run-dir {folder}
shards 2
smtp-listener 127.0.0.1:{smtp}
name-server 127.0.0.1:{dns}
<source 127/8>
    always-allow-relaying yes
    suppress-local-dsn yes
    process-x-virtual-mta yes
    reject-invalid-virtual-mta no
</source>
<spool {folder}/spool>
</spool>
<acct-file {folder}/acct.csv>
    records d,b
</acct-file>
<domain *>
    default-smtp-port {port}
    retry-after 1s
    retry-recipients-after 1s
    share-connections yes
</domain>
"""


class Reloaded(Place):
    def configure(self, config):
        always = ALWAYS.format(folder=self.folder, smtp=self.smtp_port, dns=self.dns, port=self.port)
        self.write("sluice.conf", always + config)

    def variation(self, chance, listener_port):
        """A configuration that loads. Virtual MTAs a, b and c share addresses in ever new ways."""
        addresses = ["127.0.4.1", "127.0.4.2", "127.0.4.3"]
        out = ["invalid-virtual-mta-fallback a\n"]
        for name in ("a", "b", "c"):
            if name != "a" and chance.random() < 0.15:
                continue  # its mail falls to the fallback
            sources = chance.sample(addresses, chance.randint(0, 2))
            lines = [f"smtp-source-host {address} {name}.reload.test" for address in sources]
            if chance.random() < 0.5:
                lines.append(f"max-smtp-out {chance.randint(2, 20)}")
            if chance.random() < 0.3:
                lines.append(f"max-smtp-msg-rate {chance.randint(200, 2000)}/s")
            lines.append(f"host-name {name}.reload.test")
            out.append(f"<virtual-mta {name}>\n " + "\n ".join(lines) + "\n</virtual-mta>\n")
        for name in ("fast", "slow"):
            lines = [f"max-smtp-out {chance.randint(1, 12)}"]
            if chance.random() < 0.4:
                lines.append(f"max-msg-rate {chance.randint(200, 3000)}/s")
            if chance.random() < 0.2:
                lines.append("ignore-pipelining yes")
            if chance.random() < 0.3:
                lines.append("smtp-pattern-list replies")
            out.append(f"<domain {name}.test>\n " + "\n ".join(lines) + "\n</domain>\n")
        rule = f"reply /busy {chance.randint(1, 9)}/ mode=backoff"
        out.append(f"<smtp-pattern-list replies>\n {rule}\n</smtp-pattern-list>\n")
        if chance.random() < 0.5:
            out.append("<virtual-mta-pool p>\n virtual-mta a\n</virtual-mta-pool>\n")
        if chance.random() < 0.5:
            out.append(f"smtp-listener 127.0.0.1:{listener_port}\n")
        if chance.random() < 0.5:
            out.append(f"<acct-file {self.folder}/extra.csv>\n records d\n</acct-file>\n")
        return "".join(out)

    def descriptors(self):
        """Open sockets, and all that is open."""
        folder = f"/proc/{self.daemon.pid}/fd"
        targets = []
        for name in os.listdir(folder):
            try:
                targets.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass  # closed meanwhile
        return sum(one.startswith("socket:") for one in targets), len(targets)

    def memory_kb(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def queued(self):
        _, text = self.sluice("show", "status")
        return next((int(line.split()[1]) for line in text.splitlines() if line.split()[:1] == ["SMTP"]), -1)


def is_sanitized(program):
    with open(program, "rb") as file:
        return b"__asan_init" in file.read()


class Reload(unittest.TestCase):
    def test_under_load(self):
        chance = random.Random(SEED)
        place = Reloaded(self.__class__, {"fast": ("", ""), "slow": ("at dot delay 10ms", "")})
        listener_port = free_port()
        place.configure(place.variation(chance, listener_port))
        self.assertEqual(place.sluice("reload")[0], 0)
        quiet = place.descriptors()
        load = place.spawn(program("sluice-load"), "--to", f"127.0.0.1:{place.smtp_port}",
                           "--messages", str(RELOADS * MESSAGES_A_RELOAD),
                           "--rate", f"{int(MESSAGES_A_RELOAD / PAUSE_SECONDS_MAX)}/s", "--connections", "8",
                           "--messages-per-connection", "50", "--size", "1k..8k",
                           "--domain", "fast.test:3,slow.test:1", "--vmta", "a,b,c", "--ledger", f"{place.folder}/load",
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        memory, open_files = [], []
        refused = 0
        for number in range(1, RELOADS + 1):
            if number % REFUSED_EVERY == 0:
                what = chance.choice(("max-smtp-ouf 3\n", "smtp-listener 203.0.113.7:25\n",
                                      f"log-file {place.folder}/none/log\n",
                                      f"include {place.folder}/nothing.conf\n"))
                place.configure(place.variation(chance, listener_port) + what)
                status, text = place.sluice("reload")
                self.assertEqual(status, 1, text)
                self.assertIn("Configuration not reloaded.", text)
                refused += 1
            place.configure(place.variation(chance, listener_port))
            status, text = place.sluice("reload")
            self.assertEqual(status, 0, text + place.log())
            self.assertIn("Configuration reloaded.", text)
            memory.append(place.memory_kb())
            sockets, everything = place.descriptors()
            open_files.append(everything - sockets)
            time.sleep(chance.random() * PAUSE_SECONDS_MAX)
        _, errors = load.communicate(timeout=600)
        self.assertEqual(load.returncode, 0, errors)
        until(lambda: place.queued() == 0, "empty queues", 120)
        place.configure("")
        self.assertEqual(place.sluice("reload")[0], 0)
        until(lambda: place.descriptors()[0] <= quiet[0], f"as few sockets as before ({quiet[0]})")
        sockets, everything = place.descriptors()
        early, late = max(memory[:max(1, RELOADS // 4)]), place.memory_kb()
        place.daemon.terminate()
        self.assertEqual(place.daemon.wait(30), 0, place.log())
        place.sink.terminate()
        place.sink.wait(30)
        arguments = []
        for option, pattern in (("--injected", "load.*"), ("--received", "sink.*"), ("--accounting", "acct-*.csv")):
            for path in sorted(glob.glob(f"{place.folder}/{pattern}")):
                arguments += [option, path]
        audit = subprocess.run([program("sluice-audit"), *arguments], capture_output=True, text=True,
                               timeout=120, check=False)
        early_files = max(open_files[:len(open_files) // 4 + 1])
        print(f"{RELOADS} reloads, {refused} refused; {audit.stdout}sockets {quiet[0]} before, {sockets} after; "
              f"files {early_files} in the first quarter, {everything - sockets} at the end; "
              f"memory {early} kB in the first quarter, {late} kB at the end")
        self.assertLessEqual(everything - sockets, early_files + FILES_MORE_MAX)
        self.assertEqual(audit.returncode, 0, audit.stdout + audit.stderr)
        for promise in ("bounced 0 ", "lost 0", "duplicates 0"):
            self.assertIn(promise, audit.stdout)
        if not is_sanitized(program("sluiced")):
            self.assertLess(late, early + MEMORY_KB_MAX)


if __name__ == "__main__":
    main()
