"""python3 -m pullproxy [--proxy HOST:PORT] [--route NAME] [--concurrency N] MODULE:APP"""

import argparse
import asyncio
import importlib
import logging
import os
import sys

from .serve import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="pullproxy", description="Serves an ASGI or WSGI application with requests from pullproxy's nodes.")
    parser.add_argument("app", help="MODULE:NAME, as in mysite.asgi:application")
    parser.add_argument("--proxy", help="HOST:PORT of a node's backend port, or several with commas (PULLPROXY_PROXY)")
    parser.add_argument("--route", help="the host name that the application answers to (PULLPROXY_ROUTE)")
    parser.add_argument("--concurrency", type=int, default=10, help="requests that it gets at once (10)")
    parser.add_argument("--interface", choices=["auto", "asgi", "wsgi"], default="auto")
    parser.add_argument("--idle", type=float, default=300.0, help="seconds without a request until the newest instance leaves")
    parser.add_argument("--old-idle", type=float, default=10.0, help="the same for older ones")
    parser.add_argument("--drain", type=float, default=30.0, help="seconds that running requests have when it leaves")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    module, _, name = asked.app.partition(":")
    sys.path.insert(0, os.getcwd())
    app = getattr(importlib.import_module(module), name or "app")
    settings = {"proxy": asked.proxy, "route": asked.route, "concurrency": asked.concurrency, "interface": asked.interface}
    try:
        asyncio.run(serve(app, **settings, idle_s=asked.idle, old_idle_s=asked.old_idle, drain_s=asked.drain))
    except ValueError as error:
        parser.error(str(error))


main()
