"""Requests and responses of HTTP/1.1. The node has checked each head, and sends one request on each stream."""

import http

from .stream import ClientGone, Stream

HEAD_BYTES_MAX = 1 << 20
CHUNK_LINE_BYTES_MAX = 1 << 14
REASONS = {status.value: status.phrase for status in http.HTTPStatus}
#: Those that belong to a connection are the linker's.
OWN_FIELDS = {b"connection", b"transfer-encoding", b"keep-alive"}


class BadRequest(Exception):
    pass


class Request:
    def __init__(self, method: str, target: bytes, headers: list[tuple[bytes, bytes]], body: "Body"):
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body

    def header(self, name: bytes) -> bytes:
        return b", ".join(value for key, value in self.headers if key == name)

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    @property
    def scheme(self) -> str:
        return "https" if self.header(b"x-forwarded-proto") == b"https" else "http"

    @property
    def client(self) -> str:
        """As the node says it: the last one, whatever the client claims before."""
        return self.header(b"x-forwarded-for").rpartition(b",")[2].strip().decode("latin-1")


class Body:
    """What is left of the stream after the head."""

    def __init__(self, stream: Stream, begun: bytes, length: int, is_chunked: bool):
        self._stream = stream
        self._kept = begun
        self._left = length
        self._is_chunked = is_chunked
        self.is_over = not is_chunked and length == 0

    async def _more(self) -> None:
        more = await self._stream.read()
        if not more:
            raise ClientGone()
        self._kept += more

    async def read(self) -> bytes:
        """The next part; b"" at the end. Raises ClientGone, BadRequest."""
        if self.is_over:
            return b""
        if self._left == 0:
            self._left = await self._chunk_size()
            if self._left == 0:
                await self._trailers()
                self.is_over = True
                return b""
        if not self._kept:
            await self._more()
        part, self._kept = self._kept[: self._left], self._kept[self._left :]
        self._left -= len(part)
        if self._left == 0:
            if self._is_chunked:
                await self._line()
            else:
                self.is_over = True
        return part

    async def rest(self) -> bytes:
        """Bytes behind the head that belong to no body: those of a tunnel."""
        kept, self._kept = self._kept, b""
        return kept or await self._stream.read()

    async def _line(self) -> bytes:
        while b"\r\n" not in self._kept:
            if len(self._kept) > CHUNK_LINE_BYTES_MAX:
                raise BadRequest()
            await self._more()
        line, _, self._kept = self._kept.partition(b"\r\n")
        return line

    async def _chunk_size(self) -> int:
        text = (await self._line()).partition(b";")[0].strip()
        if not text or any(digit not in b"0123456789abcdefABCDEF" for digit in text):
            raise BadRequest()
        return int(text, 16)

    async def _trailers(self) -> None:
        for _ in range(1_000):
            if not await self._line():
                return
        raise BadRequest()


async def read_request(stream: Stream) -> Request:
    kept = b""
    while b"\r\n\r\n" not in kept:
        if len(kept) > HEAD_BYTES_MAX:
            raise BadRequest()
        more = await stream.read()
        if not more:
            raise ClientGone()
        kept += more
    head, _, begun = kept.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    try:
        method, target, _ = first.split(b" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        fields = dict(headers)
        is_chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
        length = 0 if is_chunked else int(fields.get(b"content-length", b"0"))
    except ValueError:
        raise BadRequest() from None
    return Request(method.decode("latin-1"), target, headers, Body(stream, begun, length, is_chunked))


class Response:
    """Writes one response, with its length or in chunks."""

    def __init__(self, stream: Stream, method: str):
        self._stream = stream
        self._is_head = method == "HEAD"
        self._head = b""
        self._left: int | None = None
        self._is_chunked = False
        self.is_started = False
        self.is_over = False

    def start(self, status: int, headers, reason: str | None = None) -> None:
        """The head leaves with the first part of the body. Raises ValueError for what would break the response."""
        if self.is_started:
            raise RuntimeError("the response has begun already")
        lines = [f"HTTP/1.1 {int(status)} {REASONS.get(status, '') if reason is None else reason}".encode("latin-1")]
        has_body = not (status < 200 or status in (204, 304))
        for name, value in headers:
            if name.lower() in OWN_FIELDS:
                continue
            if name.lower() == b"content-length":
                self._left = int(value)
            lines.append(name + b": " + value)
        if any(sign in line for line in lines for sign in (b"\r", b"\n", b"\0")):
            raise ValueError("a header with a line break")
        if not has_body:
            self._left = 0
        elif self._left is None:
            self._is_chunked = True
            lines.append(b"transfer-encoding: chunked")
        self._head = b"\r\n".join(lines) + b"\r\n\r\n"
        self.is_started = True

    async def write(self, data: bytes, more: bool = True) -> None:
        """Raises ClientGone, and ValueError for more bytes than the head says."""
        if not self.is_started or self.is_over:
            raise RuntimeError("the response has not begun, or is over")
        out, self._head = self._head, b""
        if not self._is_head and data:
            if self._is_chunked:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            elif len(data) > self._left:
                raise ValueError("more bytes than content-length says")
            else:
                self._left -= len(data)
            out += data
        if not more:
            self.is_over = True
            if self._is_chunked and not self._is_head:
                out += b"0\r\n\r\n"
        if out:
            await self._stream.write(out)

    @property
    def is_whole(self) -> bool:
        return self.is_over and (self._is_head or not self._left)


async def answer(stream: Stream, status: int) -> bool:
    """A response of the linker's own."""
    response = Response(stream, "GET")
    body = REASONS[status].encode() + b"\n"
    response.start(status, [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))])
    await response.write(body, more=False)
    return True
