#!/usr/bin/env python3
"""The only way out of the sealed network of tests/fresh: HTTP GETs for Debian packages, through a Unix socket.

  package_door.py outside SOCKET URI...     runs with the network: answers the HTTP proxy requests that come in
  package_door.py inside SOCKET PORT        runs in the sealed namespace: 127.0.0.1:PORT <-> SOCKET

apt inside uses 127.0.0.1:PORT as its proxy and speaks plain HTTP with it. Anything but a GET below one of the URIs is
refused, so a build or a test that wants something else from the network fails here as it would at a customer's. A URI
with https is fetched by https.
"""

import http.server
import os
import socket
import socketserver
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request

CHUNK = 65536
# Validators apt sends and needs back; the rest of the conversation is per hop.
REQUEST_HEADERS = ("If-Modified-Since", "If-Range", "Range", "Cache-Control")
REPLY_HEADERS = ("Content-Length", "Content-Range", "Content-Type", "Last-Modified", "ETag", "Accept-Ranges")


class Door(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "apt"

    def log_message(self, *_):
        pass

    def wanted(self):
        """Where to fetch it from; None: nowhere."""
        asked = urllib.parse.urlsplit(self.path)
        for uri in self.server.uris:
            base = urllib.parse.urlsplit(uri)
            if asked.netloc == base.netloc and asked.path.startswith(base.path.rstrip("/") + "/"):
                return urllib.parse.urlunsplit(asked._replace(scheme=base.scheme))
        return None

    def do_GET(self):
        uri = self.wanted()
        if uri is None:
            print(f"refused: {self.path}", flush=True)
            self.send_error(403, "only Debian packages pass here")
            return
        headers = {name: self.headers[name] for name in REQUEST_HEADERS if name in self.headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(uri, headers=headers), timeout=60) as reply:
                self.relay(reply.status, reply.headers, reply)
        except urllib.error.HTTPError as error:  # 304, 404 and 416 are answers, too
            with error:
                self.relay(error.code, error.headers, error)
        except OSError as error:
            self.send_error(502, str(error)[:100])

    def relay(self, status, headers, body):
        self.send_response(status)
        for name in REPLY_HEADERS:
            if name in headers:
                self.send_header(name, headers[name])
        if "Content-Length" not in headers:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if status == 304:
            return
        while chunk := body.read(CHUNK):
            self.wfile.write(chunk)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def pump(source, sink):
    try:
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def inside(path, port):
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            client, _ = listener.accept()
            door = socket.socket(socket.AF_UNIX)
            door.connect(path)
            for ends in ((client, door), (door, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()


def main():
    if sys.argv[1] == "outside":
        with UnixServer(sys.argv[2], Door) as server:
            server.uris = sys.argv[3:]
            os.chmod(sys.argv[2], 0o666)
            server.serve_forever()
    else:
        inside(sys.argv[2], int(sys.argv[3]))


if __name__ == "__main__":
    main()
