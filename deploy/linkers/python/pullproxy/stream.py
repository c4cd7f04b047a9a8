"""One request on its way to the application: bytes in, bytes out, and a window for each direction."""

import asyncio
from collections import deque

from . import wire


class ClientGone(Exception):
    """Nobody waits for the response any more."""


class Stream:
    """
    `state` is what the node knows of it. `open`: it waits for the response. `done`: it has it, the slot is idle again. `over`: it needs no more,
    and the slot is in use until the application is done. `lost`: the link broke.
    """

    def __init__(self, linked, ident: int):
        self.linked = linked
        self.id = ident
        self.state = "open"
        self.is_started = False
        self.is_finished = False
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._has_ended = False
        self._kept_bytes = 0
        self._untold = 0
        self._credit = wire.WINDOW_BYTES
        self._has_said_end = False
        self._woken: list[asyncio.Future] = []

    # ── the link's side ──

    def receive(self, payload: bytes) -> None:
        self._kept_bytes += len(payload)
        if self._kept_bytes + self._untold > wire.WINDOW_BYTES:
            raise wire.LinkError(f"stream {self.id} exceeds its window")
        if payload and not self.is_finished and self.state == "open":
            self._chunks.append(payload)
            self._wake()

    def receive_end(self) -> None:
        self._has_ended = True
        self._wake()

    def receive_window(self, count: int) -> None:
        self._credit += count
        if self._credit > wire.WINDOW_BYTES:
            raise wire.LinkError(f"stream {self.id} was given more credit than its window")
        self._wake()

    def leave(self, state: str) -> None:
        self.state = state
        self._chunks.clear()
        self._wake()

    def _wake(self) -> None:
        woken, self._woken = self._woken, []
        for future in woken:
            if not future.done():
                future.set_result(None)

    async def _sleep(self) -> None:
        future = self._loop.create_future()
        self._woken.append(future)
        await future

    # ── the application's side ──

    @property
    def is_gone(self) -> bool:
        return self.state != "open"

    @property
    def is_closed(self) -> bool:
        return self._has_said_end

    async def gone(self) -> None:
        while self.state == "open":
            await self._sleep()

    async def read(self) -> bytes:
        """The next bytes; b"" at the end of the request. Raises ClientGone."""
        while not self._chunks:
            if self.state != "open":
                raise ClientGone()
            if self._has_ended:
                return b""
            await self._sleep()
        chunk = self._chunks.popleft()
        self._kept_bytes -= len(chunk)
        self._untold += len(chunk)
        if self._untold >= wire.WINDOW_BYTES // 2:
            self.linked.link.send(wire.WINDOW, wire.number(self._untold), self.id)
            self._untold = 0
        return chunk

    async def write(self, data: bytes) -> None:
        """Returns when all of it is on its way. Raises ClientGone."""
        at = 0
        while at < len(data):
            if self.state != "open":
                raise ClientGone()
            if self._credit == 0:
                await self._sleep()
                continue
            piece = data[at : at + min(self._credit, wire.PAYLOAD_BYTES_MAX)]
            self._credit -= len(piece)
            at += len(piece)
            self.linked.link.send(wire.DATA, piece, self.id)

    def end(self) -> None:
        """The application sends no more (a tunnel)."""
        if self.state == "open" and not self._has_said_end:
            self._has_said_end = True
            self.linked.link.send(wire.END, stream=self.id)
