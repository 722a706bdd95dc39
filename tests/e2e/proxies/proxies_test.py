#!/usr/bin/env python3
"""Goal: mail goes through real proxies: the header is understood by code that shares nothing with ours, the mail host
      sees the client address behind the proxy, and a proxy that dies is replaced by the next one.
How:  a real sluiced, two proxies and a mail host in Python on free loopback ports and different loopback addresses.

usage: proxies_test.py BIN_FOLDER"""

import ipaddress
import os
import re
import smtplib
import socket
import socketserver
import struct
import sys
import threading
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from daemon import main, until  # noqa: E402  the folder is known only now
from installation import Installation  # noqa: E402

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, test, address, handler, port=0):
        super().__init__((address, port), handler)
        self.seen = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()
        test.addCleanup(self.stop)

    def stop(self):
        self.shutdown()
        self.server_close()


class MailHost(socketserver.StreamRequestHandler):
    """Takes everything, and notes (address of the client, EHLO name, recipient)."""

    def handle(self):
        helo = rcpt = ""
        self.wfile.write(b"220 mx.e2e.test ESMTP\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper()
            if word in (b"EHLO", b"HELO"):
                helo = line[5:].decode().strip()
            if word == b"RCPT":
                rcpt = re.search("<(.*)>", line.decode()).group(1)
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.server.seen.append((self.client_address[0], helo, rcpt))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 2.0.0 ok\r\n")
            if word == b"QUIT":
                return


def exactly(connection, count):
    out = b""
    while len(out) < count:
        got = connection.recv(count - len(out))
        if not got:
            raise ConnectionError("the header ends early")
        out += got
    return out


def read_header(connection):
    """(version, client, client port, target, target port)"""
    start = exactly(connection, 12)
    if start == SIGNATURE:
        command, family, size = struct.unpack("!BBH", exactly(connection, 4))
        rest = exactly(connection, size)
        assert command == 0x21 and family == 0x11 and size == 12, (command, family, size)
        client, target, client_port, target_port = struct.unpack("!4s4sHH", rest)
        return 2, str(ipaddress.IPv4Address(client)), client_port, str(ipaddress.IPv4Address(target)), target_port
    line = start
    while not line.endswith(b"\r\n"):
        line += exactly(connection, 1)
    word, family, client, target, client_port, target_port = line.decode().split()
    assert word == "PROXY" and family == "TCP4", line
    return 1, client, int(client_port), target, int(target_port)


class Proxy(socketserver.BaseRequestHandler):
    """Reads the header and nothing more, connects from where it says to where it says, and passes bytes on."""

    def handle(self):
        version, client, client_port, target, target_port = read_header(self.request)
        self.server.seen.append((version, self.client_address[0], client, target))
        with socket.create_connection((target, target_port), 10, source_address=(client, client_port)) as host:
            back = threading.Thread(target=self.copy, args=(host, self.request))
            back.start()
            self.copy(self.request, host)
            back.join()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Proxies(unittest.TestCase):
    def setUp(self):
        self.place = Installation(self)
        self.host = Server(self, "127.0.2.1", MailHost)
        self.first = Server(self, "127.0.4.1", Proxy)
        self.second = Server(self, "127.0.4.2", Proxy)
        with open(f"{self.place.folder}/sluice.conf", encoding="utf-8") as file:
            before = file.read()
        self.place.write("sluice.conf", before + f"""
<proxy first>
    server 127.0.4.1:{self.first.port}
    client 127.0.5.1 one.e2e.test
</proxy>
<proxy second>
    server 127.0.4.2:{self.second.port}
    client 127.0.5.2 two.e2e.test
    protocol-version 2
</proxy>
<virtual-mta edge>
    smtp-source-host 127.0.1.7 local.e2e.test
    use-proxy first,second
</virtual-mta>
<virtual-mta line>
    smtp-proxy-source-host 127.0.1.8 127.0.4.2:{self.second.port} 127.0.5.3 three.e2e.test
    proxy-protocol 2
</virtual-mta>
<domain *>
    smtp-hosts [127.0.2.1]:{self.host.port}
    max-msg-per-connection 1
</domain>
""")
        self.place.start_daemon()

    def send(self, recipient, vmta):
        with smtplib.SMTP("127.0.0.1", self.place.smtp_port) as client:
            client.sendmail("a@e2e.test", [recipient], f"X-Virtual-MTA: {vmta}\r\nSubject: x\r\n\r\nbody\r\n")

    def test_through_both_and_on_when_one_dies(self):
        self.send("a@x.test", "edge")
        until(lambda: len(self.host.seen) == 1, "message through the first proxy")
        self.assertEqual(self.first.seen, [(1, "127.0.1.7", "127.0.5.1", "127.0.2.1")])
        self.first.stop()
        self.send("b@x.test", "edge")
        until(lambda: len(self.host.seen) == 2, "message through the second proxy")
        self.assertEqual(self.second.seen, [(2, "127.0.1.7", "127.0.5.2", "127.0.2.1")])
        self.send("c@x.test", "line")
        until(lambda: len(self.host.seen) == 3, "message of smtp-proxy-source-host")
        self.assertEqual(self.second.seen[1], (2, "127.0.1.8", "127.0.5.3", "127.0.2.1"))
        self.assertEqual(self.host.seen, [("127.0.5.1", "one.e2e.test", "a@x.test"),
                                          ("127.0.5.2", "two.e2e.test", "b@x.test"),
                                          ("127.0.5.3", "three.e2e.test", "c@x.test")])
        rows = until(lambda: len(self.place.rows("d")) == 3 and self.place.rows("d"), "3 records")
        self.assertEqual([row["dlvSourceIp"] for row in rows], ["127.0.5.1", "127.0.5.2", "127.0.5.3"])
        with open(f"{self.place.folder}/log", encoding="utf-8") as file:
            self.assertIn("proxy first cannot be used, others come first: ECONNREFUSED", file.read())


if __name__ == "__main__":
    main()
