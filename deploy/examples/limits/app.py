"""A Python application with a pool of 4 connections to a database: it takes as many requests at once as connections work.

It says so at its control socket, before the first request comes. It listens at $PORT.
"""

import http.client
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Control(http.client.HTTPConnection):
    """HTTP at the UNIX socket in $PULLPROXY_CONTROL."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["PULLPROXY_CONTROL"])


def take(requests_at_once):
    control = Control("control")
    control.request("PUT", "/concurrency", str(requests_at_once))
    answer = control.getresponse()
    answer.read()
    control.close()
    return answer.status == 200


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"ok\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


take(4)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
