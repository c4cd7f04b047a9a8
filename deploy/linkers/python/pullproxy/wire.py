"""Frames, and the proofs with which a link begins: see src/link/PROTOCOL.md of pullproxy."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import struct

HELLO, CHALLENGE, PROOF, WELCOME, REFUSE = 0, 1, 2, 3, 4
GRANT, RECALL, RETURN, MOVE, MOVE_FAILED = 5, 6, 7, 8, 9
OPEN, DATA, END, RESET, WINDOW, DONE = 10, 11, 12, 13, 14, 15
NEWEST, PING, PONG, GOAWAY = 16, 17, 18, 19
RETIRE, RETIRE_ANSWER, STATE = 20, 21, 22

KEEP, YES, ANEW, TOO_LATE, REACHED = 1, 1, 1, 2, 1
CLOSED, APP_REFUSED, APP_CLOSED, CANCEL, LINK_LOST = 0, 1, 2, 3, 4

PAYLOAD_BYTES_MAX = 65_536
HANDSHAKE_PAYLOAD_BYTES_MAX = 4_096
HANDSHAKE_S_MAX = 5.0
WINDOW_BYTES = 524_288
PING_AFTER_S = 1.0
DEAD_AFTER_S = 3.0

_HEAD = struct.Struct(">II")
_NUMBER = struct.Struct(">I")


class LinkError(Exception):
    """The link can not go on; the words are for the peer's log, too."""


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    return _HEAD.pack((kind << 27) | (flags << 24) | len(payload), stream) + payload


def number(value: int) -> bytes:
    return _NUMBER.pack(value)


def read_number(payload: bytes) -> int:
    if len(payload) != 4:
        raise LinkError(f"a number of {len(payload)} bytes, expected 4")
    return _NUMBER.unpack(payload)[0]


def read_json(payload: bytes) -> dict:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LinkError("a payload that is not a JSON object")
    return value


def read_move(payload: bytes) -> tuple[int, str]:
    if not 5 <= len(payload) <= 4 + 260:
        raise LinkError("MOVE without an address")
    return _NUMBER.unpack(payload[:4])[0], payload[4:].decode("latin-1")


class FrameReader:
    """Cuts bytes into frames, however they come."""

    def __init__(self, sink):
        self.bytes_max = HANDSHAKE_PAYLOAD_BYTES_MAX
        self._sink = sink
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        kept = self._kept
        kept += data
        at = 0
        while len(kept) - at >= 8:
            head, stream = _HEAD.unpack_from(kept, at)
            length = head & 0xFFFFFF
            if length > self.bytes_max:
                raise LinkError(f"frame of {length} bytes, at most {self.bytes_max} are allowed")
            end = at + 8 + length
            if end > len(kept):
                break
            payload = bytes(kept[at + 8 : end])
            at = end
            self._sink(head >> 27, (head >> 24) & 7, stream, payload)
        if at:
            del kept[:at]


def new_nonce() -> str:
    return secrets.token_urlsafe(24)


def prove(secret: str, role: str, hello: bytes, challenge: bytes) -> str:
    """Without TLS the channel is empty: Python's ssl module can not export keys (RFC 9266)."""
    digest = hashlib.sha256(b"pullproxy link 2\n")
    for part in (hello, challenge, b""):
        digest.update(b"%d\n" % len(part))
        digest.update(part)
    proof = hmac.digest(secret.encode(), role.encode() + b"\n" + digest.digest(), "sha256")
    return base64.urlsafe_b64encode(proof).rstrip(b"=").decode()


class Link(asyncio.Protocol):
    """One connection to a node: the handshake, liveness, frames in and out. `owner` hears of the rest."""

    def __init__(self, owner, hello: dict, secret: str):
        self.node = ""
        self.up: asyncio.Future = asyncio.get_running_loop().create_future()
        self.is_down = False
        self._owner = owner
        self._secret = secret
        self._hello = json.dumps({**hello, "nonce": new_nonce()}).encode()
        self._expected = ""
        self._state = "challenge"
        self._reader = FrameReader(self._receive)
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._timer = None
        self._said = 0
        self._said_before = -1

    # ── asyncio ──

    def connection_made(self, transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=1 << 20)
        self._heard_at = self._ticked_at = self._loop.time()
        self._began_at = self._heard_at
        self.send(HELLO, self._hello)
        self._tick()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            self._reader.feed(data)
        except LinkError as error:
            self.close(str(error))

    def connection_lost(self, _error) -> None:
        self.close("the connection was closed")

    # ── frames ──

    def send(self, kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> None:
        """Frames of one turn of the event loop leave in one write."""
        if self.is_down:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame(kind, payload, stream, flags))

    def _flush(self) -> None:
        out = b"".join(self._out)
        self._out.clear()
        if out and not self.is_down:
            self._said += len(out)
            self._transport.write(out)

    def _receive(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self.is_down:
            return
        if kind == REFUSE:
            self.close(f"refused by the node: {str(read_json(payload).get('reason'))[:200]}", tell=False)
        elif self._state != "up":
            self._shake(kind, payload)
        elif kind == PING:
            # A node that does not read fills no memory here.
            if self._transport.get_write_buffer_size() == 0:
                self.send(PONG)
        elif kind != PONG:
            self._owner.received(self, kind, flags, stream, payload)

    def _shake(self, kind: int, payload: bytes) -> None:
        said = read_json(payload)
        if kind == CHALLENGE and self._state == "challenge":
            if said.get("v") != 2 or not isinstance(said.get("node"), str):
                raise LinkError("CHALLENGE without a protocol version that this linker knows")
            self.node = said["node"]
            self._expected = prove(self._secret, "node", self._hello, payload)
            self._state = "welcome"
            self.send(PROOF, json.dumps({"proof": prove(self._secret, "linker", self._hello, payload)}).encode())
        elif kind == WELCOME and self._state == "welcome":
            if not hmac.compare_digest(str(said.get("proof")).encode(), self._expected.encode()):
                raise LinkError("the node does not know the secret")
            self._state = "up"
            self._reader.bytes_max = PAYLOAD_BYTES_MAX
            if not self.up.done():
                self.up.set_result(self)
            self._owner.link_up(self)
        else:
            raise LinkError(f"frame type {kind} in the handshake")

    # ── life ──

    def _tick(self) -> None:
        now = self._loop.time()
        # A pause of this process says nothing about the node.
        self._heard_at = min(now, self._heard_at + max(0.0, now - self._ticked_at - PING_AFTER_S))
        self._ticked_at = now
        if self._state != "up" and now - self._began_at >= HANDSHAKE_S_MAX:
            self.close("no handshake in time")
        elif self._state == "up" and now - self._heard_at >= DEAD_AFTER_S:
            self.close("the node is silent")
        else:
            if self._state == "up" and self._said == self._said_before:
                self.send(PING)
            self._said_before = self._said
            self._timer = self._loop.call_later(PING_AFTER_S, self._tick)

    def close(self, reason: str, tell: bool = True) -> None:
        if self.is_down:
            return
        if tell:
            self.send(REFUSE, json.dumps({"reason": reason[:200]}).encode())
        self._flush()
        self.is_down = True
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()
        # A node that does not read would keep the connection for ever.
        self._loop.call_later(1.0, self._transport.abort)
        if not self.up.done():
            self.up.set_exception(LinkError(reason))
            self.up.exception()
        self._owner.link_down(self, reason)
