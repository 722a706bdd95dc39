"""A sluiced and a sluice-sink in a folder of their own, and what the sink wrote down."""

import collections
import contextlib
import smtplib
import socket
import subprocess

from daemon import Daemon, free_port, program, until

Line = collections.namedtuple("Line", "kind time session provider source message rcpt mark bytes hash reply")


class Seen:
    """What one provider saw. Times in seconds."""

    def __init__(self, lines):
        self.taken = [one for one in lines if one.kind == "A"]
        self.refused = [one for one in lines if one.kind == "R"]
        self.came = [one for one in lines if one.kind == "C"]
        self.ended = [one for one in lines if one.kind == "E"]

    def times(self):
        return sorted(one.time for one in self.taken + self.refused)

    def at_once(self, least=0.05):
        """Connections open at the same time. A successor is seen coming before the end of its predecessor is read: so
        that only what overlaps for longer than `least` counts."""
        ends = {one.session: one.time for one in self.ended}
        moments = [(one.time + least, 1) for one in self.came]
        moments += [(max(ends[one.session], one.time + least), -1) for one in self.came if one.session in ends]
        top = now = 0
        for _, step in sorted(moments):
            now += step
            top = max(top, now)
        return top

    def sources(self):
        return collections.Counter(one.source for one in self.taken)

    def of_source(self, source):
        return Seen([one for one in self.taken + self.refused + self.came + self.ended if one.source == source])

    def transactions(self):
        """Recipients of each message as it was taken over, by the sink's own number for it."""
        return collections.Counter(one.reply for one in self.taken)


class Place(Daemon):
    """`domains`: {name: (lines of its provider, lines of its <domain> block)}; mail to `name.test` goes to provider
    `name` at an address of its own."""

    def __init__(self, test_class, domains, config=""):
        super().__init__(test_class.addClassCleanup, free_port())
        self.dns, self.port = free_port(socket.SOCK_DGRAM), free_port()
        self.address = {name: f"127.0.3.{number + 1}" for number, name in enumerate(domains)}
        providers = "".join(
            f"provider {name}\n domain {name}.test\n mx 10 mx.{name}.test {self.address[name]}\n {lines}\nend\n"
            for name, (lines, _) in domains.items())
        self.write("providers.txt", f"port {self.port}\n{providers}")
        self.blocks = "".join(f"<domain {name}.test>\n {lines}\n</domain>\n" for name, (_, lines) in domains.items())
        self.configure(config)
        self.sink = self.spawn(program("sluice-sink"), "--providers", f"{self.folder}/providers.txt", "--dns",
                               f"127.0.0.1:{self.dns}", "--ledger", f"{self.folder}/sink", stdout=subprocess.PIPE)
        for line in self.sink.stdout:
            if line.strip() == b"ready":
                break
        self.start_daemon()

    def configure(self, config):
        self.write("sluice.conf", f"""
host-name mail.limits.test
postmaster ops@limits.test
log-file {self.folder}/log
run-dir {self.folder}
smtp-listener 127.0.0.1:{self.smtp_port}
name-server 127.0.0.1:{self.dns}
<source 127/8>
    always-allow-relaying yes
    suppress-local-dsn yes
    process-x-virtual-mta yes
</source>
<spool {self.folder}/spool>
</spool>
<domain *>
    default-smtp-port {self.port}
    max-rcpt-per-message 1
    retry-after 1s
    retry-recipients-after 1h
</domain>
{config}
{self.blocks}
""")

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def send(self, name, count, vmta=None, each=100, body=300):
        """`count` recipients of one domain, `each` of them to a message."""
        header = f"X-Virtual-MTA: {vmta}\r\n" if vmta else ""
        text = f"From: a@limits.test\r\n{header}Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * (body // 72)

        def connected():
            # Right after a kill -9 the kernel may hold the dead process's listening socket for a moment.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                return smtplib.SMTP("127.0.0.1", self.smtp_port)
            return None

        with until(connected, "connection") as client:
            for first in range(0, count, each):
                to = [f"u{number}@{name}.test" for number in range(first, min(count, first + each))]
                client.sendmail("a@limits.test", to, text)

    def seen(self, name=None):
        """Of one provider, or of all together."""
        with open(f"{self.folder}/sink.0", "rb") as file:
            text = file.read().partition(b"\0")[0].decode()
        out = []
        for line in text.splitlines():
            fields = line.split("\t")
            if len(fields) == 11 and name in (None, fields[3]):
                out.append(Line(fields[0], int(fields[1]) / 1e6, fields[2], fields[3], fields[4], fields[5], fields[6],
                                fields[7], int(fields[8]), fields[9], fields[10]))
        return Seen(out)
