"""From an application to an instance that serves."""

import asyncio
import inspect
import logging
import os
import signal

from .asgi import AsgiServer
from .instance import Instance
from .wsgi import WsgiServer

CONCURRENCY_MAX = 1_000_000


def is_asgi(app) -> bool:
    """An ASGI application is a coroutine function, or an object whose call is one."""
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))


async def serve(app, *, proxy=None, route=None, secret=None, concurrency=10, interface="auto", **times) -> None:
    """
    Serves `app` until the instance leaves. What is not given is taken from PULLPROXY_PROXY, PULLPROXY_ROUTE and PULLPROXY_SECRET. `times` are the
    numbers of seconds of Instance: `idle_s`, `old_idle_s`, `drain_s`.
    """
    proxies = [one.strip() for one in (proxy or os.environ.get("PULLPROXY_PROXY", "")).split(",") if one.strip()]
    route = route or os.environ.get("PULLPROXY_ROUTE", "")
    secret = secret or os.environ.get("PULLPROXY_SECRET", "")
    for name, value in {"proxy": proxies, "route": route, "secret": secret}.items():
        if not value:
            raise ValueError(f"{name}: expected a value, or PULLPROXY_{name.upper()} in the environment")
    if not 1 <= concurrency <= CONCURRENCY_MAX:
        raise ValueError(f"concurrency: {concurrency}: expected 1 to {CONCURRENCY_MAX}")
    asgi = is_asgi(app) if interface == "auto" else interface == "asgi"
    server = AsgiServer(app) if asgi else WsgiServer(app, concurrency)
    await server.start()
    start_id = os.environ.get("PULLPROXY_START_ID")
    instance = Instance(server.serve, proxies=proxies, route=route, secret=secret, concurrency=concurrency, start_id=start_id, **times)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, instance.leave)
    logging.getLogger("pullproxy").info("instance %s of %s, %d slots", instance.id, route, concurrency)
    try:
        await instance.run()
    finally:
        await server.stop()
