"""sluiced as a side of a comparison: its own folder, free loopback ports, durable accept as shipped."""

import os
import signal
import subprocess

from measure import Failure, free_port, listens, program, stop, wait_until

CONFIG = """
host-name peer.bench.example
postmaster postmaster@peer.bench.example
smtp-listener 127.0.0.1:{port}
run-dir {folder}
log-file {folder}/log
{extra}
<spool {folder}/spool>
</spool>
<source 127/8>
    always-allow-relaying yes
    suppress-local-dsn yes
    default-virtual-mta bench
</source>
<virtual-mta bench>
    smtp-source-host 127.0.0.1 bench.example
</virtual-mta>
<domain *>
    max-smtp-out {connections}
    max-rcpt-per-message 1
    smtp-hosts [127.0.0.1]:{sink_port}
    use-starttls no
</domain>
<acct-file {folder}/acct.csv>
    records d,b
</acct-file>
total-max-smtp-in 2000
total-max-smtp-out 2000
"""


class Sluice:
    """Started by the constructor, ended by stop()."""

    name = "sluiced"

    def __init__(self, folder, sink_port, connections, build, extra=""):
        self.folder = folder
        self.port = free_port()
        config = os.path.join(folder, "config")
        os.makedirs(os.path.join(folder, "spool"), exist_ok=True)
        with open(config, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=folder, port=self.port, sink_port=sink_port, connections=connections,
                                     extra=extra).lstrip())
        daemon = program("sluiced", os.path.join(build, "bin"))
        checked = subprocess.run([daemon, "--check", config], capture_output=True, text=True, check=False, timeout=30)
        if checked.returncode:
            raise Failure(f"sluiced --check refuses the configuration:\n{checked.stderr or checked.stdout}")
        self.output = open(os.path.join(folder, "output"), "wb")
        self.process = subprocess.Popen([daemon, "--config", config], stdout=self.output, stderr=self.output,
                                        stdin=subprocess.DEVNULL)
        self.pid = self.process.pid
        try:
            wait_until(lambda: listens("127.0.0.1", self.port), 30, f"starting sluiced (see {folder}/output)",
                       self.process)
        except Failure:
            self.stop()
            raise

    def stop(self):
        stop(self.process, signal.SIGTERM)
        self.output.close()
