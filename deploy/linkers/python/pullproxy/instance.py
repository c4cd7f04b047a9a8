"""The slots of one instance, the nodes that they are lent to, and the requests that come on them."""

import asyncio
import logging
import secrets
import string
import time
from collections import deque

from . import wire
from .links import Linked, Links
from .stream import ClientGone, Stream

log = logging.getLogger("pullproxy")

IDLE_LINK_S = 30.0
RETIRE_ANSWER_S_MAX = 5.0
TURN_AWAY_WITHIN_S = 10.0


def new_instance_id() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(12))


class Instance(Links):
    """`serve` is a coroutine function that gets a Stream, and returns when the application is done with it."""

    def __init__(self, serve, *, proxies, route, secret, concurrency=10, start_id=None, idle_s=300.0, old_idle_s=10.0, drain_s=30.0):
        self.id = new_instance_id()
        self.concurrency = concurrency
        self._serve = serve
        hello = {
            "v": 2, "max": 2, "can": [], "route": route, "instance": self.id, "seq": int(time.time() * 1000),
            "takesOrder": True, "concurrency": concurrency, "version": "python",
        }
        if start_id:
            hello["startId"] = start_id
        super().__init__(proxies, secret, hello)
        self._idle_s, self._old_idle_s, self._drain_s = idle_s, old_idle_s, drain_s
        self._waiting: deque[Stream] = deque()
        self._tasks: set[asyncio.Task] = set()
        self._is_newest = True
        self._quiet_since = time.monotonic()
        self._refused_at = float("-inf")

    # ── its life ──

    async def run(self) -> None:
        """Serves until `leave`, or until it may retire."""
        search = asyncio.create_task(self._search())
        try:
            while not self._is_leaving:
                self._look()
                await self._wait_for_change(1.0)
            search.cancel()
            await self._drain()
        finally:
            search.cancel()
            for linked in list(self._linked):
                linked.link.close("the instance is gone", tell=False)
            for task in [*self._tasks, *self._moves]:
                task.cancel()

    def leave(self) -> None:
        """Takes no more requests, and serves those that it has."""
        if self._is_leaving:
            return
        self._is_leaving = True
        self._report("draining")
        for linked in self._linked:
            if linked.lent:
                linked.link.send(wire.RECALL, wire.number(linked.lent))
        self._changed.set()

    async def _drain(self) -> None:
        until = time.monotonic() + self._drain_s
        while any(linked.lent for linked in self._linked) or self._tasks or self._moving:
            left = until - time.monotonic()
            if left <= 0:
                log.warning("requests are still running after %s s", self._drain_s)
                return
            await self._wait_for_change(left)

    def _look(self) -> None:
        """Once a second: reports, links that are not needed, and whether it may retire."""
        now = time.monotonic()
        if self.active != self._reported:
            self._report("ready")
        for linked in list(self._linked):
            if linked is not self._home and linked.lent == 0 and now - linked.idle_since > IDLE_LINK_S:
                linked.link.close("no slot is lent on this link")
        if self.active:
            self._quiet_since = now
        limit = self._idle_s if self._is_newest else self._old_idle_s
        if self._asked_at is not None:
            if now - self._asked_at > RETIRE_ANSWER_S_MAX:
                self._asked_at = None
                self._refused_at = now
        elif now - self._quiet_since >= limit and now - self._refused_at >= max(1.0, limit / 2) and self._home is not None:
            self._asked_at = now
            self._home.link.send(wire.RETIRE)

    @property
    def active(self) -> int:
        """Requests that the application has."""
        return len(self._tasks)

    # ── what a node says ──

    def received(self, link: wire.Link, kind: int, flags: int, ident: int, payload: bytes) -> None:
        linked = next(one for one in self._linked if one.link is link)
        if kind == wire.DATA:
            self._data(linked, ident, payload)
        elif kind == wire.OPEN:
            self._open(linked, ident, payload)
        elif kind == wire.WINDOW:
            count = wire.read_number(payload)
            if ident in linked.streams:
                linked.streams[ident].receive_window(count)
        elif kind == wire.END:
            if ident in linked.streams:
                linked.streams[ident].receive_end()
        elif kind == wire.DONE:
            self._node_is_done(linked, ident, bool(flags & wire.KEEP))
        elif kind == wire.RESET:
            wire.read_number(payload)
            self._node_is_done(linked, ident, False)
        elif kind == wire.RETURN:
            linked.take_back(wire.read_number(payload))
            self._lend()
        elif kind == wire.MOVE:
            self._move(linked, *wire.read_move(payload))
        elif kind == wire.NEWEST:
            self._is_newest = bool(flags & wire.YES)
            if len(payload) == 8:
                self._order = int.from_bytes(payload, "big")
        elif kind == wire.RETIRE_ANSWER:
            self._retire_answer(bool(flags & wire.YES))
        elif kind == wire.GOAWAY:
            self._go_away(linked, flags)
        else:
            raise wire.LinkError(f"frame type {kind} from a node")

    def _retire_answer(self, yes: bool) -> None:
        if self._asked_at is None:
            return
        self._asked_at = None
        self._refused_at = time.monotonic()
        if yes:
            self.leave()

    def _go_away(self, linked: Linked, flags: int) -> None:
        if flags & wire.TOO_LATE:
            young = time.monotonic() - (self._first_home_at or 0) < TURN_AWAY_WITHIN_S
            if "startId" in self._hello and young:
                self.leave()
            return
        linked.is_leaving = True
        linked.is_dismissed = bool(flags & wire.ANEW)
        self._rehome(linked)

    # ── streams ──

    def _streams_lost(self, linked: Linked) -> int:
        for stream in linked.streams.values():
            stream.leave("lost")
        self._waiting = deque(stream for stream in self._waiting if stream.linked is not linked)
        return sum(stream.is_started and not stream.is_finished for stream in linked.streams.values())

    def _open(self, linked: Linked, ident: int, payload: bytes) -> None:
        if ident in linked.streams:
            raise wire.LinkError(f"stream {ident} opened twice")
        if linked.in_use >= linked.lent:
            raise wire.LinkError(f"stream {ident} opened without an idle slot")
        stream = Stream(linked, ident)
        linked.streams[ident] = stream
        linked.in_use += 1
        stream.receive(payload)
        self._waiting.append(stream)
        self._start_next()

    def _data(self, linked: Linked, ident: int, payload: bytes) -> None:
        stream = linked.streams.get(ident)
        if stream is None:
            return
        stream.receive(payload)
        # The application has closed, as a kernel's RST says it.
        if stream.is_closed and stream.is_finished and stream.state == "open":
            self._free(stream, wire.APP_CLOSED)

    def _start_next(self) -> None:
        """A slot may be idle at the node while the code behind the last response still runs: the next request waits for its end."""
        while self._waiting and len(self._tasks) < self.concurrency:
            stream = self._waiting.popleft()
            stream.is_started = True
            task = asyncio.create_task(self._run(stream))
            self._tasks.add(task)
            task.add_done_callback(lambda done, served=stream: self._finished(done, served))

    async def _run(self, stream: Stream) -> None:
        is_whole = False
        try:
            is_whole = await self._serve(stream)
        except ClientGone:
            pass
        except Exception:
            log.exception("the application failed")
        if not is_whole and stream.state == "open":
            self._free(stream, wire.APP_CLOSED)

    def _finished(self, task: asyncio.Task, stream: Stream) -> None:
        self._tasks.discard(task)
        stream.is_finished = True
        if stream.state == "over":
            self._free(stream, wire.CLOSED)
        elif stream.state == "lost":
            self._orphaned -= 1
        self._quiet_since = time.monotonic()
        self._start_next()
        self._lend()

    def _node_is_done(self, linked: Linked, ident: int, keep: bool) -> None:
        stream = linked.streams.get(ident)
        if stream is None or stream.state != "open":
            return
        if keep:
            del linked.streams[ident]
            linked.in_use -= 1
            stream.leave("done")
            return
        stream.leave("over")
        if stream in self._waiting:
            self._waiting.remove(stream)
            stream.is_finished = True
        if stream.is_finished:
            self._free(stream, wire.CLOSED)

    def _free(self, stream: Stream, code: int) -> None:
        linked = stream.linked
        if linked.streams.pop(stream.id, None) is None:
            return
        linked.in_use -= 1
        stream.leave("done")
        linked.link.send(wire.RESET, wire.number(code), stream.id, wire.REACHED)
