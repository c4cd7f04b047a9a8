"""Serves an ASGI application (version 3.0): HTTP, WebSocket and lifespan."""

import asyncio
import logging
from urllib.parse import unquote_to_bytes

from . import websocket
from .http1 import BadRequest, Request, Response, answer, read_request
from .stream import ClientGone, Stream

log = logging.getLogger("pullproxy")

ASGI = {"version": "3.0", "spec_version": "2.3"}


def scope_of(kind: str, request: Request, state: dict) -> dict:
    return {
        "type": kind,
        "asgi": ASGI,
        "http_version": "1.1",
        "scheme": request.scheme,
        "path": unquote_to_bytes(request.path).decode("utf-8", "replace"),
        "raw_path": request.path,
        "query_string": request.query,
        "root_path": "",
        "headers": request.headers,
        "client": (request.client, 0) if request.client else None,
        "server": None,
        "state": state.copy(),
    }


class AsgiServer:
    def __init__(self, app):
        self._app = app
        self._state: dict = {}
        self._to_app: asyncio.Queue = asyncio.Queue()
        self._from_app: asyncio.Queue = asyncio.Queue()
        self._lifespan: asyncio.Task | None = None

    # ── lifespan ──

    async def start(self) -> None:
        """Raises RuntimeError when the application says that it can't start."""
        self._lifespan = asyncio.create_task(self._live())
        await self._say("startup")

    async def stop(self) -> None:
        await self._say("shutdown")
        if self._lifespan is not None:
            self._lifespan.cancel()

    async def _live(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": ASGI, "state": self._state}, self._to_app.get, self._from_app.put)
        except Exception:
            # By the standard it does not know the protocol then.
            log.debug("the application has no lifespan", exc_info=True)

    async def _say(self, what: str) -> None:
        if self._lifespan is None or self._lifespan.done():
            return
        await self._to_app.put({"type": f"lifespan.{what}"})
        said = asyncio.create_task(self._from_app.get())
        await asyncio.wait({said, self._lifespan}, return_when=asyncio.FIRST_COMPLETED)
        if said.done() and said.result()["type"] == f"lifespan.{what}.failed":
            raise RuntimeError(f"the application failed at {what}: {said.result().get('message', '')}")
        said.cancel()

    # ── requests ──

    async def serve(self, stream: Stream) -> bool:
        """Returns whether the response is whole."""
        try:
            request = await read_request(stream)
        except BadRequest:
            return await answer(stream, 400)
        if request.header(b"upgrade").lower() == b"websocket":
            return await websocket.serve(self._app, scope_of("websocket", request, self._state), request, stream)
        return await self._serve_http(request, stream)

    async def _serve_http(self, request: Request, stream: Stream) -> bool:
        response = Response(stream, request.method)

        async def receive() -> dict:
            if not request.body.is_over or receive.is_first:
                receive.is_first = False
                try:
                    part = await request.body.read()
                    return {"type": "http.request", "body": part, "more_body": not request.body.is_over}
                except (ClientGone, BadRequest):
                    return {"type": "http.disconnect"}
            await stream.gone()
            return {"type": "http.disconnect"}

        receive.is_first = True

        async def send(event: dict) -> None:
            if event["type"] == "http.response.start":
                response.start(event["status"], event.get("headers", ()))
            elif event["type"] == "http.response.body":
                try:
                    await response.write(event.get("body", b""), event.get("more_body", False))
                except ClientGone:
                    # By the standard it learns that from `receive`.
                    pass

        try:
            await self._app(scope_of("http", request, self._state), receive, send)
        except Exception:
            log.exception("the application failed")
            if response.is_started or stream.is_gone:
                return response.is_whole
            return await answer(stream, 500)
        if not response.is_started and not stream.is_gone:
            log.error("the application has not answered")
            return await answer(stream, 500)
        return response.is_whole
