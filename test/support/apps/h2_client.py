"""python-h2 as a client: h2_client.py PORT AUTHORITY BYTES

Uploads so many bytes with a PING each time that the server lets it send more, and has them sent back with a PING and two WINDOW_UPDATEs for
each DATA frame. Prints the answer's status, and how many bytes came.
"""

import socket
import sys

import h2.connection
import h2.events

port, authority, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = socket.create_connection(("127.0.0.1", port))
client.settimeout(60)
connection = h2.connection.H2Connection()
connection.initiate_connection()
request = connection.get_next_available_stream_id()
connection.send_headers(
    request,
    [(":method", "POST"), (":path", "/"), (":scheme", "http"), (":authority", authority), ("content-length", str(size))]
    + [("cookie", f"name{i}=value{i}") for i in range(200)],
)
left, status, received, ended = size, None, 0, False
while not ended:
    while left > 0 and connection.local_flow_control_window(request) > 0:
        piece = min(left, connection.local_flow_control_window(request), connection.max_outbound_frame_size)
        left -= piece
        connection.send_data(request, bytes(piece), end_stream=left == 0)
        connection.ping(b"12345678")
    client.sendall(connection.data_to_send())
    data = client.recv(65536)
    if not data:
        sys.exit("the connection was closed")
    events = connection.receive_data(data)
    ended = any(isinstance(event, h2.events.StreamEnded) for event in events)
    for event in events:
        if isinstance(event, h2.events.ResponseReceived):
            status = dict(event.headers)[b":status"].decode()
        elif isinstance(event, h2.events.DataReceived):
            received += len(event.data)
            if event.flow_controlled_length > 0:
                connection.increment_flow_control_window(event.flow_controlled_length)
                if not ended:
                    connection.increment_flow_control_window(event.flow_controlled_length, request)
                connection.ping(b"12345678")
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            sys.exit(f"ended by {event}")
print(status, received)
