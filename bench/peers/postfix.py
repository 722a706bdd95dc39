"""A private Postfix instance as a relay on loopback, tuned for throughput, with its default durability."""

import grp
import os
import pwd
import shutil
import subprocess
import time

from measure import Failure, free_port, listens, program, wait_until

# What an operator who wants rate would set. Durability stays as shipped: a file per message, fsync before the
# 250.
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {commands}
daemon_directory = {daemons}
shlib_directory = {shlib}
meta_directory = {meta}
mail_owner = postfix
setgid_group = postdrop
sendmail_path = {commands}/sendmail
newaliases_path = /usr/bin/newaliases
mailq_path = /usr/bin/mailq
multi_instance_enable = no
multi_instance_name = postfix-sluice-bench
syslog_name = postfix-sluice-bench
myhostname = peer.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
biff = no
relayhost = [127.0.0.1]:{sink_port}
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = none
smtp_tls_security_level = none
default_process_limit = {processes}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
in_flow_delay = 0
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
default_destination_concurrency_limit = {processes}
initial_destination_concurrency = {processes}
smtp_connection_cache_destinations = [127.0.0.1]:{sink_port}
smtp_connection_cache_on_demand = yes
"""

MASTER_CF = """
127.0.0.1:{port} inet n - n - {processes} smtpd
pickup   unix n - n 60  1 pickup
cleanup  unix n - n -   0 cleanup
qmgr     unix n - n 300 1 qmgr
rewrite  unix - - n -   - trivial-rewrite
bounce   unix - - n -   0 bounce
defer    unix - - n -   0 bounce
trace    unix - - n -   0 bounce
verify   unix - - n -   1 verify
flush    unix n - n 1000? 0 flush
proxymap unix - - n -   - proxymap
smtp     unix - - n -   {processes} smtp
relay    unix - - n -   {processes} smtp
error    unix - - n -   - error
retry    unix - - n -   - error
discard  unix - - n -   - discard
anvil    unix - - n -   1 anvil
scache   unix - - n -   1 scache
"""


class Postfix:
    """Started by the constructor, ended by stop(). Needs root: Postfix's master does."""

    name = "postfix"

    def __init__(self, folder, sink_port, processes):
        if os.geteuid() != 0:
            raise Failure("Postfix's master process only runs as root: run this as root")
        try:
            pwd.getpwnam("postfix"), grp.getgrnam("postdrop")
        except KeyError as error:
            raise Failure(f"Postfix is not installed ({error}): tools/packages bench") from error
        self.folder = folder
        self.port = free_port()
        self.control = program("postfix")
        self.pid = None
        config = os.path.join(folder, "config")
        self.config = config
        for name in ("config", "queue", "data"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        shutil.chown(os.path.join(folder, "data"), "postfix")
        os.chmod(folder, 0o755)
        values = {
            "folder": folder, "sink_port": sink_port, "port": self.port, "processes": processes,
            "commands": os.path.dirname(self.control), "daemons": "/usr/lib/postfix/sbin",
            "shlib": "/usr/lib/postfix", "meta": "/etc/postfix",
        }
        for name, text in (("main.cf", MAIN_CF), ("master.cf", MASTER_CF)):
            with open(os.path.join(config, name), "w", encoding="ascii") as file:
                file.write(text.format(**values).lstrip())
        self._control("start")
        pid_file = os.path.join(folder, "queue", "pid", "master.pid")
        wait_until(lambda: os.path.exists(pid_file) and listens("127.0.0.1", self.port), 20, "starting Postfix")
        with open(pid_file, encoding="ascii") as file:
            self.pid = int(file.read())

    def _control(self, word):
        done = subprocess.run([self.control, "-c", self.config, word], capture_output=True, text=True, timeout=60,
                              check=False)
        if done.returncode:
            raise Failure(f"postfix {word} failed: {done.stderr.strip() or done.stdout.strip()}")

    def queued(self):
        """Messages in any queue; 0 once everything was delivered."""
        count = 0
        for name in ("incoming", "active", "deferred", "maildrop"):
            for _, _, files in os.walk(os.path.join(self.folder, "queue", name)):
                count += len(files)
        return count

    def stop(self):
        if self.pid is None:
            return
        self._control("stop")
        end = time.monotonic() + 20
        while os.path.exists(f"/proc/{self.pid}") and time.monotonic() < end:
            time.sleep(0.1)
