"""WebSocket (RFC 6455) for ASGI applications, without extensions."""

import asyncio
import base64
import hashlib
import logging
import struct

from .http1 import Request, Response, answer
from .stream import ClientGone, Stream

log = logging.getLogger("pullproxy")

MESSAGE_BYTES_MAX = 16 << 20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Closed(Exception):
    """The connection is over, by this code."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


def frame_of(kind: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | kind, size)
    elif size < 65_536:
        head = struct.pack(">BBH", 0x80 | kind, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | kind, 127, size)
    return head + payload


def unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


class Reader:
    """Messages of the client."""

    def __init__(self, request: Request, write):
        self._request = request
        self._write = write
        self._kept = bytearray()

    async def _take(self, count: int) -> bytes:
        while len(self._kept) < count:
            more = await self._request.body.rest()
            if not more:
                raise Closed(1006)
            self._kept += more
        taken = bytes(self._kept[:count])
        del self._kept[:count]
        return taken

    async def _frame(self, room: int) -> tuple[bool, int, bytes]:
        first, second = await self._take(2)
        is_last, kind, size = bool(first & 0x80), first & 15, second & 127
        is_control = kind >= CLOSE
        if first & 0x70 or not second & 0x80 or kind not in (0, 1, 2, 8, 9, 10) or (is_control and (size > 125 or not is_last)):
            raise Closed(1002)
        if size == 126:
            (size,) = struct.unpack(">H", await self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self._take(8))
        if size > room and not is_control:
            raise Closed(1009)
        mask = await self._take(4)
        return is_last, kind, unmask(await self._take(size), mask)

    async def message(self) -> tuple[int, bytes]:
        """The next one. Raises Closed, ClientGone."""
        kind, parts, room = None, [], MESSAGE_BYTES_MAX
        while True:
            is_last, which, payload = await self._frame(room)
            if which == PING:
                await self._write(frame_of(PONG, payload))
            elif which == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005)
            elif which != PONG:
                if (which == CONTINUATION) != (kind is not None):
                    raise Closed(1002)
                kind = which if kind is None else kind
                parts.append(payload)
                room -= len(payload)
                if is_last:
                    return kind, b"".join(parts)


async def serve(app, scope: dict, request: Request, stream: Stream) -> bool:
    key = request.header(b"sec-websocket-key")
    if request.header(b"sec-websocket-version") != b"13" or len(key) != 24:
        return await answer(stream, 400)
    offered = [one.strip().decode("latin-1") for one in request.header(b"sec-websocket-protocol").split(b",") if one.strip()]
    scope = {**scope, "scheme": "wss" if scope["scheme"] == "https" else "ws", "subprotocols": offered}
    connection = Connection(request, stream, key)
    try:
        await app(scope, connection.receive, connection.send)
    except Exception:
        log.exception("the application failed")
        if connection.state == "connecting":
            return await answer(stream, 500)
        await connection.close(1011)
    return await connection.finish()


class Connection:
    """`connecting` until the application accepts, then `open` until one side has closed."""

    def __init__(self, request: Request, stream: Stream, key: bytes):
        self.state = "new"
        self._stream = stream
        self._key = key
        self._reader = Reader(request, self._write)
        self._lock = asyncio.Lock()
        self._close_code = 1006
        self._is_refused = False

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            await self._stream.write(data)

    async def receive(self) -> dict:
        if self.state == "new":
            self.state = "connecting"
            return {"type": "websocket.connect"}
        if self.state == "open":
            try:
                kind, payload = await self._reader.message()
                if kind == BINARY:
                    return {"type": "websocket.receive", "bytes": payload}
                return {"type": "websocket.receive", "text": payload.decode()}
            except UnicodeDecodeError:
                await self.close(1007)
            except Closed as closed:
                await self.close(1000 if closed.code == 1005 else closed.code)
                self._close_code = closed.code
            except ClientGone:
                self.state = "closed"
        elif self.state == "connecting":
            await self._stream.gone()
        return {"type": "websocket.disconnect", "code": self._close_code}

    async def send(self, event: dict) -> None:
        kind = event["type"]
        try:
            if kind == "websocket.accept" and self.state in ("new", "connecting"):
                await self._accept(event)
            elif kind == "websocket.send" and self.state == "open":
                text = event.get("text")
                payload = event.get("bytes") if text is None else text.encode()
                await self._write(frame_of(BINARY if text is None else TEXT, payload or b""))
            elif kind == "websocket.close":
                await self._close_by_app(event)
        except ClientGone:
            self.state = "closed"

    async def _accept(self, event: dict) -> None:
        digest = base64.b64encode(hashlib.sha1(self._key + _GUID).digest())
        headers = [(b"upgrade", b"websocket"), (b"sec-websocket-accept", digest), *event.get("headers", ())]
        if event.get("subprotocol"):
            headers.append((b"sec-websocket-protocol", event["subprotocol"].encode()))
        if any(sign in part for header in headers for part in header for sign in (b"\r", b"\n", b"\0")):
            raise ValueError("a header with a line break")
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.state = "open"
        await self._write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n" + lines + b"\r\n")

    async def _close_by_app(self, event: dict) -> None:
        if self.state == "open":
            await self.close(event.get("code", 1000), event.get("reason") or "")
        elif self.state in ("new", "connecting"):
            self.state = "closed"
            self._is_refused = True
            response = Response(self._stream, "GET")
            response.start(403, [(b"content-length", b"0")])
            await response.write(b"", more=False)

    async def close(self, code: int, reason: str = "") -> None:
        if self.state != "open":
            return
        self.state = "closed"
        self._close_code = code
        payload = b"" if code == 1006 else struct.pack(">H", code) + reason.encode()[:123]
        try:
            await self._write(frame_of(CLOSE, payload))
        except ClientGone:
            pass

    async def finish(self) -> bool:
        """The application has returned: whether what it said is all that the client gets."""
        if self.state in ("new", "connecting"):
            return await answer(self._stream, 500)
        await self.close(1000)
        if not self._is_refused:
            self._stream.end()
        return True
