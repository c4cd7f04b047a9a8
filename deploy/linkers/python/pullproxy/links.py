"""The nodes that an instance is linked to: one is its home, where its slots lie; others are dialled when they ask for slots."""

import asyncio
import logging
import random
import time

from . import wire
from .stream import Stream

log = logging.getLogger("pullproxy")

LINKS_MAX = 64
MOVE_S_MAX = 5.0
DIAL_S_MAX = 6.0
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.05, 5.0
SETTLED_AFTER_S = 1.0


class Linked:
    """A node, as this instance counts it."""

    def __init__(self, link: wire.Link, address: str):
        self.link = link
        self.addresses = {address}
        self.lent = 0
        self.in_use = 0
        self.is_leaving = False
        self.is_dismissed = False
        self.streams: dict[int, Stream] = {}
        self.idle_since = time.monotonic()

    def take_back(self, count: int) -> None:
        if not 1 <= count <= self.lent - self.in_use:
            raise wire.LinkError(f"{count} slots returned, {self.lent - self.in_use} are idle there")
        self.lent -= count
        self.idle_since = time.monotonic()


class Links:
    """What an Instance knows of nodes. It has the slots: each is at home, moving, lent to a node, or orphaned when its link broke while it was in use."""

    concurrency: int
    #: Requests that the application has.
    active: int

    def _streams_lost(self, linked: Linked) -> int:
        """Returns how many of them the application still has."""
        raise NotImplementedError

    def __init__(self, proxies, secret: str, hello: dict):
        self._proxies = list(proxies)
        self._secret = secret
        self._hello = hello
        self._linked: list[Linked] = []
        self._home: Linked | None = None
        self._first_home_at: float | None = None
        self._home_since = 0.0
        self._rounds = 0
        self._moving = self._orphaned = 0
        self._moves: set[asyncio.Task] = set()
        self._is_leaving = False
        self._changed = asyncio.Event()
        self._order: int | None = None
        self._asked_at: float | None = None
        self._reported = -1

    async def _wait_for_change(self, seconds: float) -> None:
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    @property
    def _at_home(self) -> int:
        return self.concurrency - self._moving - self._orphaned - sum(linked.lent for linked in self._linked)

    def _report(self, state: str) -> None:
        if self._home is None:
            return
        self._reported = self.active
        self._send_state(self._home, True, state)

    def _send_state(self, linked: Linked, home: bool, state: str) -> None:
        said = {"home": home, "state": state, "active": self.active}
        if self._order is not None:
            said["order"] = self._order
        linked.link.send(wire.STATE, wire.json.dumps(said).encode())

    # ── nodes ──

    async def _search(self) -> None:
        """Dials the operator's addresses whenever there is no home, with a growing and random delay."""
        while True:
            if self._home is not None:
                await self._wait_for_change(0.5)
                continue
            if self._rounds:
                await asyncio.sleep(min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2 ** min(self._rounds - 1, 20)) * random.uniform(0.5, 1))
            self._rounds += 1
            for address in random.sample(self._proxies, len(self._proxies)):
                if self._home is None:
                    await self._try(address)

    async def _try(self, address: str) -> None:
        try:
            await asyncio.wait_for(self._dial(address, learnt=False), DIAL_S_MAX)
        except (OSError, ValueError, wire.LinkError, asyncio.TimeoutError) as error:
            log.warning("no link to %s: %s", address, error or "not in time")

    async def _dial(self, address: str, learnt: bool) -> wire.Link:
        host, _, port = address.rpartition(":")
        hello = dict(self._hello)
        if learnt:
            hello["at"] = address
        if self._order is not None:
            hello["order"] = self._order
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: wire.Link(self, hello, self._secret), host.strip("[]"), int(port)
        )
        link.address = address
        try:
            return await link.up
        except asyncio.CancelledError:
            link.close("not in time")
            raise

    def link_up(self, link: wire.Link) -> None:
        for linked in self._linked:
            if linked.link.node == link.node and not linked.is_dismissed:
                linked.addresses.add(link.address)
                link.close("this node is linked already")
                return
        linked = Linked(link, link.address)
        self._linked.append(linked)
        log.info("linked to node %s at %s", link.node, link.address)
        if self._home is None and not self._is_leaving:
            self._settle(linked)
        else:
            self._send_state(linked, False, "draining" if self._is_leaving else "ready")

    def link_down(self, link: wire.Link, reason: str) -> None:
        linked = next((one for one in self._linked if one.link is link), None)
        if linked is None:
            return
        log.info("the link to node %s is over: %s", link.node, reason)
        self._linked.remove(linked)
        self._orphaned += self._streams_lost(linked)
        linked.lent = linked.in_use = 0
        self._rehome(linked)
        self._lend()

    def _rehome(self, linked: Linked) -> None:
        if linked is not self._home:
            return
        self._home = None
        self._asked_at = None
        # One that was lost at once does not count as found: the search goes on as slowly as it was.
        if time.monotonic() - self._home_since >= SETTLED_AFTER_S:
            self._rounds = 0
        up = [one for one in self._linked if not one.is_leaving]
        if up and not self._is_leaving:
            self._settle(max(up, key=lambda one: one.lent))
        self._changed.set()

    def _settle(self, linked: Linked) -> None:
        self._home = linked
        self._home_since = time.monotonic()
        self._first_home_at = self._first_home_at or time.monotonic()
        self._report("ready")
        self._lend()

    def _lend(self) -> None:
        self._changed.set()
        if self._home is not None and not self._is_leaving:
            self._grant(self._home, self._at_home)

    def _grant(self, linked: Linked, count: int) -> None:
        if count > 0 and not linked.link.is_down:
            linked.lent += count
            linked.link.send(wire.GRANT, wire.number(count))

    # ── moves ──

    def _move(self, linked: Linked, count: int, address: str) -> None:
        linked.take_back(count)
        if self._is_leaving:
            self._lend()
            return
        self._moving += count
        task = asyncio.create_task(self._carry(linked, count, address))
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)

    async def _carry(self, linked: Linked, count: int, address: str) -> None:
        target = None
        try:
            target = self._find(address) or await self._reach(address)
        except (OSError, ValueError, wire.LinkError, asyncio.TimeoutError) as error:
            log.info("no link to %s: %s", address, error)
        finally:
            self._moving -= count
        if self._is_leaving:
            self._changed.set()
        elif target is not None:
            self._grant(target, count)
        elif not linked.link.is_down:
            linked.link.send(wire.MOVE_FAILED, wire.number(count) + address.encode("latin-1"))
            if not linked.is_leaving:
                self._grant(linked, count)
        self._lend()

    def _find(self, address: str) -> Linked | None:
        return next((one for one in self._linked if address in one.addresses), None)

    async def _reach(self, address: str) -> Linked | None:
        if len(self._linked) >= LINKS_MAX:
            raise wire.LinkError(f"there are {LINKS_MAX} links already")
        await asyncio.wait_for(self._dial(address, learnt=True), MOVE_S_MAX)
        return self._find(address)
