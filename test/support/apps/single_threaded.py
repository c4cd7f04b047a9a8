"""An HTTP application as simple as they come: one thread, one connection at a time, the next one waits for it to end.

LIMIT is how many connections it may have (1 unless told otherwise). During each request it asks the kernel how many there
are, those included that it has not accepted yet, and writes to VIOLATIONS_FILE when they are too many.
"""

import json
import os
import signal
import socket
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

LIMIT = int(os.environ.get("LIMIT", "1"))
ESTABLISHED = "01"


def append(variable, line):
    path = os.environ.get(variable)
    if path:
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")


def waiting(listener):
    """Connections that the kernel has for us and that are not accepted: of a listening socket that is what `tcpi_unacked` says (tcp(7))."""
    return struct.unpack_from("I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24)[0]


def connections(server):
    """Established connections to the server: the one that is served, and those that wait.

    The kernel's table is read only when there seem to be too many: it is long after a test with ten thousand clients.
    """
    seen = 1 + waiting(server.socket)
    if seen <= LIMIT:
        return seen
    port = server.server_port
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    return sum(1 for row in rows if row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: with Nagle's algorithm each answer on a kept connection waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/slow":
            time.sleep(int(query.get("ms", ["100"])[0]) / 1000)
        seen = connections(self.server)
        if seen > LIMIT:
            append("VIOLATIONS_FILE", {"pid": os.getpid(), "connections": seen, "limit": LIMIT, "what": self.path})
        self.answer(200 if seen <= LIMIT else 500, b"ok" if seen <= LIMIT else b"too much at once")

    def do_POST(self):
        self.answer(200, self.rfile.read(int(self.headers.get("content-length", "0"))))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
append("STARTS_FILE", {"pid": os.getpid(), "startId": os.environ.get("PULLPROXY_START_ID")})
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
