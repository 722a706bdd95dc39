"""A daemon between peers we did not write: Knot serves the names, Postfix's smtp-sink takes the mail."""

import csv
import glob
import os
import subprocess

from daemon import Daemon, can_connect, free_port, until


class Installation(Daemon):
    """A folder with a configuration, a zone, a mail host and the daemon."""

    def __init__(self, test):
        super().__init__(test.addCleanup, free_port())
        self.sink_port = free_port(address="127.0.2.1")
        self.dns_port = free_port()
        self.write("sluice.conf", f"""
host-name mail.e2e.test
postmaster ops@e2e.test
log-file {self.folder}/log
run-dir {self.folder}
smtp-listener 127.0.0.1:{self.smtp_port}
name-server 127.0.0.1:{self.dns_port}
total-max-smtp-in 500
<source 127/8>
    always-allow-relaying yes
    process-x-virtual-mta yes
    process-x-job yes
    suppress-local-dsn yes
</source>
<spool {self.folder}/spool>
</spool>
<virtual-mta tx>
    smtp-source-host 127.0.1.1 tx.e2e.test
</virtual-mta>
<domain *>
    default-smtp-port {self.sink_port}
    retry-after 1s
    retry-recipients-after 1s
</domain>
<acct-file {self.folder}/acct.csv>
    records d,b,t,r
    record-fields d *,header_Subject
</acct-file>
""")

    def spawn(self, *command, **options):
        return super().spawn(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)

    def start_dns(self):
        """Knot as the authority for far.test: an MX, a null MX, and a name with an address only."""
        self.write("far.zone", """$ORIGIN far.test.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
@ MX 10 mx
mx A 127.0.2.1
null MX 0 .
plain A 127.0.2.1
""")
        self.write("knot.conf", f"""server:
    listen: 127.0.0.1@{self.dns_port}
    rundir: {self.folder}
database:
    storage: {self.folder}
zone:
  - domain: far.test
    file: {self.folder}/far.zone
""")
        self.spawn("/usr/sbin/knotd", "-c", f"{self.folder}/knot.conf")
        until(lambda: can_connect("127.0.0.1", self.dns_port), "name server")

    def start_sink(self, *options):
        """Postfix's smtp-sink; as root it wants to become somebody else."""
        user = ["-u", "nobody"] if os.getuid() == 0 else []
        child = self.spawn("/usr/sbin/smtp-sink", *user, *options, f"127.0.2.1:{self.sink_port}", "100", cwd="/tmp")
        until(lambda: can_connect("127.0.2.1", self.sink_port), "smtp-sink")
        return child

    def rows(self, kind):
        out = []
        for path in sorted(glob.glob(f"{self.folder}/acct-*.csv")):
            with open(path, newline="", encoding="utf-8") as file:
                whole = file.read().rpartition("\r\n")[0]  # once: a file may grow while it is read, its header included
            out += [row for row in csv.DictReader(whole.splitlines()) if row["type"] == kind]
        return out
