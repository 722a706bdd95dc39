"""What happened so far, read from the accounting files as any other tool would read them, and shown as a table."""

import collections
import csv
import glob
import os

# One line of accounting at most; longer ones would mean we have lost our place.
LINE_BYTES_MAX = 64 * 1024


class Accounting:
    """Follows FOLDER/acct-*.csv while they grow and counts recipients by record type, virtual MTA and domain."""

    def __init__(self, folder):
        self.pattern = os.path.join(folder, "acct-*.csv")
        self.files = {}  # path -> [offset, header]
        self.by_vmta = collections.Counter()  # (type, vmta) -> recipients
        self.by_domain = collections.Counter()  # (type, domain) -> recipients

    def read(self):
        """Takes in the whole lines that were added since the last call."""
        for path in sorted(glob.glob(self.pattern)):
            place = self.files.setdefault(path, [0, None])
            with open(path, "rb") as file:
                file.seek(place[0])
                chunk = file.read()
            whole = chunk.rfind(b"\n") + 1
            if whole == 0:
                if len(chunk) > LINE_BYTES_MAX:
                    raise ValueError(f"{path}: a line of more than {LINE_BYTES_MAX} bytes")
                continue
            place[0] += whole
            for row in csv.reader(chunk[:whole].decode("utf-8", "replace").splitlines()):
                self._take(place, row)

    def _take(self, place, row):
        if row and row[0] == "type":
            place[1] = {name: at for at, name in enumerate(row)}
            return
        header = place[1]
        if not row or header is None:
            return

        def value(name):
            at = header.get(name)
            return row[at] if at is not None and at < len(row) else ""

        self.by_vmta[row[0], value("vmta")] += 1
        self.by_domain[row[0], value("rcpt").rpartition("@")[2].lower()] += 1

    def total(self, kind):
        return sum(count for (found, _), count in self.by_vmta.items() if found == kind)

    def queued(self):
        return self.total("r") - self.total("d") - self.total("b")


class Table:
    """One line a second: columns for the whole, for each virtual MTA and for each provider."""

    def __init__(self, vmtas, domains):
        self.vmtas = vmtas
        self.domains = domains
        self.rows = 0

    def heading(self):
        domains = "".join(f"{domain.partition('.')[0]:>10}" for domain in self.domains)
        vmtas = "".join(f"{vmta[:13]:>14}" for vmta in self.vmtas)
        return (f"{'':5}{'':27} | {'delivered by virtual MTA':^{14 * len(self.vmtas)}} |"
                f" {'delivered to provider':^{10 * len(self.domains)}}\n"
                f"{'sec':>5}{'accepted':>10}{'queued':>9}{'bounced':>8} |{vmtas} |{domains}")

    def line(self, seconds, accounting):
        if self.rows % 20 == 0:
            print(self.heading())
        self.rows += 1
        vmtas = "".join(f"{accounting.by_vmta['d', vmta]:14,}" for vmta in self.vmtas)
        domains = "".join(f"{accounting.by_domain['d', domain]:10,}" for domain in self.domains)
        print(f"{seconds:5.0f}{accounting.total('r'):10,}{accounting.queued():9,}{accounting.total('b'):8,} |"
              f"{vmtas} |{domains}", flush=True)
