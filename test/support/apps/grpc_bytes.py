"""gRPC's C core, as an application and as a client: a stream of messages down, and one up.

grpc_bytes.py serve                               listens at PORT
grpc_bytes.py ask PORT AUTHORITY COUNT BYTES      prints how many bytes came, and how many the application got
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc


def download(request, _context):
    count, size = (int(word) for word in request.decode().split())
    for _ in range(count):
        yield bytes(size)


def upload(requests, _context):
    return str(sum(len(request) for request in requests)).encode()


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == "/bytes.Bytes/Download":
            return grpc.unary_stream_rpc_method_handler(download)
        if details.method == "/bytes.Bytes/Upload":
            return grpc.stream_unary_rpc_method_handler(upload)
        return None


def serve():
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    server.add_generic_rpc_handlers((Handler(),))
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    server.wait_for_termination()


def ask(port, authority, count, size):
    options = [("grpc.default_authority", authority), ("grpc.http2.bdp_probe", 1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        received = sum(len(message) for message in channel.unary_stream("/bytes.Bytes/Download")(f"{count} {size}".encode(), timeout=60))
        sent = channel.stream_unary("/bytes.Bytes/Upload")((bytes(size) for _ in range(count)), timeout=60)
        print(received, sent.decode())


if sys.argv[1] == "serve":
    serve()
else:
    ask(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
