#!/usr/bin/env python3
"""Goal: every directive that limits something does so against a real receiver, also over kill -9 and reloads.
How:  one domain and one provider for each directive, all sent to at the same time by one daemon; each test then looks
      at what the sink wrote down about its own. Exactness to the nanosecond is proven in tests/sim.

usage: limits_test.py BIN_FOLDER"""

import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from daemon import main, until  # noqa: E402  the folder is known only now
from rig import Place, Seen  # noqa: E402

# A receiver that is kept waiting by a busy machine sees things so much closer together than they were sent.
SLACK = 0.5

SLOW = "at dot delay 20ms"
ONE = "127.0.4.1"
TWO = "127.0.4.2"

CONFIG = """
mx-connection-limit mx.mxlimit.test 2
ip-connection-limit {iplimit} 2
<virtual-mta two>
    smtp-source-host 127.0.4.1 one.limits.test
    smtp-source-host 127.0.4.2 two.limits.test
</virtual-mta>
<virtual-mta vm>
    smtp-source-host 127.0.4.3 vm.limits.test
    max-smtp-out 2
    max-smtp-msg-rate 20/s
</virtual-mta>
<virtual-mta vv>
    smtp-source-host 127.0.4.4 vv.limits.test
    max-smtp-data-volume-rate 60k/s
</virtual-mta>
<virtual-mta pa>
    smtp-source-host 127.0.4.5 pa.limits.test
</virtual-mta>
<virtual-mta pb>
    smtp-source-host 127.0.4.6 pb.limits.test
</virtual-mta>
<virtual-mta-pool pool>
    virtual-mta pa
    virtual-mta pb
    max-smtp-out 3
    max-smtp-msg-rate 20/s
</virtual-mta-pool>
<virtual-mta va>
    smtp-source-host 127.0.4.7 va.limits.test
</virtual-mta>
<virtual-mta vb>
    smtp-source-host 127.0.4.8 vb.limits.test
</virtual-mta>
<virtual-mta-pool volumes>
    virtual-mta va
    virtual-mta vb
    max-smtp-data-volume-rate 60k/s
</virtual-mta-pool>
<virtual-mta cold>
    smtp-source-host 127.0.4.9 cold.limits.test
</virtual-mta>
<virtual-mta warm>
    smtp-source-host 127.0.4.10 warm.limits.test
    cold-virtual-mta cold
</virtual-mta>
"""

# name: (lines of the provider, lines of the <domain>, virtual MTA, recipients, recipients of a message, bytes)
CASES = {
    "conns": (SLOW, "max-smtp-out 3", None, 200, 100, 300),
    "rate": ("", "max-msg-rate 20/s", None, 100, 100, 300),
    "multiple": ("", "max-msg-rate 40/2s", None, 100, 100, 300),
    "perhour": ("", "max-msg-per-hour 72000", None, 100, 100, 300),
    "connrate": ("", "max-connect-rate 4/s\n max-msg-per-connection 3", None, 60, 100, 300),
    "volume": ("", "max-data-volume-rate 60k/s", None, 80, 1, 4000),
    "refusing": ("at dot every 2 reply \"550 5.7.1 no\"", "max-data-volume-rate 60k/s", None, 160, 1, 4000),
    "backoff": (SLOW, "backoff-max-smtp-out 2\n backoff-max-msg-rate 20/s", None, 100, 100, 300),
    "backconn": ("", "backoff-max-connect-rate 4/s\n max-msg-per-connection 3", None, 60, 100, 300),
    "backvol": ("", "backoff-max-data-volume-rate 60k/s", None, 80, 1, 4000),
    "srcout": (SLOW, "source-ip-max-smtp-out 127.0.4.1 1\n source-ip-max-smtp-out 0/0 3", "two", 200, 100, 300),
    "persrc": (SLOW, "max-smtp-out-per-source-ip 2", "two", 200, 100, 300),
    "srcrate": ("", "source-ip-max-msg-rate 127.0.4.1 20/s\n source-ip-max-msg-rate 0/0 30/s", "two", 200, 100, 300),
    "srcconn": ("", "source-ip-max-connect-rate 127.0.4/24 3/s\n max-msg-per-connection 3", "two", 80, 100, 300),
    "srcvol": ("", "source-ip-max-data-volume-rate 0/0 30k/s", "two", 80, 1, 4000),
    "perconn": ("", "max-msg-per-connection 4\n max-smtp-out 2", None, 40, 100, 300),
    "rcpts": ("", "max-rcpt-per-message 3", None, 50, 10, 300),
    "rcpttrans": ("", "max-rcpt-per-transaction 4", None, 50, 10, 300),
    "errors": ("at rcpt reply \"550 5.1.1 nobody\"", "max-errors-per-connection 3", None, 30, 10, 300),
    "ramp": ("at dot delay 300ms", "smtp-out-rampup-interval 1s\n max-smtp-out 10", None, 60, 100, 300),
    "idle": ("", "connection-idle-timeout 4s", None, 1, 1, 300),
    "noidle": ("", "", None, 1, 1, 300),
    "vmtaa": ("", "", "vm", 50, 100, 300),
    "vmtab": ("", "", "vm", 50, 100, 300),
    "vmtavol": ("", "", "vv", 80, 1, 4000),
    "poola": (SLOW, "", "pool", 50, 1, 300),
    "poolb": (SLOW, "", "pool", 50, 1, 300),
    "poolvol": ("", "", "volumes", 80, 1, 4000),
    "cold": ("", "max-cold-virtual-mta-msg 5/d", "warm", 20, 1, 300),
    "mxlimit": (SLOW, "", "two", 200, 100, 300),
    "iplimit": (SLOW, "", "two", 200, 100, 300),
    "shared": (SLOW, "share-limits-over-vmtas yes\n max-smtp-out 2\n max-msg-rate 20/s", None, 60, 100, 300),
    "free": ("", "", None, 200, 100, 300),
}
BACKOFF = ["backoff", "backconn", "backvol"]


class EveryLimit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        domains = {name: (case[0], case[1]) for name, case in CASES.items()}
        number = list(CASES).index("iplimit") + 1
        cls.place = place = Place(cls, domains, CONFIG.format(iplimit=f"127.0.3.{number}"))
        for name in BACKOFF:
            place.send(name, 1)
        until(lambda: all(place.seen(name).taken for name in BACKOFF), "queues that exist")
        for name in BACKOFF:
            assert place.sluice("set", "queue", "--mode=backoff", f"{name}.test/*")[0] == 0
        for name, (_, _, vmta, count, each, body) in CASES.items():
            place.send(name, count, vmta, each, body)
        place.send("shared", 60, "va")
        place.send("shared", 60, "vb")
        expected = sum(case[3] for case in CASES.values()) + 120 + len(BACKOFF)

        def all_there():
            seen = place.seen()
            return len(seen.taken) + len(seen.refused) >= expected and seen

        until(all_there, "every recipient's attempt", 60)

    def seen(self, name):
        return self.place.seen(name)

    def rate(self, times, events, per=1.0, least=0.8):
        """No burst, and in the long run what is configured: not more, and not much less."""
        window = per - SLACK
        for i in range(events, len(times)):
            self.assertGreater(times[i] - times[i - events], window, f"{events + 1} events ending at number {i}")
        span = times[-1] - times[0]
        self.assertGreaterEqual(span + SLACK, (len(times) - 1) * per / events, "mean rate is exceeded")
        self.assertLessEqual(span * least, (len(times) - 1) * per / events + SLACK, "mean rate is not reached")

    def volume(self, taken, allowed, per=1.0):
        taken = sorted(taken, key=lambda one: one.time)
        for i, last in enumerate(taken):
            inside = sum(one.bytes for one in taken[:i + 1] if last.time - one.time < per - SLACK)
            self.assertLessEqual(inside, allowed)
        span = taken[-1].time - taken[0].time
        total = sum(one.bytes for one in taken[:-1])
        self.assertGreaterEqual(span + SLACK, total * per / allowed, "mean volume is exceeded")
        self.assertLessEqual(span * 0.75, total * per / allowed + SLACK, "mean volume is not reached")

    def came(self, name):
        return sorted(one.time for one in self.seen(name).came)

    def test_without_limits_nothing_waits(self):
        times = self.seen("free").times()
        self.assertEqual(len(times), 200)
        self.assertLess(times[-1] - times[0], 3)

    def test_max_smtp_out(self):
        self.assertEqual(self.seen("conns").at_once(), 3)

    def test_max_msg_rate(self):
        self.rate(self.seen("rate").times(), 20)

    def test_max_msg_rate_with_a_multiple(self):
        self.rate(self.seen("multiple").times(), 40, 2)

    def test_max_msg_per_hour(self):
        self.rate(self.seen("perhour").times(), 20)

    def test_max_connect_rate(self):
        self.rate(self.came("connrate"), 4)

    def test_max_data_volume_rate(self):
        self.volume(self.seen("volume").taken, 60 * 1024)

    def test_max_data_volume_rate_counts_what_was_delivered(self):
        seen = self.seen("refusing")
        self.assertGreater(len(seen.refused), 70)
        self.volume(seen.taken, 60 * 1024)

    def test_backoff_limits(self):
        seen = self.seen("backoff")
        self.assertLessEqual(seen.at_once(), 2)
        self.rate(seen.times()[1:], 20)
        self.rate(self.came("backconn")[1:], 4)
        self.volume(sorted(self.seen("backvol").taken, key=lambda one: one.time)[1:], 60 * 1024)

    def test_source_ip_max_smtp_out(self):
        seen = self.seen("srcout")
        self.assertEqual(seen.of_source(ONE).at_once(), 1)
        self.assertEqual(seen.of_source(TWO).at_once(), 3)
        seen = self.seen("persrc")
        self.assertEqual((seen.of_source(ONE).at_once(), seen.of_source(TWO).at_once()), (2, 2))

    def test_source_ip_max_msg_rate(self):
        seen = self.seen("srcrate")
        self.rate(seen.of_source(ONE).times(), 20)
        self.rate(seen.of_source(TWO).times(), 30)

    def test_source_ip_max_connect_rate(self):
        for source in ONE, TWO:
            times = sorted(one.time for one in self.seen("srcconn").of_source(source).came)
            self.rate(times, 3)

    def test_source_ip_max_data_volume_rate(self):
        for source in ONE, TWO:
            self.volume(self.seen("srcvol").of_source(source).taken, 30 * 1024)

    def test_max_msg_per_connection(self):
        seen = self.seen("perconn")
        self.assertEqual(max(one.bytes for one in seen.ended), 4)
        self.assertEqual(len(seen.came), 10)

    def test_max_rcpt_per_message_and_transaction(self):
        for name, most, transactions in ("rcpts", 3, 20), ("rcpttrans", 4, 15):
            counts = self.seen(name).transactions().values()
            self.assertEqual((max(counts), len(counts)), (most, transactions))

    def test_max_errors_per_connection(self):
        seen = self.seen("errors")
        counts = {}
        for one in seen.refused:
            counts[one.session] = counts.get(one.session, 0) + 1
        self.assertEqual(set(counts.values()), {3})

    def test_smtp_out_rampup_interval(self):
        times = self.came("ramp")
        self.assertGreaterEqual(len(times), 4)
        for before, after in zip(times, times[1:]):
            self.assertGreater(after - before, 1 - SLACK)
        self.assertGreater(times[-1] - times[0], (len(times) - 1) * 1 - SLACK)

    def test_connection_idle_timeout(self):
        def rested(name):
            seen = self.seen(name)
            return seen.ended and seen.ended[0].time - seen.taken[0].time

        long, short = until(lambda: rested("idle"), "end"), until(lambda: rested("noidle"), "end")
        self.assertGreater(long, 4 - SLACK)
        self.assertLess(long, 8)
        self.assertLess(short, 2)

    def test_totals_of_a_virtual_mta(self):
        of_vm = [line for name in ("vmtaa", "vmtab") for line in self.seen(name).taken]
        self.rate(sorted(one.time for one in of_vm), 20)
        came = [line for name in ("vmtaa", "vmtab") for kind in ("came", "ended")
                for line in getattr(self.seen(name), kind)]
        self.assertLessEqual(Seen(came).at_once(), 2)
        self.volume(self.seen("vmtavol").taken, 60 * 1024)

    def test_totals_of_a_pool(self):
        seen = [self.seen(name) for name in ("poola", "poolb")]
        self.rate(sorted(time for one in seen for time in one.times()), 20)
        self.assertLessEqual(Seen([line for one in seen for line in one.came + one.ended]).at_once(), 3)
        self.assertEqual({source for one in seen for source in one.sources()}, {"127.0.4.5", "127.0.4.6"})
        self.volume(self.seen("poolvol").taken, 60 * 1024)

    def test_max_cold_virtual_mta_msg(self):
        self.assertEqual(self.seen("cold").sources(), {"127.0.4.9": 5, "127.0.4.10": 15})

    def test_mx_connection_limit_is_per_source(self):
        seen = self.seen("mxlimit")
        self.assertEqual((seen.of_source(ONE).at_once(), seen.of_source(TWO).at_once()), (2, 2))

    def test_ip_connection_limit(self):
        self.assertEqual(self.seen("iplimit").at_once(), 2)

    def test_limits_shared_by_all_virtual_mtas(self):
        seen = self.seen("shared")
        self.rate(seen.times(), 20)
        self.assertEqual(seen.at_once(), 2)
        self.assertGreaterEqual(len(seen.sources()), 3)


class TotalsOfTheDaemon(unittest.TestCase):
    def test_total_max_smtp_out(self):
        names = [f"d{number}" for number in range(6)]
        place = Place(type(self), {name: (SLOW, "") for name in names}, "total-max-smtp-out 4")
        for name in names:
            place.send(name, 60)
        until(lambda: len(place.seen().taken) == 360, "every delivery")
        self.assertLessEqual(place.seen().at_once(), 4)
        for name in names:
            self.assertGreaterEqual(len(place.seen(name).came), 1)


class OverRestartsAndReloads(unittest.TestCase):
    def test_nothing_begins_anew_after_kill_9(self):
        slow = {"day": "max-msg-rate 500/d", "connects": "max-connect-rate 100/d\n max-msg-per-connection 1",
                "cold": "max-cold-virtual-mta-msg 5/d", "bytes": "max-data-volume-rate 6k/d",
                "own": "source-ip-max-msg-rate 0/0 100/d"}
        domains = {name: ("", block) for name, block in slow.items()}
        domains.update(quick=("", "max-msg-rate 50/s"), marker=("", ""))
        place = Place(type(self), domains, """
<virtual-mta cold>
    smtp-source-host 127.0.4.9 cold.limits.test
</virtual-mta>
<virtual-mta warm>
    smtp-source-host 127.0.4.10 warm.limits.test
    cold-virtual-mta cold
</virtual-mta>
<virtual-mta daily>
    smtp-source-host 127.0.4.11 daily.limits.test
    max-smtp-msg-rate 100/d
</virtual-mta>
""")
        for name in slow:
            place.send(name, 10, "warm" if name == "cold" else None, each=1, body=4000)
        place.send("marker", 10, "daily")
        place.send("quick", 300)
        # Once the outcome of the first is known, what it took is known too: it is stored before.
        until(lambda: all(place.seen(name).taken for name in slow) and place.seen("marker").taken, "first of each")
        until(lambda: len(place.seen("cold").taken) == 10, "cold and warm mail")
        for round_number in range(3):
            until(lambda: len(place.seen("quick").taken) > 60 * (round_number + 1), "quick mail")
            place.kill()
            place.start_daemon()
            if round_number == 1:
                place.send("cold", 10, "warm", each=1)
        until(lambda: len(place.seen("quick").taken) >= 300, "quick mail")
        until(lambda: len(place.seen("cold").taken) == 20, "warm mail")
        for name in "day", "connects", "bytes", "own":
            self.assertEqual(len(place.seen(name).taken), 1, name)
        self.assertEqual(len(place.seen("marker").taken), 1, "max-smtp-msg-rate of the virtual MTA")
        self.assertEqual(place.seen("cold").sources(), {"127.0.4.9": 5, "127.0.4.10": 15})
        times = place.seen("quick").times()
        for i in range(50, len(times)):
            self.assertGreater(times[i] - times[i - 50], 1 - SLACK)
        self.assertGreaterEqual(times[-1] - times[0] + SLACK, (len(times) - 1) / 50)

    def test_reloads_give_nothing_away(self):
        domains = {"rate": ("", "max-msg-rate 20/s"), "volume": ("", "max-data-volume-rate 60k/s"),
                   "day": ("", "max-msg-rate 500/d"), "conns": (SLOW, "max-smtp-out 2")}
        place = Place(type(self), domains)
        place.send("rate", 60)
        place.send("volume", 45, each=1, body=4000)
        place.send("day", 5)
        place.send("conns", 150)
        done = 0
        while len(place.seen("rate").taken) < 60 or len(place.seen("volume").taken) < 45:
            # Every second one changes something else about every queue.
            place.configure(f"<domain *>\n max-events-recorded {done % 2 + 5}\n</domain>")
            status, text = place.sluice("reload")
            self.assertEqual(status, 0, text)
            done += 1
            self.assertLess(done, 500)
        self.assertGreater(done, 10)
        self.assertEqual(len(place.seen("day").taken), 1)
        self.assertLessEqual(place.seen("conns").at_once(), 2)
        times = place.seen("rate").times()
        for i in range(20, len(times)):
            self.assertGreater(times[i] - times[i - 20], 1 - SLACK)
        self.assertGreaterEqual(times[-1] - times[0] + SLACK, (len(times) - 1) / 20)
        taken = place.seen("volume").taken
        span = max(one.time for one in taken) - min(one.time for one in taken)
        self.assertGreaterEqual(span + SLACK, (sum(one.bytes for one in taken) - taken[-1].bytes) / 60 / 1024)


if __name__ == "__main__":
    main()
